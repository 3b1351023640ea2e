"""Scores of words -> scores in which those of near words take part.

Shape letters: C candidate words, T types, N neighbors, D features, B words of a block, H words that
may be neighbors.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.words.evidence import Array

_BLOCK = 1024  # rows of a product held at once
_STEPS = 20  # the error left is below `share` ** 20


@dataclass(frozen=True)
class Neighbors:
    """The nearest others of each word.

    Attributes:
        near_CN: their rows.
        weight_CN: their squared cosines, 0 for those that are not above 0.
    """

    near_CN: NDArray[np.int64]
    weight_CN: Array


def smoothed(scores_CT: Array, around: Neighbors, *, share: float) -> Array:
    """Scores in which those of a word's nearest words take part, and of theirs, and so on, (C, T).

        smooth = (1 - share) score + share * weighted mean over neighbors of smooth

    with the squared cosine as weight. A word without a positive cosine keeps its own.

    Args:
        scores_CT: score of each word for each type.
        around: the words' neighbors.
        share: of the neighbors, 0..1.
    """
    total_C = around.weight_CN.sum(axis=1)
    alone_C = total_C <= 0
    weight_CN = around.weight_CN / np.where(alone_C, 1.0, total_C)[:, None]
    result_CT = scores_CT
    for _ in range(_STEPS):
        around_CT = np.einsum("cn,cnt->ct", weight_CN, result_CT[around.near_CN])
        result_CT = (1 - share) * scores_CT + share * around_CT
        result_CT[alone_C] = scores_CT[alone_C]
    return result_CT


def neighbors_of(features_CD: Array, *, count: int, head: int) -> Neighbors:
    """Find each word's nearest others.

    Args:
        features_CD: unit rows.
        count: how many, N, or all that there are.
        head: they are looked for among this many first words; the time grows with it.
    """
    count = max(min(count, head - 1, len(features_CD) - 1), 0)
    near_CN = np.zeros((len(features_CD), count), dtype=np.int64)
    weight_CN = np.zeros((len(features_CD), count))
    if not count:
        return Neighbors(near_CN, weight_CN)
    # Half the bits: which words are near does not hang on the last digits, but the time does.
    features_CD = features_CD.astype(np.float32)
    head_DH = features_CD[:head].T
    for start in range(0, len(features_CD), _BLOCK):
        cosine_BH = features_CD[start : start + _BLOCK] @ head_DH
        rows = np.arange(len(cosine_BH))
        own = rows + start < cosine_BH.shape[1]
        cosine_BH[rows[own], rows[own] + start] = -np.inf
        near_BN = np.argpartition(-cosine_BH, count - 1, axis=1)[:, :count]
        near_CN[start : start + _BLOCK] = near_BN
        near_cosine_BN = np.take_along_axis(cosine_BH, near_BN, axis=1)
        weight_CN[start : start + _BLOCK] = np.maximum(near_cosine_BN, 0.0) ** 2
    return Neighbors(near_CN, weight_CN)
