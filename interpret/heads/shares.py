"""How much of what a model says about an attribute comes from each part: shares that sum to 1.

    a_k = Cov(s_k, S) / Var(S),     S = sum_k s_k

s_k is the score of part k along a direction between texts, S that of the whole model, over images.
Shares may be negative: such a part works against the sum. Directions of an attribute are its values
less their mean over all values; pooled, numerators and denominators are summed over them, which is
the same as pooling all pairs of values.

Balasubramanian, Basu, Feizi, "Decomposing and Interpreting Image Representations via Text in ViTs
Beyond CLIP", NeurIPS 2024, https://arxiv.org/abs/2406.01583.

Shape letters: N images, P parts, V values of the attribute, R resamples.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from interpret.parts import Asked, PartScores
from interpret.parts.scores import Ints

Floats = NDArray[np.float64]
_ELEMENTS = 2**23  # weights of images held at a time: 64 MiB


def covariance_shares(scores: PartScores, columns_V: Ints) -> Floats:
    """Pooled share of every part, (P,), sum 1.

    Args:
        scores: of at least two images.
        columns_V: the texts that are the attribute's values.

    Raises:
        InputError: if the whole model says the same of all images.
    """
    if not len(scores):
        raise InputError("expected images to take covariances over, got none.")
    whole_NV = _whole(scores, columns_V)
    whole_NV -= whole_NV.mean(axis=0)
    covariance_P = [(part_NV * whole_NV).sum() for part_NV in _centered(scores, columns_V)]
    return np.array(covariance_P) / _positive((whole_NV**2).sum())


def class_shares(scores: PartScores, asked: Asked) -> Floats:
    """`covariance_shares` between the true values' means instead of images, (P,), sum 1.

    What a part adds to telling values apart; variation among images of one value does not count.
    Every value that occurs counts the same, however often it does.

    Raises:
        InputError: if fewer than two values occur, or the model tells none of them apart.
    """
    asked.check(scores)
    means = [scores.values[rows].mean(axis=0, dtype=np.float64) for rows in _members(asked)]
    return covariance_shares(PartScores(np.stack(means), scores.parts, scores.texts), asked.columns)


def separation(scores: PartScores, asked: Asked) -> Floats:
    """Eta squared of every part, (P,): what of its variance lies between true values, in [0, 1].

    Not a share of the model's: a weak head may know an attribute as well as a strong one. 0 for a
    part that is the same for all images.
    """
    asked.check(scores)
    groups = _members(asked)
    known = asked.label >= 0
    result = np.zeros(len(scores.parts))
    for number, values_NV in enumerate(_centered(scores, asked.columns)):
        mean_V = values_NV[known].mean(axis=0)
        total = ((values_NV[known] - mean_V) ** 2).sum()
        between = sum(
            len(rows) * ((values_NV[rows].mean(axis=0) - mean_V) ** 2).sum() for rows in groups
        )
        result[number] = between / total if total > 0 else 0.0
    return result


def share_intervals(
    scores: PartScores,
    columns_V: Ints,
    *,
    num_resamples: int = 1000,
    level: float = 0.95,
    seed: int = 0,
) -> tuple[Floats, Floats]:
    """Lower and upper ends (P,) of the intervals of `covariance_shares`.

    Images are drawn anew with replacement (percentile bootstrap).

    Args:
        scores: of at least two images.
        columns_V: the texts that are the attribute's values.
        num_resamples: R.
        level: share of the resamples between the two ends.
        seed: of the draws.

    Raises:
        InputError: if the whole model says the same of all images.
    """
    count = len(scores)
    random, evenly_N = np.random.default_rng(seed), np.full(count, 1 / count)
    whole_NV = _whole(scores, columns_V)
    whole_NV -= whole_NV.mean(axis=0)  # keeps the differences below exact
    covariance_PR = np.empty((len(scores.parts), num_resamples))
    step = max(1, _ELEMENTS // count)
    for start in range(0, num_resamples, step):
        some = slice(start, min(start + step, num_resamples))
        weights_RN = random.multinomial(count, evenly_N, size=some.stop - start) / count
        whole_RV = weights_RN @ whole_NV
        for number, values_NV in enumerate(_centered(scores, columns_V)):
            product_N = (values_NV * whole_NV).sum(axis=1)
            covariance_PR[number, some] = weights_RN @ product_N
            covariance_PR[number, some] -= ((weights_RN @ values_NV) * whole_RV).sum(axis=1)
    shares_PR = covariance_PR / _positive(covariance_PR.sum(axis=0))
    low, high = np.quantile(shares_PR, [(1 - level) / 2, (1 + level) / 2], axis=1)
    return low, high


def _whole(scores: PartScores, columns_V: Ints) -> Floats:
    """The model's own scores less their mean over values, (N, V)."""
    whole_NV = scores.logits_NC[:, columns_V]
    return np.asarray(whole_NV - whole_NV.mean(axis=1, keepdims=True), dtype=np.float64)


def _centered(scores: PartScores, columns_V: Ints) -> Iterator[Floats]:
    """Scores of one part after the other less their mean over values, (N, V)."""
    for number in range(len(scores.parts)):
        values_NV = scores.values[:, number, columns_V].astype(np.float64)
        yield values_NV - values_NV.mean(axis=1, keepdims=True)


def _members(asked: Asked) -> list[Ints]:
    """The images of every value that occurs."""
    return [np.flatnonzero(asked.label == v) for v in np.unique(asked.label[asked.label >= 0])]


def _positive(variance: Floats) -> Floats:
    if not np.all(variance > 0):
        raise InputError(
            "expected images that the model tells apart along these texts, got no variance. Use "
            "more images, or texts that differ."
        )
    return variance
