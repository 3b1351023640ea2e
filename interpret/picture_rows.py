"""Rows of pictures with a line under each."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from lightning_modules.callbacks.figures import FAINT, INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_CELL = 1.35  # inches


class Picture(NamedTuple):
    """One picture.

    Args:
        image: uint8 (H, W, 3).
        caption: a line under it.
        stands_out: whether the caption is in full ink.
    """

    image: NDArray[np.uint8]
    caption: str
    stands_out: bool = False


def picture_rows(rows: Sequence[Sequence[Picture]], *, title: str) -> Figure:
    """Draw rows of pictures of one size; shorter rows leave cells empty."""
    from matplotlib.figure import Figure

    num_columns = max(map(len, rows))
    size = (_CELL * max(num_columns, 4), 1.25 * _CELL * len(rows) + 0.5)
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    axes = figure.subplots(len(rows), num_columns, squeeze=False)
    for axis in axes.ravel():
        axis.axis("off")
    for row, line in zip(rows, axes, strict=True):
        for picture, axis in zip(row, line, strict=False):
            smooth = None if len(picture.image) >= 128 else "nearest"
            axis.imshow(picture.image, interpolation=smooth)
            weight = "bold" if picture.stands_out else "normal"
            color = INK if picture.stands_out else FAINT
            axis.set_title(picture.caption, fontsize=8, color=color, fontweight=weight, pad=3)
    return figure
