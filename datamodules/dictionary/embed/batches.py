"""Batches whose shape depends on nothing but the texts' own lengths.

Sums of floats depend on the shape of the arrays they are in. Where every batch has the same number
of texts, all of one length, a text gets the same bytes whatever texts come with it: today among
thousands, tomorrow as the one new string of a rebuild. Measured on one kind of processor, with one
thread and with two; where a library adds up in another order, rows differ by about 1e-7.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby


def equal_batches(lengths: Sequence[int], size: int) -> Iterator[tuple[int, list[int]]]:
    """Yield (length, rows) of at most `size` texts of one length, longest first.

    Example:
        >>> list(equal_batches([3, 5, 3, 3], 2))
        [(5, [1]), (3, [0, 2]), (3, [3])]
    """
    order = sorted(range(len(lengths)), key=lambda row: (-lengths[row], row))
    for length, group in groupby(order, key=lambda row: lengths[row]):
        rows = list(group)
        for start in range(0, len(rows), size):
            yield length, rows[start : start + size]


def filled(rows: list[int], size: int) -> list[int]:
    """`size` rows: the last batch of a length is filled with its first row.

    Example:
        >>> filled([4, 7], 4)
        [4, 7, 4, 4]
    """
    return rows + rows[:1] * (size - len(rows))
