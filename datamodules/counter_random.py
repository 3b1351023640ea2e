"""Random numbers that are looked up, not drawn: pure functions of (seed, stream, index).

A counter-based hash (SplitMix64, Steele et al., OOPSLA 2014) in place of a generator with a state:
the numbers of one item do not depend on what was drawn before it, or by which process.
"""

from __future__ import annotations

import zlib
from typing import Any

import numpy as np
from numpy.typing import NDArray


def uniform(
    seed: int, stream: str, index: NDArray[np.integer[Any]], count: int
) -> NDArray[np.float32]:
    """Uniform numbers in [0, 1), float32 (N, count), one row for each index.

    Args:
        seed: 0 or more.
        stream: name of what the numbers are for; different streams are unrelated.
        index: shape (N,), non-negative.
        count: numbers of each row; the first ones do not change when it grows.
    """
    with np.errstate(over="ignore"):
        base = _mix(
            np.uint64(seed) + np.uint64(zlib.crc32(stream.encode())) * np.uint64(0x9E3779B9)
        )
        row = _mix(base ^ index.astype(np.uint64) * np.uint64(0xD1342543DE82EF95))
        cell = _mix(
            row[:, None] + np.arange(1, count + 1, dtype=np.uint64) * np.uint64(0x9E3779B97F4A7C15)
        )
    return np.asarray((cell >> np.uint64(40)).astype(np.float32) / np.float32(1 << 24))


def _mix(x: NDArray[np.uint64] | np.uint64) -> NDArray[np.uint64]:
    x = (np.asarray(x) ^ (np.asarray(x) >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    x = (x ^ (x >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    return np.asarray(x ^ (x >> np.uint64(31)))
