"""Is an order of parts a good one? They are ablated one after the other, best first.

    deletion    accuracy as more and more parts of the order go: the faster it falls, the better
    insertion   accuracy as they come back to a model without any of them: the faster it rises

Each is compared with the same parts in random orders, by the area under its curve. How much is lost
with the first k gone is comprehensiveness, what is kept with them alone is sufficiency (DeYoung et
al., ACL 2020).

Shape letters: N images, V values of the attribute, K parts of the order.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Literal

import numpy as np

from datamodules.errors import InputError
from interpret.ablate.ablation import Ablation, direct_effect
from interpret.parts import Asked, Part, PartScores
from interpret.parts.scores import Floats


@dataclass(frozen=True)
class OrderCurve:
    """One curve and its comparison with chance.

    Args:
        kind: "deletion" or "insertion".
        order: the parts.
        accuracy: K + 1 numbers, from the model with all or none of them.
        area: mean height of the curve, trapezoids between its points.
        random_area: mean over random orders.
        z: (area - random_area) / their deviation; a good order is far below 0 in deletion, far
            above in insertion. 0 if all orders are alike.
    """

    kind: Literal["deletion", "insertion"]
    order: tuple[Part, ...]
    accuracy: tuple[float, ...]
    area: float
    random_area: float
    z: float


def order_curve(
    scores: PartScores,
    asked: Asked,
    order: Sequence[Part],
    ablation: Ablation,
    kind: Literal["deletion", "insertion"] = "deletion",
    *,
    num_random: int = 20,
    seed: int = 0,
) -> OrderCurve:
    """Judge an order of parts by direct effects.

    Args:
        scores: of images that the order was not made from.
        asked: the attribute that the order is about.
        order: parts, the most important first; parts outside it stay.
        ablation: what takes the place of a part.
        kind: whether parts go or come back.
        num_random: random orders to compare with.
        seed: of these.

    Raises:
        InputError: if the order is empty or repeats a part, or labels or ablation do not fit.
    """
    if not order or len(set(order)) < len(order):
        raise InputError(
            f"expected an order of parts, each once, got {len(order)}, of which {len(set(order))} "
            "are different."
        )
    asked.check(scores)
    own = replace(asked, columns=np.arange(len(asked.columns)))  # no other text is kept
    effects = [direct_effect(scores, [part], ablation)[:, asked.columns] for part in order]
    whole_NV = scores.logits_NC[:, asked.columns]
    sign = -1 if kind == "deletion" else 1
    start_NV = whole_NV if sign < 0 else whole_NV - np.sum(effects, axis=0)

    def curve(places: Sequence[int]) -> list[float]:
        left_NV: Floats = start_NV
        heights = [own.accuracy(left_NV)]
        for place in places:
            left_NV = left_NV + sign * effects[place]
            heights.append(own.accuracy(left_NV))
        return heights

    found = curve(range(len(order)))
    random = np.random.default_rng(seed)
    areas = [_area(curve(random.permutation(len(order)).tolist())) for _ in range(num_random)]
    mean, spread = (float(np.mean(areas)), float(np.std(areas))) if areas else (_area(found), 0.0)
    z = (_area(found) - mean) / spread if spread > 1e-12 else 0.0  # rounding is no spread
    return OrderCurve(kind, tuple(order), tuple(found), _area(found), mean, z)


def _area(heights: Sequence[float]) -> float:
    return float((np.sum(heights) - (heights[0] + heights[-1]) / 2) / (len(heights) - 1))
