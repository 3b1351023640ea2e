"""Text for what heads write: TextSpan and its kin, from moments alone."""

from interpret.textspan.naming import (
    Ends,
    MeanShift,
    Principal,
    Scored,
    mean_shift,
    nearest_texts,
    principal_directions,
)
from interpret.textspan.result import Picked, TextSpan
from interpret.textspan.span import text_span

__all__ = [
    "Ends",
    "MeanShift",
    "Picked",
    "Principal",
    "Scored",
    "TextSpan",
    "mean_shift",
    "nearest_texts",
    "principal_directions",
    "text_span",
]
