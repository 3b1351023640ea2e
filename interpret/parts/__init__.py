"""Scores of a model's parts with texts: one table that all direct effects follow from."""

from interpret.parts.asked import Asked
from interpret.parts.build import score_parts
from interpret.parts.part import Part, all_but_last_layers, heads, mlps
from interpret.parts.scores import PartScores

__all__ = [
    "Asked",
    "Part",
    "PartScores",
    "all_but_last_layers",
    "heads",
    "mlps",
    "score_parts",
]
