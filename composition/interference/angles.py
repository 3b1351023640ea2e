"""Where low-rank deltas write and read: principal angles between their spaces.

A delta B A writes into the span of its left singular vectors (the columns of B) and reads the span
of its right ones (the rows of A). The cosines of the principal angles between two spaces are the
singular values of Q_k^T Q_l, for orthonormal bases Q (Bjorck and Golub, 1973).

    overlap = mean cos^2 over columns' angles * mean cos^2 over rows' angles, in [0, 1]

is the mean squared cosine of the principal angles between the two spaces of all matrices with these
columns and rows: 0 if the deltas write, or read, at right angles; 1 if one has both spaces of the
other.

Shape letters: K deltas, R ranks of all together, r largest rank of one, I inputs, O outputs.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from composition.basis import StackedFactors

_TOLERANCE = 1e-6  # of the largest singular value: float32 cannot tell less from none


class Singular(NamedTuple):
    """A low-rank matrix as left (O, s), values (s,), descending, and right (I, s); all positive."""

    left: Tensor
    values: Tensor
    right: Tensor


class Angles(NamedTuple):
    """Between two deltas, in degrees, ascending; as many as the lower rank."""

    columns: tuple[float, ...]
    rows: tuple[float, ...]
    overlap: float


def singular(factors: StackedFactors, delta: int) -> Singular:
    """The singular value decomposition of one delta, from its factors."""
    own = factors.owner_R == delta
    left, left_core = torch.linalg.qr(factors.B_OR[:, own].double())
    right, right_core = torch.linalg.qr(factors.A_RI[own].double().T)
    u, values, vh = torch.linalg.svd(left_core @ right_core.T)
    rank = int((values > _TOLERANCE * values.max()).sum()) if len(values) else 0
    return Singular(left @ u[:, :rank], values[:rank], right @ vh[:rank].T)


def angles(factors: StackedFactors) -> dict[tuple[int, int], Angles]:
    """Angles of all pairs of deltas that change a module, by their numbers, lower first.

    Deltas that are zero have no spaces and are left out.
    """
    found = {delta: singular(factors, delta) for delta in dict.fromkeys(factors.owner_R.tolist())}
    found = {delta: each for delta, each in found.items() if len(each.values)}
    deltas = list(found)
    if len(deltas) < 2:
        return {}
    first, second = torch.triu_indices(len(deltas), len(deltas), 1)
    columns, rows = (
        _cosines([getattr(found[delta], side) for delta in deltas], first, second)
        for side in ("left", "right")
    )
    pairs = {}
    for place, (one, other) in enumerate(zip(first.tolist(), second.tolist(), strict=True)):
        k, m = deltas[one], deltas[other]
        count = min(len(found[k].values), len(found[m].values))
        column, row = columns[place, :count], rows[place, :count]
        overlap = float(column.square().mean() * row.square().mean())
        pairs[k, m] = Angles(_degrees(column), _degrees(row), overlap)
    return pairs


def _cosines(bases: list[Tensor], first: Tensor, second: Tensor) -> Tensor:
    """Cosines (pairs, r), descending; columns of zeros fill bases of lower rank up."""
    rank = max(each.shape[1] for each in bases)
    filled = torch.stack([F.pad(each, (0, rank - each.shape[1])) for each in bases])
    cosines: Tensor = torch.linalg.svdvals(filled[first].mT @ filled[second])
    return cosines.clamp(max=1)


def _degrees(cosines: Tensor) -> tuple[float, ...]:
    return tuple(cosines.arccos().rad2deg().tolist())
