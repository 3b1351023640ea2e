"""Which part each entry of a weight belongs to: looked up by a hash, never stored.

    part(weight, i) = floor(K u(weight, i)),    u uniform in [0, 1)

u is `datamodules.counter_random.uniform` with seed 0, the weight's name as the stream and the
entry's flat number as the index, computed here where the weight lies. So a part depends on nothing
else: not on the other weights, their order, the device or the process.
"""

from __future__ import annotations

import zlib

import torch
from torch import Tensor

_WORD = 1 << 64
_GOLDEN = 0x9E3779B97F4A7C15
_RANGE = 1 << 22  # entries hashed at once: bounds the memory of what lies between


def part_seed(weight: str) -> int:
    """What decides the parts of a weight of this name in the split model."""
    return _signed(zlib.crc32(weight.encode()) * 0x9E3779B9 % _WORD)


def parts(seed: int, entries: int, count: int, device: torch.device) -> Tensor:
    """Part numbers in [0, count), int64 (entries,), of all entries of a weight.

    Args:
        seed: `part_seed` of its name.
        entries: how many numbers it holds.
        count: number of parts, below 2 ** 24.
        device: where the part numbers are wanted.

    Example:
        >>> parts(part_seed("a.weight"), 4, 3, torch.device("cpu")).tolist()
        [0, 2, 0, 2]
    """
    stream = torch.full((), seed, device=device)
    out = torch.empty(entries, dtype=torch.int64, device=device)
    for start in range(0, entries, _RANGE):
        index = torch.arange(start, min(start + _RANGE, entries), device=device)
        row = _mix(_mix(stream) ^ (index * _signed(0xD1342543DE82EF95)))
        bits_24 = _shift(_mix(row + _signed(_GOLDEN)), 40)
        out[start : start + _RANGE] = (bits_24 * count) >> 24
    return out


def _mix(x: Tensor) -> Tensor:
    """The finalizer of SplitMix64 (Steele et al., OOPSLA 2014) on 64-bit words kept in int64."""
    x = (x ^ _shift(x, 30)) * _signed(0xBF58476D1CE4E5B9)
    x = (x ^ _shift(x, 27)) * _signed(0x94D049BB133111EB)
    return x ^ _shift(x, 31)


def _shift(x: Tensor, places: int) -> Tensor:
    """Shift right and fill with zeros: torch would fill with the sign."""
    return (x >> places) & ((1 << (64 - places)) - 1)


def _signed(word: int) -> int:
    return word - _WORD if word >= _WORD >> 1 else word
