"""Sums over columns of numbers, exact and in an order that depends on names alone.

Shape letters: M rows, G groups, K keys.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

Ints = NDArray[np.int64]
Codes = NDArray[np.signedinteger[Any]]


def sums(group_M: Codes, num_groups: int, count_M: Ints | None = None) -> Ints:
    """The sum of the counts in each group, (G,); without counts, the number of rows.

    Sums are exact up to 2^53.
    """
    return np.bincount(group_M, count_M, num_groups).astype(np.int64)


def numbered(key_M: Codes, bound: int) -> tuple[Ints, Ints]:
    """The distinct keys, ascending, (K,), and the number of each row's key among them, (M,).

    Args:
        key_M: from 0 to below `bound`.
        bound: where it is small, the keys are looked up instead of sorted, twice as fast.
    """
    if bound > 8 * len(key_M):
        return np.unique(key_M, return_inverse=True)
    present = np.zeros(bound, bool)
    present[key_M] = True
    return np.flatnonzero(present), (np.cumsum(present) - 1)[key_M]


def distinct(group_M: Codes, name_M: Codes, num_groups: int, num_names: int) -> Ints:
    """The number of different names in each group, (G,)."""
    pairs, _ = _summed(group_M * np.int64(num_names) + name_M, None)
    return sums(pairs // max(num_names, 1), num_groups)


def ranking(
    group_M: Codes,
    name_M: Codes,
    names: Sequence[str],
    num_groups: int,
    count_M: Ints | None = None,
    *,
    most: int | None = None,
) -> tuple[dict[str, int], ...]:
    """The names in each group with the sums of their counts, by falling sum, then by spelling.

    Args:
        group_M: the group of each row.
        name_M: the number of its name.
        names: what the numbers stand for.
        num_groups: G.
        count_M: the count of each row; None for 1.
        most: how many names of a group are kept; None for all.
    """
    found: tuple[dict[str, int], ...] = tuple({} for _ in range(num_groups))
    if not len(group_M):
        return found
    spelled = sorted(range(len(names)), key=names.__getitem__)
    rank = np.empty(len(names), np.int64)
    rank[spelled] = np.arange(len(names))
    keys, sum_K = _summed(group_M * np.int64(len(names)) + rank[name_M], count_M)
    group_K, rank_K = np.divmod(keys, len(names))
    order = np.lexsort((-sum_K, group_K))  # stable, so equal sums stay in order of spelling
    if most is not None:
        place = np.arange(len(keys)) - np.searchsorted(group_K, group_K)
        order = order[place < most]
    for group, at, total in zip(
        group_K[order].tolist(), rank_K[order].tolist(), sum_K[order].tolist(), strict=True
    ):
        found[group][names[spelled[at]]] = total
    return found


def _summed(key_M: Ints, count_M: Ints | None) -> tuple[Ints, Ints]:
    """The distinct keys, ascending, and the sum of the counts of each."""
    if count_M is not None:
        keys, number_M = np.unique(key_M, return_inverse=True)
        return keys, sums(number_M, len(keys), count_M)
    key_M = np.sort(key_M)  # three times as fast as np.unique, which hashes
    start_K = np.flatnonzero(np.diff(key_M, prepend=-1))
    return key_M[start_K], np.diff(start_K, append=len(key_M))
