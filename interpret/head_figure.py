"""Numbers of all heads as pictures: layers down, heads across, one panel for each name.

Shape letters: L layers, H heads.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from interpret.cells import draw_cells
from lightning_modules.callbacks.figures import FAINT, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL, _LEAST = 0.42, 2.2  # inches


def head_figure(
    panels: Mapping[str, NDArray[np.floating]], *, title: str, num_columns: int = 4
) -> Figure:
    """Heat maps (L, H); blue is above 0, red below, on one scale for all panels.

    Args:
        panels: name -> numbers (L, H); NaN is left gray.
        title: printed above.
        num_columns: panels in a row.
    """
    from matplotlib.figure import Figure

    num_columns = min(num_columns, len(panels))
    num_rows = -(-len(panels) // num_columns)
    layers, heads = next(iter(panels.values())).shape
    width = max(_LEAST, _CELL * heads + 0.7) * num_columns
    height = max(_LEAST * 0.7, _CELL * layers + 0.8) * num_rows + 0.4
    figure = Figure(figsize=(max(width, 4.5), height), facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    values = np.concatenate([np.ravel(panel) for panel in panels.values()])
    limit = float(np.nanmax(np.abs(values), initial=0.0))
    axes = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for axis in axes[len(panels) :]:
        axis.axis("off")
    for axis, (name, panel) in zip(axes, panels.items(), strict=False):
        _draw(axis, name, panel, limit)
    return figure


def _draw(axis: Any, name: str, panel_LH: NDArray[np.floating], limit: float) -> None:
    draw_cells(axis, panel_LH, limit)
    axis.set_title(name, fontsize=9, color=INK)
    axis.set_xlabel("head", fontsize=8, color=FAINT)
    axis.set_ylabel("layer", fontsize=8, color=FAINT)
    layers, heads = panel_LH.shape
    axis.set_xticks(range(0, heads, max(1, heads // 8)))
    axis.set_yticks(range(0, layers, max(1, layers // 12)))
    axis.tick_params(labelsize=7, colors=FAINT)
    for spine in axis.spines.values():
        spine.set_visible(False)
