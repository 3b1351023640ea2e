"""How well a heat map points at an object whose mask is known.

    pointing   whether the map's greatest value lies on the object (Zhang et al., IJCV 2018)
    near       the same with the margin of that paper: on the object or within 15 pixels of it
               where the image has 224 a side, measured along rows and columns
    iou        intersection over union of the object and what lies above the threshold
    energy     share of the map's sum that lies on the object (Wang et al., CVPRW 2020)
    chance     share of the image that the object covers: pointing and energy of a constant map

Where several pixels share the greatest value, pointing is the share of them on the object; a map
of 0 everywhere counts as constant. So a map that says nothing scores chance, not 0 and not 1.

Shape letters: B images, H x W pixels, S scores.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.errors import InputError
from interpret.segment.checks import check_pairs
from interpret.segment.scores import overlaps
from interpret.segment.threshold import Threshold, above
from lightning_modules.metrics.states import VectorStates

SCORES = ("pointing", "near", "iou", "energy", "chance")
_MARGIN = 15 / 224  # of the image's longer side


def localization(
    maps_BHW: Tensor, masks_BHW: Tensor, *, threshold: Threshold = "mean"
) -> dict[str, Tensor]:
    """The scores of the module's docstring for each image, float64 (B,) in [0, 1].

    Args:
        maps_BHW: no number negative; see `interpret.heatmap.stretch`.
        masks_BHW: bool, true on the object.
        threshold: for "iou", see `above`.

    Raises:
        InputError: if the shapes differ, a map has a negative number, or a mask is empty.
    """
    check_pairs(maps_BHW, masks_BHW)
    if (maps_BHW < 0).any():
        raise InputError(
            "expected heat maps without negative numbers, got some. Cut them off first: "
            "`stretch(maps)`."
        )
    if empty := (~masks_BHW.flatten(1).any(1)).nonzero().flatten().tolist():
        raise InputError(
            f"expected an object in every mask, found none in mask {empty[0]} of the batch. Leave "
            "this image out."
        )
    maps_BHW = maps_BHW.double()
    is_top = maps_BHW == maps_BHW.amax((1, 2), keepdim=True)
    is_zero = ~maps_BHW.any(2, keepdim=True).any(1, keepdim=True)
    counts = overlaps(above(maps_BHW, threshold), masks_BHW)[:, 1].double()
    return {
        "pointing": _share(is_top.double(), masks_BHW),
        "near": _share(is_top.double(), _grown(masks_BHW)),
        "iou": counts[:, 0] / counts[:, 1],
        "energy": _share(torch.where(is_zero, 1.0, maps_BHW), masks_BHW),
        "chance": masks_BHW.double().mean((1, 2)),
    }


class LocalizationScores(VectorStates):
    """Mean of each score over images, and its standard error; keeps five numbers an image.

    Args:
        threshold: where the object begins, see `above`.
    """

    def __init__(self, *, threshold: Threshold = "mean") -> None:
        super().__init__()
        above(torch.zeros(1, 1, 1), threshold)  # a wrong one is refused now
        self.threshold: Threshold = threshold
        for name in SCORES:
            self.add_vector(name, torch.float64)

    def update(self, maps: Tensor, masks: Tensor) -> None:
        """Add a batch: maps (B, H, W) in [0, 1], masks (B, H, W) bool.

        Raises:
            InputError: as `localization`.
        """
        self.append(**localization(maps, masks, threshold=self.threshold))

    def compute(self) -> dict[str, Tensor]:
        """Means under the names of the scores, standard errors under `<name>_error`.

        Float32 scalars; NaN before any image, errors NaN before two.
        """
        found: dict[str, Tensor] = {}
        for name in SCORES:
            values_B = self.vector(name)
            error = values_B.std() / len(values_B) ** 0.5 if len(values_B) > 1 else values_B.sum()
            found[name] = values_B.mean()
            found[f"{name}_error"] = (
                error if len(values_B) > 1 else torch.full_like(error, torch.nan)
            )
        return {name: value.float().to(self.device) for name, value in found.items()}


def _share(maps_BHW: Tensor, masks_BHW: Tensor) -> Tensor:
    return (maps_BHW * masks_BHW).sum((1, 2)) / maps_BHW.sum((1, 2))


def _grown(masks_BHW: Tensor) -> Tensor:
    """The masks with their margin."""
    margin = round(_MARGIN * max(masks_BHW.shape[1:]))
    window = 2 * margin + 1
    grown_BHW = F.max_pool2d(masks_BHW.double(), window, stride=1, padding=margin)
    return grown_BHW > 0
