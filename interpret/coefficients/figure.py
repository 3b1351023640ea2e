"""Importance as a picture: blocks in the order of the network, deltas beside one another."""

from __future__ import annotations

from typing import TYPE_CHECKING

from composition import heatmap
from interpret.coefficients.importance import Importance

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_LABELS = {
    "size": "size of the coefficient",
    "norm": "coefficient x norm of the update",
    "output": "coefficient x size of its output",
    "integrated": "change of the loss (integrated gradients)",
}


def importance_figure(importance: Importance, kind: str = "integrated") -> Figure:
    """Draw one kind of importance.

    Args:
        importance: what is drawn.
        kind: one of `KINDS`.
    """
    drawn = heatmap.figure(importance.table(kind), title=f"importance by {kind}")
    drawn.axes[-1].set_ylabel(_LABELS[kind])  # the last axis is the color bar's
    return drawn
