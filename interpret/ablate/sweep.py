"""What accuracy is lost without a part, part by part.

Shape letters: N images, P parts, C texts, S sets of parts, A attributes.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence

import numpy as np
from numpy.typing import NDArray

from interpret.ablate.ablation import Ablation, direct_effect
from interpret.parts import Asked, Part, PartScores

Floats = NDArray[np.float64]


def drops(
    scores: PartScores,
    sets: Sequence[Collection[Part]],
    asked: Sequence[Asked],
    ablation: Ablation,
) -> Floats:
    """Accuracy before minus accuracy after, (S, A), in shares: above 0, the parts helped.

    Memory is that of one (N, C) table, however many sets.

    Args:
        scores: of the images that are judged.
        sets: each is ablated alone.
        asked: attributes of these images.
        ablation: what takes the place of the parts.

    Raises:
        InputError: if a part is unknown, or labels or ablation do not fit the table.
    """
    for each in asked:
        each.check(scores)
    whole_NC = scores.logits_NC
    before_A = np.array([each.accuracy(whole_NC) for each in asked])
    rows = []
    for parts in sets:
        left_NC = whole_NC - direct_effect(scores, parts, ablation)
        rows.append([each.accuracy(left_NC) for each in asked])
    return np.asarray(before_A - np.array(rows).reshape(len(sets), len(asked)))


def sweep(scores: PartScores, asked: Sequence[Asked], ablation: Ablation) -> Floats:
    """`drops` of every part of the table alone, (P, A)."""
    return drops(scores, [[part] for part in scores.parts], asked, ablation)
