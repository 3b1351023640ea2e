"""How narrow a role is: whether one head has one attribute, or many heads share it.

Shape letters: A attributes, P parts.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError

Floats = NDArray[np.float64]


def selectivity(shares_AP: Floats) -> Floats:
    """What part of a head's roles each attribute is, (A, P): columns sum to 1, or are 0.

    Negative shares count as 0.
    """
    positive_AP = np.clip(shares_AP, 0, None)
    total_P = positive_AP.sum(axis=0)
    return np.asarray(positive_AP / np.where(total_P > 0, total_P, 1))


def effective_number(shares_P: Floats) -> float:
    """How many parts share an attribute: exp of the entropy of the positive shares, from 1 to P.

    Raises:
        InputError: if no share is positive.
    """
    weight_P = _weights(shares_P)
    weight_P = weight_P[weight_P > 0]
    return float(np.exp(-(weight_P * np.log(weight_P)).sum()))


def gini(shares_P: Floats) -> float:
    """Gini coefficient of the positive shares: 0 where all are equal, 1 - 1/P where one has all.

    Raises:
        InputError: if no share is positive.
    """
    weight_P = np.sort(_weights(shares_P))
    rank_P = np.arange(1, len(weight_P) + 1)
    return float((2 * rank_P - len(weight_P) - 1) @ weight_P / len(weight_P))


def rank_correlation(one_P: Floats, other_P: Floats) -> float:
    """Spearman's correlation of two scores of the same parts; ties share a rank.

    NaN if one of them is the same everywhere.
    """
    first, second = (_ranks(each) - (len(each) + 1) / 2 for each in (one_P, other_P))
    length = np.sqrt((first @ first) * (second @ second))
    return float(first @ second / length) if length > 0 else float("nan")


def _ranks(values_P: Floats) -> Floats:
    """Ranks from 1; equal values share the mean of theirs."""
    _, place_P, count = np.unique(values_P, return_inverse=True, return_counts=True)
    return np.asarray((count.cumsum() - (count - 1) / 2)[place_P], dtype=np.float64)


def _weights(shares_P: Floats) -> Floats:
    positive_P = np.clip(shares_P, 0, None)
    if not positive_P.sum() > 0:
        raise InputError("expected a positive share, got none: no part carries this attribute.")
    return np.asarray(positive_P / positive_P.sum())
