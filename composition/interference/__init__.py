"""What deltas do to each other, measured before they are composed."""

from composition.interference.disentanglement import (
    Disentanglement,
    Question,
    disentanglement_error,
)
from composition.interference.measure import measure_interference
from composition.interference.report import Interference

__all__ = [
    "Disentanglement",
    "Interference",
    "Question",
    "disentanglement_error",
    "measure_interference",
]
