"""A matrix of numbers as colored cells, for every figure that shows one."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from lightning_modules.callbacks.figures import INK

_NOTHING = "#e9ecef"  # where there is no number
MOST_NUMBERS = 100  # cells that still have their number written in them


def draw_cells(
    axis: Any,
    values: NDArray[np.floating],
    limit: float,
    *,
    colors: str = "RdBu",
    most: int = MOST_NUMBERS,
    text: Callable[[float], str] = "{:.2f}".format,
) -> None:
    """Draw a matrix on a scale from -limit to limit, its numbers in the cells if they are few.

    Args:
        axis: matplotlib's.
        values: rows and columns; NaN is left gray.
        limit: size of the numbers with the darkest colors; 0 counts as 1.
        colors: a diverging color map of matplotlib.
        most: cells that still have their numbers written in them.
        text: how a number is written.
    """
    limit = limit or 1.0
    axis.imshow(
        values, cmap=colors, vmin=-limit, vmax=limit, aspect="auto", interpolation="nearest"
    )
    axis.set_facecolor(_NOTHING)
    axis.tick_params(length=0)
    for row, column in np.argwhere(np.isfinite(values)) if values.size <= most else ():
        value = float(values[row, column])
        color = "white" if abs(value) > 0.6 * limit else INK
        axis.text(column, row, text(value), ha="center", va="center", fontsize=7, color=color)
