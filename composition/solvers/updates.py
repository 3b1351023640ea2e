"""What K deltas add to one weight, and the inner products of it that solvers need.

    <delta_k, delta_l>_C = tr(delta_k C delta_l^T) = E (delta_k x) . (delta_l x),    C = E x x^T

x is what the weight's Linear module reads; C = 1 is the plain inner product. Low-rank updates never
become dense: with delta_k = B_k A_k,

    <delta_k, delta_l>_C = sum((A_k C A_l^T) * (B_k^T B_l)),

one product over the stacked factors of all deltas and the sums of its blocks. So all that has to be
known of C is the second moment of A x, as small as the ranks. Dense updates need C itself; they are
read once, some rows at a time. Numbers are in float64, on the host.

Shape letters: K deltas, R ranks of all deltas together, I inputs, O outputs.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from composition.basis import Basis, Differences, StackedFactors
from lightning_modules.lora import linear_modules

_NUMBERS = 1 << 22  # of dense updates that are read at a time: 32 MiB
_JITTER = 1e-12  # of a moment's trace, on its diagonal: makes it invertible


class Target(NamedTuple):
    """What a weight should do to the inputs of one task: `weight` times what a delta does.

    Args:
        delta: number of the delta.
        weight: 1 to keep what it does, -1 for the opposite.
        moment: of the task's inputs, over `directions`; None for C = 1.
    """

    delta: int
    weight: float
    moment: Tensor | None


@dataclass(frozen=True)
class FactorUpdates:
    """Low-rank updates of one weight.

    Args:
        num_deltas: K.
        factors: of all deltas that change the weight, in float64.
    """

    num_deltas: int
    factors: StackedFactors

    @property
    def directions(self) -> Tensor:
        """What moments are over: a moment is E (A x)(A x)^T, (R, R)."""
        return self.factors.A_RI

    def gram(self, moment_RR: Tensor | None = None) -> Tensor:
        """Inner products of all pairs, (K, K); 0 for deltas that leave this weight alone."""
        b_OR = self.factors.B_OR
        own_RK = F.one_hot(self.factors.owner_R, self.num_deltas).double()
        return own_RK.T @ (self._filled(moment_RR) * (b_OR.T @ b_OR)) @ own_RK

    def explained(self, targets: Sequence[Target]) -> float:
        """How far the best update B M A, M free, lowers the squared error of all targets."""
        num_ranks = len(self.factors.owner_R)
        total_RR, sought_RR = torch.zeros(2, num_ranks, num_ranks, dtype=torch.float64)
        for delta, weight, moment in targets:
            filled_RR = self._filled(moment)
            total_RR += filled_RR
            sought_RR += weight * (self.factors.owner_R == delta)[:, None] * filled_RR
        return _squared(self.factors.B_OR @ sought_RR, _root(total_RR))

    def own_moment(self, delta: int) -> Tensor:
        """The moment of inputs spread as the rows of a delta, of mean square 1, (R, R)."""
        a_RI, b_OR, owner_R = self.factors
        own = owner_R == delta
        written = b_OR[:, own].T @ b_OR[:, own]
        norm = float((written * (a_RI[own] @ a_RI[own].T)).sum())
        seen = a_RI @ a_RI[own].T
        return seen @ written @ seen.T * (a_RI.shape[1] / (norm or 1.0))

    def _filled(self, moment_RR: Tensor | None) -> Tensor:
        return self.directions @ self.directions.T if moment_RR is None else moment_RR


@dataclass(frozen=True)
class DenseUpdates:
    """Updates of one weight of which some are dense; low-rank ones beside them count as dense too.

    Args:
        num_deltas: K.
        width: I of a Linear module's weight; 0 for any other parameter, which has no moments.
        differences: dense updates.
        factors: low-rank updates, in float64, or None.
    """

    num_deltas: int
    width: int
    differences: Differences
    factors: StackedFactors | None

    @property
    def directions(self) -> None:
        """Moments are over the inputs themselves: a moment is C = E x x^T, (I, I)."""
        return None

    def gram(self, moment_II: Tensor | None = None) -> Tensor:
        """Inner products of all pairs, (K, K); 0 for deltas that leave this weight alone."""
        products = torch.zeros(self.num_deltas, self.num_deltas, dtype=torch.float64)
        for rows_KNI in self._rows():
            seen = rows_KNI if moment_II is None else rows_KNI @ moment_II
            products += seen.flatten(1) @ rows_KNI.flatten(1).T
        return (products + products.T) / 2

    def explained(self, targets: Sequence[Target]) -> float:
        """How far the best update of any kind lowers the squared error of all targets (RegMean)."""
        plain = all(target.moment is None for target in targets)
        eye = torch.eye(1 if plain else self.width, dtype=torch.float64)
        moments = [eye if target.moment is None else target.moment for target in targets]
        root, gain = _root(torch.stack(moments).sum(0)), 0.0
        for rows_KNI in self._rows():
            sought_NI = torch.zeros_like(rows_KNI[0])
            for delta, weight, moment in targets:
                seen = rows_KNI[delta] if moment is None else rows_KNI[delta] @ moment
                sought_NI += weight * seen
            gain += _squared(sought_NI.reshape(-1, 1) if plain else sought_NI, root)
        return gain

    def own_moment(self, delta: int) -> Tensor | None:
        """The moment of inputs spread as the rows of a delta, of mean square 1, (I, I)."""
        if not self.width:
            return None
        moment = torch.zeros(self.width, self.width, dtype=torch.float64)
        for rows_1NI in self._rows([delta]):
            moment += rows_1NI[0].T @ rows_1NI[0]
        return moment * (self.width / (float(moment.trace()) or 1.0))

    def _rows(self, deltas: Sequence[int] | None = None) -> Iterator[Tensor]:
        """Some rows of all updates at a time, (K, N rows, I); of one number each without I.

        Args:
            deltas: numbers of the deltas that are read, all by default.
        """
        width, chosen = self.width or 1, range(self.num_deltas) if deltas is None else deltas
        size = max(1, _NUMBERS // (len(chosen) * width))
        num_rows = self.differences.tensors[0].numel() // width
        for start in range(0, num_rows, size):
            rows = slice(start, min(start + size, num_rows))
            yield torch.stack([self._part(delta, rows, width) for delta in chosen])

    def _part(self, delta: int, rows: slice, width: int) -> Tensor:
        owners = self.differences.owner
        if delta in owners:
            update: Tensor = self.differences.tensors[owners.index(delta)]
            return update.reshape(-1, width)[rows].double()
        if self.factors is not None:
            a_RI, b_OR, owner_R = self.factors
            own = owner_R == delta
            return b_OR[rows, own] @ a_RI[own]
        return torch.zeros(rows.stop - rows.start, width, dtype=torch.float64)


Updates = FactorUpdates | DenseUpdates


def updates_of(basis: Basis) -> dict[str, Updates]:
    """Weight -> its updates, for all weights that some delta changes, in the model's order."""
    linears, num_deltas = linear_modules(basis.model), len(basis.names)
    updates: dict[str, Updates] = {}
    for weight in basis.weights:
        name = weight.removesuffix(".weight")
        found = basis.factors.get(name) if name != weight else None
        factors = found and StackedFactors(
            found.A_RI.double().cpu(), found.B_OR.double().cpu(), found.owner_R.cpu()
        )
        differences = basis.differences.get(weight)
        if differences is not None:
            is_linear = name != weight and name in linears
            width = linears[name].in_features if is_linear else 0
            updates[weight] = DenseUpdates(num_deltas, width, differences, factors)
        else:
            assert factors is not None
            updates[weight] = FactorUpdates(num_deltas, factors)
    return updates


def _root(total_SS: Tensor) -> Tensor:
    """L of L L^T = a sum of moments; directions that no task reads get a trace of weight."""
    trace = float(total_SS.trace())
    jitter = trace * _JITTER or 1.0
    root: Tensor = torch.linalg.cholesky(total_SS + jitter * torch.eye(len(total_SS)).double())
    return root


def _squared(sought_OS: Tensor, root_SS: Tensor) -> float:
    """tr(N S^-1 N^T) for S = L L^T."""
    solved = torch.linalg.solve_triangular(root_SS, sought_OS.T, upper=False)
    return float(solved.square().sum())
