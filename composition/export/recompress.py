"""Low-rank updates in fewer directions: the best of a given rank, found without a dense update.

    B A = Q_B (R_B R_A^T) Q_A^T,    R_B R_A^T = U S V^T
    kept: B' = Q_B U_r sqrt(S_r),   A' = sqrt(S_r) V_r^T Q_A^T

By Eckart and Young no other update of rank r is nearer in the Frobenius norm, and the error is the
part of S that was left out. The core is at most R x R, in float64.

Shape letters: I inputs, O outputs, R rank as given.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from datamodules.errors import InputError
from lightning_modules.delta import Factor


@dataclass(frozen=True)
class Recompressed:
    """Factors of lower rank and how far they are from the given ones.

    Args:
        factors: module -> factors, of rank 1 at least.
        errors: module -> |kept - given| / |given|, Frobenius norms of B A.
        error: the same over all modules together.
    """

    factors: dict[str, Factor]
    errors: dict[str, float]
    error: float


def recompress(
    factors: Mapping[str, Factor], *, rank: int | None = None, energy: float | None = None
) -> Recompressed:
    """Reduce every module to a rank, or to the lowest one that keeps a share of its energy.

    Args:
        factors: module -> A (R, I) and B (O, R), scales included.
        rank: at least 1; a module of a lower rank keeps its own.
        energy: share of the sum of squared singular values to keep, in (0, 1]; 1 only drops what
            is lost to rounding.

    Raises:
        InputError: unless exactly one of rank and energy is given and in its range.
    """
    _check(rank, energy)
    kept, errors = {}, {}
    total = lost = 0.0
    for name, factor in factors.items():
        left_OR, s_R, right_RI = _decompose(factor)
        number = _count(s_R, rank, energy)
        energies = s_R.square()
        tail, whole = float(energies[number:].sum()), float(energies.sum())
        errors[name] = math.sqrt(tail / whole) if whole else 0.0
        total, lost = total + whole, lost + tail
        roots = s_R[:number].sqrt()
        a, b = roots[:, None] * right_RI[:number], left_OR[:, :number] * roots
        kept[name] = Factor(a.to(factor.A.dtype), b.to(factor.B.dtype))
    return Recompressed(kept, errors, math.sqrt(lost / total) if total else 0.0)


def relative_distance(got: Mapping[str, Factor], expected: Mapping[str, Factor]) -> float:
    """|got - expected| / |expected| over all modules, Frobenius norms of B A; nothing dense."""
    between = dict(expected)
    for name, (a, b) in got.items():
        other = between.get(name, Factor(a[:0], b[:, :0]))
        between[name] = Factor(torch.cat([other.A, a]), torch.cat([other.B, -b], dim=1))
    norm = _squared_norm(expected)
    return math.sqrt(_squared_norm(between) / norm) if norm else 0.0


def _check(rank: int | None, energy: float | None) -> None:
    if (rank is None) == (energy is None):
        raise InputError(
            f"rank is {rank} and energy is {energy}, expected exactly one of the two: a rank, or "
            "a share of the energy to keep."
        )
    if rank is not None and rank < 1:
        raise InputError(f"rank is {rank}, expected at least 1.")
    if energy is not None and not 0 < energy <= 1:
        raise InputError(f"energy is {energy}, expected a share in (0, 1].")


def _decompose(factor: Factor) -> tuple[Tensor, Tensor, Tensor]:
    """Singular vectors (O, R), values (R,) and vectors (R, I) of B A, in float64."""
    q_left, r_left = torch.linalg.qr(factor.B.double())
    q_right, r_right = torch.linalg.qr(factor.A.double().T)
    left, s, right = torch.linalg.svd(r_left @ r_right.T, full_matrices=False)
    return q_left @ left, s, right @ q_right.T


def _count(s_R: Tensor, rank: int | None, energy: float | None) -> int:
    """How many singular values to keep: one at least, else none that is zero to rounding."""
    rounding = torch.finfo(s_R.dtype).eps * len(s_R)
    present = max(1, int((s_R > rounding * s_R[0]).sum()))
    if rank is not None:
        return min(rank, present)
    sums = s_R.square().cumsum(0)
    enough = int((sums < (energy or 1.0) * sums[-1]).sum()) + 1
    return min(enough, present)


def _squared_norm(factors: Mapping[str, Factor]) -> float:
    """Sum of |B A|^2 = tr(B^T B A A^T)."""
    pairs = ((factor.A.double(), factor.B.double()) for factor in factors.values())
    return max(0.0, sum(float(((b.T @ b) * (a @ a.T)).sum()) for a, b in pairs))
