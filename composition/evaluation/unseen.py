"""Combinations of values, some of them new to training: the numbers of compositional zero-shot.

Over the images of all test splits together, which hold what training shows and what it does not.

    seen, unseen                                  accuracies without a bias
    best_seen, best_unseen, best_harmonic, auc    over all biases, see
                                                  `lightning_modules.metrics.compositional`

Shape letters: N images, C combinations.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
from torch import Tensor

from composition.evaluation.answers import Answers
from lightning_modules.metrics import exact_curve, flips
from lightning_modules.metrics.compositional import summary
from lightning_modules.metrics.curve import accuracies_at

METRICS = ("seen", "unseen", "best_seen", "best_unseen", "best_harmonic", "auc")


def seen_and_unseen(found: Sequence[Answers], seen_C: Tensor, *, closed: bool) -> dict[str, float]:
    """The numbers of `METRICS`; NaN where there is no image of a kind.

    Args:
        found: answers of each test split.
        seen_C: bool, the training split shows the combination.
        closed: whether only combinations of the training and of these splits may be predicted.
    """
    logits_NC, label_NC, known_NC = (torch.cat(parts) for parts in zip(*found, strict=True))
    shown_NC = label_NC.bool() & known_NC
    target_N = torch.where(shown_NC.any(1), shown_NC.int().argmax(1), -1)
    candidates_C = seen_C | shown_NC.any(0) if closed else None
    images = flips(logits_NC, target_N, seen_C, candidates_P=candidates_C)
    plain = dict(zip(METRICS, accuracies_at(images, torch.zeros(1)), strict=False))
    return {name: float(value) for name, value in (plain | summary(exact_curve(images))).items()}
