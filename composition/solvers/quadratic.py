"""The squared error of one block as a function of its coefficients.

    f(c) = c.H c - 2 b.c + constant,    H = sum_t G^t,    b = sum_t w_t G^t[:, t]

Shape letters: K deltas.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from composition.solvers.updates import Target, Updates


@dataclass
class Quadratic:
    """f, made by adding the weights of a block to `zero`.

    Args:
        H_KK: curvature / 2.
        b_K: slope / -2 at c = 0.
        constant: f(0).
        floor: what no update of these weights can get below.
    """

    H_KK: Tensor
    b_K: Tensor
    constant: float = 0.0
    floor: float = 0.0

    @classmethod
    def zero(cls, num_deltas: int) -> Quadratic:
        """The error of no weights."""
        zeros = torch.zeros(num_deltas, num_deltas, dtype=torch.float64)
        return cls(zeros, zeros[0].clone())

    def __call__(self, c_K: Tensor) -> float:
        """f(c)."""
        return max(0.0, float(c_K @ self.H_KK @ c_K - 2 * self.b_K @ c_K) + self.constant)

    def add(self, update: Updates, targets: Sequence[Target]) -> None:
        """Count one weight in."""
        constant = 0.0
        for target in targets:
            gram_KK = update.gram(target.moment)
            self.H_KK += gram_KK
            self.b_K += target.weight * gram_KK[:, target.delta]
            constant += target.weight**2 * float(gram_KK[target.delta, target.delta])
        self.constant += constant
        self.floor += max(0.0, constant - update.explained(targets))

    def solve(self, ridge: float) -> Tensor:
        """The minimum with f's own diagonal times `ridge` added, of least norm where not unique.

        A coefficient counts by how much its delta does, so that no delta's unit matters.
        """
        size_K = self.H_KK.diagonal().clamp_min(0).sqrt()
        inverse_K = torch.where(size_K > 0, 1 / size_K, 0.0)
        scaled_KK = inverse_K[:, None] * self.H_KK * inverse_K
        scaled_KK += ridge * (size_K > 0).double().diag()
        # 1e-12: what float64 leaves of deltas that are copies of each other in this block.
        best_K: Tensor = torch.linalg.pinv(scaled_KK, rtol=1e-12, hermitian=True) @ (
            inverse_K * self.b_K
        )
        return inverse_K * best_K
