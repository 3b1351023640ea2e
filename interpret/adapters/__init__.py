"""What a delta changes: which heads, how surely, why, and in which words."""

from interpret.adapters.causal import Runs, run_parts
from interpret.adapters.cross import Crossing, cross
from interpret.adapters.cut import Site, merged, parts_of, restricted, sites
from interpret.adapters.difference import Difference, Readouts, difference, difference_moments
from interpret.adapters.figure import figure
from interpret.adapters.footprint import Footprint, Number, Score
from interpret.adapters.measure import Settings, measure
from interpret.adapters.naming import ChangeTexts, Named, name_changes
from interpret.adapters.question import Question
from interpret.adapters.random_delta import random_delta
from interpret.adapters.shapley import CAUSES, Causes, CauseShares, cause_shares, causes
from interpret.adapters.sides import Sides

__all__ = [
    "CAUSES",
    "CauseShares",
    "Causes",
    "ChangeTexts",
    "Crossing",
    "Difference",
    "Footprint",
    "Named",
    "Number",
    "Question",
    "Readouts",
    "Runs",
    "Score",
    "Settings",
    "Sides",
    "Site",
    "cause_shares",
    "causes",
    "cross",
    "difference",
    "difference_moments",
    "figure",
    "measure",
    "merged",
    "name_changes",
    "parts_of",
    "random_delta",
    "restricted",
    "run_parts",
    "sites",
]
