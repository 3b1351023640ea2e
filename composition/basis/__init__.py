"""The deltas that a composition is made of, checked and stacked."""

from composition.basis.basis import Basis, Differences
from composition.basis.checks import content_hash
from composition.basis.stacks import Directions, StackedFactors, Stacks, Updates

__all__ = [
    "Basis",
    "Differences",
    "Directions",
    "StackedFactors",
    "Stacks",
    "Updates",
    "content_hash",
]
