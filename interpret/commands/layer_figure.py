"""Accuracy as the parts of more and more layers are ablated."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from interpret.ablate import LayerCurve
from lightning_modules.callbacks.figures import FAINT, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure


def layer_figure(curves: Sequence[LayerCurve], *, title: str) -> Figure:
    """A panel for each kind of part, a line for each attribute."""
    from matplotlib.figure import Figure

    figure = Figure(figsize=(4.2 * len(curves), 3.2), facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    axes = figure.subplots(1, len(curves), squeeze=False, sharey=True)[0]
    for axis, curve in zip(axes, curves, strict=True):
        places = range(len(curve.layers) + 1)
        for name, accuracy in curve.accuracy.items():
            axis.plot(places, [curve.whole[name], *accuracy], marker="o", markersize=3, label=name)
        axis.set_xticks(places, ["none", *map(str, curve.layers)])
        kind = "heads" if curve.kind == "head" else "MLPs"
        axis.set_xlabel(f"{kind} ablated, up to layer", fontsize=9, color=FAINT)
        axis.set_ylim(bottom=0)
        axis.tick_params(labelsize=8, colors=FAINT)
        axis.spines[["top", "right"]].set_visible(False)
    axes[0].set_ylabel("accuracy", fontsize=9, color=FAINT)
    axes[-1].legend(fontsize=8, frameon=False)
    return figure
