"""Do importance maps of several seeds agree?

    Spearman     rank correlation of two maps, mean over pairs of seeds
    Jaccard@k    size of the intersection over that of the union of two maps' top k coefficients

Shape letters: S seeds, C coefficients, R resamples.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import combinations
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from interpret.coefficients.importance import Importance
from interpret.heads.concentration import rank_correlation
from interpret.plain import plain

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Agreement:
    """One measure of agreement.

    Args:
        mean: over pairs of seeds.
        low: lower end of the 95 % interval: of Spearman's, over coefficients drawn anew with
            replacement; of Jaccard's, the least of all pairs.
        high: the upper end, likewise.
        chance: what 97.5 % of maps in random order stay below, at equal numbers.
    """

    mean: float
    low: float
    high: float
    chance: float


@dataclass(frozen=True)
class Stability:
    """How well the maps of several seeds agree.

    Args:
        kind: of importance.
        num_maps: S.
        top: k.
        spearman: rank correlation.
        jaccard: of the top k.
        always: (delta, block) among the top k of all seeds.
    """

    kind: str
    num_maps: int
    top: int
    spearman: Agreement
    jaccard: Agreement
    always: tuple[tuple[str, str], ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it; NaN is None."""
        found: dict[str, Any] = plain(self)
        return found


def stability(
    maps: Sequence[Importance],
    kind: str = "integrated",
    *,
    top: int = 10,
    num_resamples: int = 1000,
    seed: int = 0,
) -> Stability:
    """Compare the importance of the same coefficients, learned with several seeds.

    Args:
        maps: of at least two seeds; sizes count, signs do not.
        kind: one of `KINDS`.
        top: k, at least 1 and less than the number of coefficients.
        num_resamples: R, also of random orders.
        seed: of these.

    Raises:
        InputError: if there are fewer than two maps, they are of other coefficients, or k is out of
            range.
    """
    if len(maps) < 2 or any(each.entries != maps[0].entries for each in maps):
        raise InputError(
            f"expected importance of the same coefficients by two seeds or more, got {len(maps)} "
            "maps. Compose the same deltas at the same granularity."
        )
    map_SC = np.abs(np.array([each.scores[kind] for each in maps]))
    told = np.flatnonzero(~np.isnan(map_SC).any(axis=0))
    map_SC, count = map_SC[:, told], len(told)
    if not 1 <= top < count:
        raise InputError(f"expected the top 1 to {count - 1} coefficients, got {top}.")
    random = np.random.default_rng(seed)
    drawn = [_spearman(map_SC[:, random.integers(count, size=count)]) for _ in range(num_resamples)]
    low, high = np.nanquantile(drawn, [0.025, 0.975])
    mixed = [random.permuted(map_SC, axis=1) for _ in range(num_resamples)]
    found = _jaccards(map_SC, top)
    spearman_chance = np.nanquantile([_spearman(each) for each in mixed], 0.975)
    jaccard_chance = np.quantile([np.mean(_jaccards(each, top)) for each in mixed], 0.975)
    always = set.intersection(*_tops(map_SC, top))
    return Stability(
        kind,
        len(maps),
        top,
        Agreement(_spearman(map_SC), float(low), float(high), float(spearman_chance)),
        Agreement(float(np.mean(found)), min(found), max(found), float(jaccard_chance)),
        tuple(maps[0].entries[told[place]] for place in sorted(always)),
    )


def _spearman(map_SC: Floats) -> float:
    return float(np.mean([rank_correlation(a, b) for a, b in combinations(map_SC, 2)]))


def _jaccards(map_SC: Floats, top: int) -> list[float]:
    return [len(a & b) / len(a | b) for a, b in combinations(_tops(map_SC, top), 2)]


def _tops(map_SC: Floats, top: int) -> list[set[int]]:
    return [set(np.argsort(-row, kind="stable")[:top].tolist()) for row in map_SC]
