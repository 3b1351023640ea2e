"""How sure numbers of images are: percentile bootstrap of many numbers at once, and shuffles.

Shape letters: N images, R resamples, K numbers.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from lightning_modules.comparison import resamples

Floats = NDArray[np.float64]
Items = NDArray[np.int64]
Numbers = dict[str, Floats]  # name -> numbers of any shape


@dataclass(frozen=True)
class Interval:
    """95 % intervals of some numbers, over the resamples that tell them; NaN where none does.

    Args:
        low: their lower ends.
        high: their upper ends.
    """

    low: Floats
    high: Floats


def bootstrap(
    statistic: Callable[[Items], Numbers], num_images: int, *, num_resamples: int, seed: int
) -> dict[str, Interval]:
    """Intervals of statistics over images that are drawn anew with replacement.

    Args:
        statistic: numbers of the images -> values; all of one resample, so that values that are
            compared come from the same images.
        num_images: N.
        num_resamples: R.
        seed: of the draws.
    """
    chunks = resamples(num_images, num_resamples=num_resamples, seed=seed)
    drawn = [statistic(items) for chunk in chunks for items in chunk]
    found = {}
    for name in drawn[0]:
        values_RK = np.stack([each[name] for each in drawn])
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", RuntimeWarning)  # of numbers that are always NaN
            low, high = np.nanquantile(values_RK, [0.025, 0.975], axis=0)
        found[name] = Interval(low, high)
    return found


def shuffled(
    statistic: Callable[[Items], Numbers], label_N: Items, *, num_shuffles: int, seed: int
) -> dict[str, Floats]:
    """One-sided p: how often shuffled labels give as much as the true ones, itself counted.

    Args:
        statistic: labels -> values.
        label_N: the true labels; unknown ones (-1) stay where they are.
        num_shuffles: R; p is at least 1 / (R + 1).
        seed: of the shuffles.
    """
    random, known = np.random.default_rng(seed), np.flatnonzero(label_N >= 0)
    true = statistic(label_N)
    reached = {name: np.ones_like(values) for name, values in true.items()}
    for _ in range(num_shuffles):
        other_N = label_N.copy()
        other_N[known] = label_N[random.permutation(known)]
        for name, values in statistic(other_N).items():
            reached[name] += values >= true[name] - 1e-12  # equal but for rounding
    return {
        name: np.where(np.isnan(true[name]), np.nan, count / (num_shuffles + 1))
        for name, count in reached.items()
    }
