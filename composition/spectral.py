"""A shared orthonormal basis of all deltas of a Linear module; only its spectrum is learned.

    W(s) = W_0 + U diag(s) V^T,    U^T U = V^T V = 1

As in BOLT (CVPR 2026): the strongest singular directions of each delta are stacked, and the stack
is replaced by the orthonormal matrix nearest to it (X = P S Q^T -> P Q^T). The start is the mean
over deltas of what each of them is on these directions, diag(U^T delta_k V).

That matrix is only well defined if no direction nearly lies in the span of others. Adapters that
were started by one seed share most of A, so theirs do: a direction of which less than a tenth is
new, on either side, is left out, the strongest coming first.

All of it from factors: delta_k = B_k A_k = Q_B (R_B R_A^T) Q_A^T, whose core is r x r.

Shape letters: R ranks of all deltas together, S shared directions, I inputs, O outputs.
"""

from __future__ import annotations

import torch
from torch import Tensor

from composition.basis import StackedFactors
from datamodules.errors import InputError

_LEAST_NEW = 0.1  # length of what is new in a direction of length 1


def spectral_basis(factors: StackedFactors, count: int, name: str) -> tuple[StackedFactors, Tensor]:
    """The shared directions of one module and the start of their coefficients.

    Args:
        factors: of all deltas.
        count: number of shared directions; each delta gives an equal share of them, and no more
            than its rank. Fewer are made where the module is narrower.
        name: of the module, for the error.

    Returns:
        Directions V^T (S, I) and U (O, S), owned by no delta (-1), and the start (S,).

    Raises:
        InputError: if there are more deltas than directions.
    """
    inputs, outputs = factors.A_RI.shape[1], factors.B_OR.shape[0]
    owners = sorted(set(factors.owner_R.tolist()))
    share = min(count, inputs, outputs) // len(owners)
    if share < 1:
        raise InputError(
            f"granularity spectral:{count} has not one direction for each of the {len(owners)} "
            f"deltas in {name} ({inputs} inputs, {outputs} outputs). Choose a k of at least "
            f"{len(owners)}, or fewer deltas."
        )
    own = [factors.owner_R == owner for owner in owners]
    pairs = [(factors.B_OR[:, mask], factors.A_RI[mask]) for mask in own]
    tops = [_top_directions(b, a, share) for b, a in pairs]
    strength_S = torch.cat([strength for _, _, strength in tops])
    left_OS = torch.cat([left for left, _, _ in tops], dim=1)
    right_IS = torch.cat([right for _, right, _ in tops], dim=1)
    kept = _new_directions(left_OS, right_IS, strength_S.argsort(descending=True, stable=True))
    left_OS, right_IS = (_nearest_orthonormal(each[:, kept]) for each in (left_OS, right_IS))
    each_KS = torch.stack([((left_OS.T @ b) * (a @ right_IS).T).sum(1) for b, a in pairs])
    nobody = torch.full((left_OS.shape[1],), -1)
    return StackedFactors(right_IS.T.contiguous(), left_OS, nobody), each_KS.mean(0)


def _new_directions(left_OS: Tensor, right_IS: Tensor, order_S: Tensor) -> list[int]:
    """Columns, in the given order, that are new on both sides; returned in ascending order."""
    kept: list[int] = []
    spans = [left_OS[:, :0], right_IS[:, :0]]
    for column in order_S.tolist():
        rest = []
        for span, each in zip(spans, (left_OS[:, column], right_IS[:, column]), strict=True):
            new = each - span @ (span.T @ each)
            rest.append(new - span @ (span.T @ new))  # twice is enough against rounding
        if all(float(new.norm()) >= _LEAST_NEW for new in rest):
            kept.append(column)
            spans = [
                torch.cat([span, (new / new.norm())[:, None]], dim=1)
                for span, new in zip(spans, rest, strict=True)
            ]
    return sorted(kept)


def _top_directions(b: Tensor, a: Tensor, count: int) -> tuple[Tensor, Tensor, Tensor]:
    """The strongest left (O, s) and right (I, s) singular vectors of B A, and their values (s,)."""
    q_left, r_left = torch.linalg.qr(b)
    q_right, r_right = torch.linalg.qr(a.T)
    left, strength_R, right = torch.linalg.svd(r_left @ r_right.T, full_matrices=False)
    return q_left @ left[:, :count], q_right @ right[:count].T, strength_R[:count]


def _nearest_orthonormal(x: Tensor) -> Tensor:
    """P Q^T of x = P S Q^T: of all matrices with orthonormal columns, the nearest to x."""
    p, _, q = torch.linalg.svd(x, full_matrices=False)
    nearest: Tensor = p @ q
    return nearest
