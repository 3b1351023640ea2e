"""Segmentation scores of heat maps, by the protocol of Chefer et al. (CVPR 2021).

    pix_acc   share of all pixels of all images that are on their right side
    miou      intersection over union of object and background, each summed over all images first
    map       mean over images of the average precision of 2HW scores: a pixel is object with score
              m and background with score 1 - m, m in [0, 1] being the map

Scores are sums over images, so batches of any size, in any order, give the same.

Shape letters: B images, H x W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor
from torchmetrics import Metric

from interpret.segment.checks import check_pairs
from interpret.segment.threshold import Threshold, above
from lightning_modules.metrics import average_precision


def overlaps(predicted_BHW: Tensor, masks_BHW: Tensor) -> Tensor:
    """Pixels that are background, object in both and in either: int64 (B, 2, 2).

    The middle axis is background, object; the last is intersection, union.
    """
    pairs = ((~predicted_BHW, ~masks_BHW), (predicted_BHW, masks_BHW))
    counts = [[(p & m).sum((1, 2)), (p | m).sum((1, 2))] for p, m in pairs]
    return torch.stack([torch.stack(each, dim=1) for each in counts], dim=1)


def two_sided_precision(maps_BHW: Tensor, masks_BHW: Tensor) -> Tensor:
    """Average precision of each image over object and background together, float32 (B,).

    Args:
        maps_BHW: in [0, 1].
        masks_BHW: bool.
    """
    score_PB = torch.cat([1 - maps_BHW, maps_BHW], dim=1).flatten(1).T
    label_PB = torch.cat([~masks_BHW, masks_BHW], dim=1).flatten(1).T
    return average_precision(score_PB, label_PB, torch.ones_like(label_PB))


class SegmentationScores(Metric):
    """The scores of the module's docstring; keeps seven numbers.

    Args:
        threshold: where the object begins, see `above`.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    correct: Tensor
    overlap: Tensor
    precision: Tensor
    images: Tensor

    def __init__(self, *, threshold: Threshold = "mean") -> None:
        super().__init__()
        above(torch.zeros(1, 1, 1), threshold)  # a wrong one is refused now
        self.threshold: Threshold = threshold
        counts = {"correct": (2,), "overlap": (2, 2), "images": ()}
        for name, shape in counts.items():
            zeros = torch.zeros(shape, dtype=torch.int64)
            self.add_state(name, zeros, dist_reduce_fx="sum")
        zero = torch.zeros((), dtype=torch.float64)
        self.add_state("precision", zero, dist_reduce_fx="sum")

    def update(self, maps: Tensor, masks: Tensor) -> None:
        """Count a batch: maps (B, H, W) in [0, 1], masks (B, H, W) bool.

        Raises:
            InputError: if the shapes differ or the masks are not boolean.
        """
        check_pairs(maps, masks)
        predicted_BHW = above(maps, self.threshold)
        right = (predicted_BHW == masks).sum()
        self.correct += torch.stack([right, torch.full_like(right, masks.numel())])
        self.overlap += overlaps(predicted_BHW, masks).sum(0)
        self.precision += two_sided_precision(maps.float(), masks).double().sum()
        self.images += len(maps)

    def compute(self) -> dict[str, Tensor]:
        """The scores, float32 scalars; NaN before any image, or of a side that never occurs."""
        sides_2 = self.overlap[:, 0].double() / self.overlap[:, 1]
        found = {
            "pix_acc": self.correct[0].double() / self.correct[1],
            "miou": sides_2.nanmean(),
            "map": self.precision / self.images,
        }
        return {name: value.float() for name, value in found.items()}
