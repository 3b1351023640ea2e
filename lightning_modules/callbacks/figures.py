"""Figures of predictions. They have their own white ground, so they read the same in a dark theme.

Drawn by matplotlib's Agg canvas on bare `Figure` objects: no pyplot, no state shared with others.

Shape letters: N images, H x W pixels, V values of the attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from matplotlib.figure import Figure

INK, WRONG, FAINT = "#1f2328", "#c62828", "#8b949e"
_CELL = 1.35  # inches a picture is wide


@dataclass(frozen=True)
class Prediction:
    """One image and what the model says of it.

    Attributes:
        image: uint8 (H, W, 3).
        truth: the true values in words, "" if unknown.
        predicted: the predicted value.
        confidence: its probability under the model, in [0, 1].
        correct: None if the label of the predicted value is unknown.
    """

    image: NDArray[np.uint8]
    truth: str
    predicted: str
    confidence: float
    correct: bool | None


def prediction_grid(
    predictions: Sequence[Prediction], *, title: str, num_columns: int = 8
) -> Figure:
    """A grid of images with their true value above the predicted one; wrong ones in red.

    Args:
        predictions: what to show, row by row.
        title: printed above.
        num_columns: images a row.
    """
    from matplotlib.figure import Figure

    num_columns = min(num_columns, max(len(predictions), 1))
    num_rows = -(-max(len(predictions), 1) // num_columns)
    size = (_CELL * max(num_columns, 4), 1.3 * _CELL * num_rows + 0.6)
    figure = Figure(figsize=size, facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    axes = figure.subplots(num_rows, num_columns, squeeze=False).ravel()
    for axis in axes:
        axis.axis("off")
    for axis, prediction in zip(axes, predictions, strict=False):
        _draw_prediction(axis, prediction)
    return figure


def _draw_prediction(axis: Any, prediction: Prediction) -> None:
    axis.imshow(prediction.image, interpolation="nearest" if len(prediction.image) < 128 else None)
    color = {True: INK, False: WRONG, None: FAINT}[prediction.correct]
    mark = {True: "", False: "✗ ", None: "? "}[prediction.correct]
    axis.set_title(_short(prediction.truth or "?", 16), fontsize=9, color=INK, pad=3)
    label = f"{mark}{_short(prediction.predicted, 12)} {prediction.confidence:.0%}"
    weight = "bold" if prediction.correct is False else "normal"
    style = {"fontsize": 9, "color": color, "fontweight": weight}
    axis.text(0.5, -0.05, label, transform=axis.transAxes, ha="center", va="top", **style)


def confusion_figure(counts_VV: NDArray[np.int64], values: Sequence[str], *, title: str) -> Figure:
    """How often each true value (row) was predicted as each value (column), as shares of the row.

    Args:
        counts_VV: number of images, true value by predicted value.
        values: names of the V values.
        title: printed above.
    """
    from matplotlib.figure import Figure

    totals_V = counts_VV.sum(axis=1, keepdims=True)
    share_VV = counts_VV / np.maximum(totals_V, 1)
    side = max(3.2, 0.42 * len(values) + 1.8)
    figure = Figure(figsize=(side, side), facecolor="white", layout="constrained")
    figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    axis = figure.subplots()
    axis.imshow(share_VV, cmap="Blues", vmin=0, vmax=1)
    ticks = range(len(values))
    names = [_short(value, 14) for value in values]
    axis.set_xticks(ticks, names, rotation=90, fontsize=9, color=INK)
    axis.set_yticks(ticks, names, fontsize=9, color=INK)
    axis.set_xlabel("predicted", color=INK)
    axis.set_ylabel("true", color=INK)
    axis.spines[:].set_color(FAINT)
    axis.tick_params(color=FAINT)
    for row, column in zip(*np.nonzero(counts_VV), strict=True):
        share, is_right = share_VV[row, column], row == column
        color = "white" if share > 0.5 else INK if is_right else WRONG
        percent = round(100 * share) or "·"
        axis.text(column, row, str(percent), ha="center", va="center", fontsize=8, color=color)
    return figure


def render(figure: Figure) -> NDArray[np.uint8]:
    """The figure as pixels, uint8 (H, W, 3)."""
    from matplotlib.backends.backend_agg import FigureCanvasAgg

    canvas: Any = FigureCanvasAgg(figure)
    canvas.draw()
    return np.array(canvas.buffer_rgba(), dtype=np.uint8)[..., :3]


def _short(text: str, longest: int) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"
