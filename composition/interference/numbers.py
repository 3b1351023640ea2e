"""All that is measured of the deltas of one basis, whether trained or random.

Shape letters: K deltas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from itertools import combinations

import torch
from torch import Tensor

from composition.basis import Basis
from composition.interference.angles import Angles, angles
from composition.interference.report import WeightNumbers
from composition.solvers.least_squares import Residual, least_squares
from composition.solvers.moments import Moments
from composition.solvers.updates import updates_of

Key = tuple[str, int, int]  # a weight and two deltas
ALL = "all"  # stands for all weights together


@dataclass(frozen=True)
class Numbers:
    """Of each weight, and of `ALL`.

    Args:
        residuals: weight -> the least-squares problem of all deltas.
        norms: weight -> size of what each delta does.
        cosines: weight and pair -> cosine between what they do, where both do anything.
        angles: weight and pair -> principal angles, where both are low-rank.
    """

    residuals: dict[str, Residual]
    norms: dict[str, list[float]]
    cosines: dict[Key, float]
    angles: dict[Key, Angles]

    @classmethod
    def of(cls, basis: Basis, moments: Mapping[str, Moments], *, over_images: bool) -> Numbers:
        """Measure a basis.

        Args:
            basis: deltas.
            moments: of each delta's inputs.
            over_images: whether norms and cosines are over these inputs, all deltas' alike; else
                they are plain.
        """
        solution = least_squares(basis, "projection", moments=moments)
        residuals = {each.block: each for each in (*solution.blocks, solution.total)}
        numbers = cls(residuals, {}, {}, {})
        for weight, update in updates_of(basis).items():
            given = [own.get(weight) for own in moments.values()] if over_images else [None]
            numbers._add(weight, torch.stack([update.gram(moment) for moment in given]).mean(0))
            if update.factors is not None:
                found = angles(update.factors)
                numbers.angles.update({(weight, *pair): each for pair, each in found.items()})
        norms = torch.tensor(list(numbers.norms.values()), dtype=torch.float64)
        numbers.norms[ALL] = norms.norm(dim=0).tolist()
        return numbers

    def shares(self, weight: str) -> WeightNumbers:
        """Interference and gains in one weight."""
        residual = self.residuals[weight]
        zero = residual.zero or 1.0
        uniform_gain = (residual.one - residual.uniform) / zero
        return WeightNumbers(residual.one / zero, residual.gain, uniform_gain)

    def _add(self, weight: str, gram_KK: Tensor) -> None:
        norm_K = gram_KK.diagonal().clamp_min(0).sqrt()
        self.norms[weight] = norm_K.tolist()
        for k, other in combinations(norm_K.nonzero()[:, 0].tolist(), 2):
            self.cosines[weight, k, other] = float(gram_KK[k, other] / (norm_K[k] * norm_K[other]))
