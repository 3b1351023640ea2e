"""Accuracy of each class, averaged over the classes that occur (Xian et al., TPAMI 2019).

    accuracy = mean over classes c that occur of  #{images of c predicted as c} / #{images of c}

A class of two images weighs as much as one of two hundred, and a class without images not at all.

Shape letters: B images, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from datamodules.errors import InputError


def class_counts(target_B: Tensor, correct_B: Tensor, num_classes: int) -> tuple[Tensor, Tensor]:
    """Right images and images of each class, int64 (C,) both; a target of -1 is not counted.

    Example:
        >>> class_counts(torch.tensor([0, 0, 2, -1]), torch.tensor([1, 0, 1, 1]), 3)
        (tensor([1, 0, 1]), tensor([2, 0, 1]))
    """
    zeros_C = torch.zeros(num_classes, dtype=torch.int64, device=target_B.device)
    scored_B = (target_B >= 0).long()
    # scatter_add, unlike bincount, is allowed when deterministic algorithms are demanded.
    hits_C = zeros_C.scatter_add(0, target_B.clamp(min=0), correct_B.long() * scored_B)
    return hits_C, zeros_C.scatter_add(0, target_B.clamp(min=0), scored_B)


def mean_per_class(hits_C: Tensor, totals_C: Tensor) -> Tensor:
    """Mean accuracy over the classes that occur, scalar float32; NaN where none does."""
    return (hits_C / totals_C).nanmean()


def check_scores(scores_BC: Tensor, target_B: Tensor, num_classes: int) -> None:
    """Refuse scores and targets that cannot belong together.

    Args:
        scores_BC: one column a class.
        target_B: column of the true class of each image; -1 where it is not known.
        num_classes: C.

    Raises:
        InputError: for a wrong shape, or a target that is no column.
    """
    fits = scores_BC.ndim == 2 and scores_BC.shape[1] == num_classes
    if not fits or target_B.shape != scores_BC.shape[:1] or target_B.is_floating_point():
        raise InputError(
            f"expected scores (B, {num_classes}) and targets (B,) of whole numbers, got "
            f"{tuple(scores_BC.shape)} and {tuple(target_B.shape)} {target_B.dtype}. Give one row "
            "an image and one column a class."
        )
    if len(target_B) and not -1 <= target_B.min() <= target_B.max() < num_classes:
        raise InputError(
            f"expected targets from 0 to {num_classes - 1} (-1: not known), got "
            f"{int(target_B.min())} to {int(target_B.max())}. Give each image the column of its "
            "true class."
        )


class PerClassAccuracy(Metric):
    """Mean per-class accuracy of the highest score; keeps two counts a class.

    Args:
        num_classes: C, the number of classes.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    hits: Tensor
    totals: Tensor

    def __init__(self, num_classes: int) -> None:
        super().__init__()
        for name in ("hits", "totals"):
            self.add_state(name, torch.zeros(num_classes, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, scores: Tensor, target: Tensor) -> None:
        """Count a batch: scores (B, C), target (B,) with -1 where the class is not known.

        Raises:
            InputError: for a wrong shape, or a target that is no column.
        """
        check_scores(scores, target, len(self.totals))
        hits_C, totals_C = class_counts(target, scores.argmax(dim=1) == target, len(self.totals))
        self.hits += hits_C
        self.totals += totals_C

    def compute(self) -> Tensor:
        """The mean per-class accuracy, scalar float32; NaN before any image."""
        return mean_per_class(self.hits, self.totals)
