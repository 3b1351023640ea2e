"""Base against adapted model on the same images: the gain and how sure it is.

    gain = score(adapted) - score(base),   interval = its 2.5 % to 97.5 % quantiles over resamples

Both models answer for the same images, so images are resampled in pairs (percentile bootstrap,
Efron and Tibshirani, 1993, ch. 13). An interval above 0: the gain is not the luck of these images.

Shape letters: N images, V values of the attribute, R resamples.
"""

from __future__ import annotations

import io
import math
from collections.abc import Callable, Iterator, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

Floats = NDArray[np.float64]
# (scores (N, V), label (N, V), known (N, V)) -> one number
MetricFunction = Callable[[NDArray[Any], NDArray[Any], NDArray[Any]], float]

_ELEMENTS = 2**20  # image numbers drawn at a time: 8 MB


@dataclass(frozen=True)
class Row:
    """One line of the table that compares an adapter with its base.

    Attributes:
        split: the split it was measured on, such as "test_unseen".
        attribute: the attribute, such as "color".
        metric: what was measured, such as "accuracy".
        num_images: images that both models were scored on.
        base: score of the base, in the metric's own unit.
        adapted: score of the adapted model.
        gain: adapted - base.
        low: lower end of the gain's interval.
        high: upper end of the gain's interval.
    """

    split: str
    attribute: str
    metric: str
    num_images: int
    base: float
    adapted: float
    gain: float
    low: float
    high: float


def compare(
    base_correct: ArrayLike,
    adapted_correct: ArrayLike,
    *,
    split: str = "",
    attribute: str = "",
    metric: str = "accuracy",
    num_resamples: int = 2000,
    seed: int = 0,
) -> Row:
    """Compare per-image scores of two models on the same images.

    Args:
        base_correct: score of each image under the base, (N,): 1 or 0 for accuracy, any number for
            another mean. NaN means not scored; an image counts if both models scored it.
        adapted_correct: the same of the adapted model, in the same order.
        split: goes into the row.
        attribute: goes into the row.
        metric: goes into the row.
        num_resamples: R, resamples of the images.
        seed: equal seeds give equal intervals.

    Raises:
        ValueError: if the two do not have one score for each image.

    Example:
        >>> row = compare([0, 1, 0, 1], [1, 1, 1, 1])
        >>> row.base, row.adapted, row.gain, row.num_images
        (0.5, 1.0, 0.5, 4)
    """
    base_N, adapted_N = (
        np.asarray(each, dtype=np.float64) for each in (base_correct, adapted_correct)
    )
    if base_N.ndim != 1 or base_N.shape != adapted_N.shape:
        raise ValueError(
            "expected one score for each image from both models, got shapes "
            f"{base_N.shape} and {adapted_N.shape}."
        )
    both_N = ~(np.isnan(base_N) | np.isnan(adapted_N))
    base_N, adapted_N = base_N[both_N], adapted_N[both_N]
    gain, low, high = mean_interval(adapted_N - base_N, num_resamples=num_resamples, seed=seed)
    base, adapted = (float(each.mean()) if len(each) else math.nan for each in (base_N, adapted_N))
    return Row(split, attribute, metric, len(base_N), base, adapted, gain, low, high)


def compare_metric(
    function: MetricFunction,
    base_scores: ArrayLike,
    adapted_scores: ArrayLike,
    label: ArrayLike,
    known: ArrayLike,
    *,
    split: str = "",
    attribute: str = "",
    metric: str,
    num_resamples: int = 2000,
    seed: int = 0,
) -> Row:
    """Compare two models by a metric that is no mean over images, such as average precision.

    The metric is computed anew on the rows of each resample: expect 2 R times its own run time.

    Args:
        function: (scores (N, V), label (N, V), known (N, V)) -> the metric, NaN where undefined.
        base_scores: scores of the base, (N, V).
        adapted_scores: scores of the adapted model, (N, V).
        label: 1 where the image has the value, 0 where not, (N, V).
        known: whether the label is known, (N, V); images with nothing known do not count.
        split: goes into the row.
        attribute: goes into the row.
        metric: goes into the row.
        num_resamples: R, resamples of the images.
        seed: equal seeds give equal intervals.

    Raises:
        ValueError: if the four arrays are not of one shape (N, V).
    """
    arrays = [np.asarray(each) for each in (base_scores, adapted_scores, label, known)]
    shapes = [each.shape for each in arrays]
    if len(shapes[0]) != 2 or len(set(shapes)) > 1:
        raise ValueError(
            "expected scores of both models, labels and known in one shape (images, values), got "
            f"{', '.join(map(str, shapes))}."
        )
    rows_N = arrays[3].astype(bool).any(axis=1)
    base_NV, adapted_NV, label_NV, known_NV = (each[rows_N] for each in arrays)
    known_NV = known_NV.astype(bool)

    def scores(at: Any) -> tuple[float, float]:
        truth = label_NV[at], known_NV[at]
        return float(function(base_NV[at], *truth)), float(function(adapted_NV[at], *truth))

    num_images = len(label_NV)
    if num_images == 0:
        return Row(split, attribute, metric, 0, *[math.nan] * 5)
    base, adapted = scores(slice(None))
    gains = [
        np.subtract(*scores(index_N)[::-1])
        for index_RN in resamples(num_images, num_resamples=num_resamples, seed=seed)
        for index_N in index_RN
    ]
    low, high = _quantiles(np.array(gains))
    return Row(split, attribute, metric, num_images, base, adapted, adapted - base, low, high)


def mean_interval(
    scores: ArrayLike, *, num_resamples: int = 2000, seed: int = 0
) -> tuple[float, float, float]:
    """Mean of per-image scores and its 95 % bootstrap interval; NaN scores do not count.

    Args:
        scores: one number for each image, (N,).
        num_resamples: R, resamples of the images.
        seed: equal seeds give equal intervals.

    Returns:
        Mean, lower and upper end; three NaN if no image has a score.
    """
    scores_N = np.asarray(scores, dtype=np.float64)
    scores_N = scores_N[~np.isnan(scores_N)]
    if len(scores_N) == 0:
        return math.nan, math.nan, math.nan
    chunks = resamples(len(scores_N), num_resamples=num_resamples, seed=seed)
    means_R = np.concatenate([scores_N[index_RN].mean(axis=1) for index_RN in chunks])
    return float(scores_N.mean()), *_quantiles(means_R)


def resamples(num_images: int, *, num_resamples: int, seed: int) -> Iterator[NDArray[np.int64]]:
    """Image numbers drawn with replacement, in chunks (some of R, N) that fit in memory."""
    generator = np.random.default_rng(seed)
    size = max(1, _ELEMENTS // num_images)
    for start in range(0, num_resamples, size):
        yield generator.integers(num_images, size=(min(size, num_resamples - start), num_images))


def _quantiles(values_R: Floats) -> tuple[float, float]:
    """The interval that leaves 2.5 % of the resamples on either side."""
    values_R = values_R[~np.isnan(values_R)]
    if len(values_R) == 0:
        return math.nan, math.nan
    low, high = np.quantile(values_R, [0.025, 0.975])
    return float(low), float(high)


HEADER = ("split", "attribute", "metric", "base", "adapted", "gain", "95 % interval", "images")


def _cells(row: Row) -> tuple[str, ...]:
    interval = "-" if math.isnan(row.low) else f"{row.low:+.3f} to {row.high:+.3f}"
    scores = (_number(row.base), _number(row.adapted), _number(row.gain, sign="+"))
    return row.split, row.attribute, row.metric, *scores, interval, f"{row.num_images:,}"


def _number(value: float, *, sign: str = "") -> str:
    return "-" if math.isnan(value) else f"{value:{sign}.3f}"


def render(rows: Sequence[Row], title: str) -> str:
    """The comparison as a plain-text table for the terminal, ended by a newline.

    Gains whose interval lies on one side of 0 are marked with an asterisk.

    Args:
        rows: the rows, in the order they are shown.
        title: printed above the table.
    """
    from rich import box
    from rich.console import Console
    from rich.table import Table

    caption = "gain = adapted - base, over the same images; * = its interval leaves out 0"
    table = Table(title=title, title_justify="left", caption=caption, caption_justify="left")
    table.box = box.SIMPLE_HEAD
    for name in HEADER:
        is_text = name in ("split", "attribute", "metric")
        table.add_column(name, justify="left" if is_text else "right", no_wrap=True)
    for row in rows:
        cells = dict(zip(HEADER, _cells(row), strict=True))
        if row.low > 0 or row.high < 0:
            cells["gain"] = f"* {cells['gain']}"
        table.add_row(*cells.values())
    console = Console(file=io.StringIO(), width=200, color_system=None)
    console.print(table)
    assert isinstance(console.file, io.StringIO)
    return "\n".join(line.rstrip() for line in console.file.getvalue().splitlines()) + "\n"


def to_markdown(rows: Sequence[Row]) -> str:
    """The comparison as a Markdown table, ended by a newline."""
    left = ("---",) * 3
    lines = [HEADER, (*left, *["---:"] * (len(HEADER) - 3)), *map(_cells, rows)]
    return "".join(f"| {' | '.join(_escape(cell) for cell in line)} |\n" for line in lines)


def _escape(cell: str) -> str:
    return cell.replace("|", "\\|").replace("\n", " ")


def to_json(rows: Sequence[Row]) -> list[dict[str, Any]]:
    """The rows as JSON objects, one key per field of `Row`; NaN, which JSON lacks, is None."""
    return [
        {
            key: None if isinstance(value, float) and math.isnan(value) else value
            for key, value in asdict(row).items()
        }
        for row in rows
    ]
