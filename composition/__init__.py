"""One model out of many deltas: exact, differentiable composition of one base and K deltas."""

from composition.basis import Basis
from composition.composed import Composition
from composition.granularity import Granularity

__all__ = ["Basis", "Composition", "Granularity"]
