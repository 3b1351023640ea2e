"""From texts to what tells them apart, and from maps over patches to pixels in [0, 1].

Shape letters: B images, T texts, E embedding width, Y x X patches, H x W pixels.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.errors import InputError


def contrast(texts_TE: Tensor) -> Tensor:
    """Directions (T, E) that tell each text from the others: its embedding less the mean of all.

    The decomposition is linear in the text. So the map of such a direction is the map of the text
    less the mean of the maps of all texts, up to a factor, for the price of one map. Texts are
    taken at length 1.

    Raises:
        InputError: if there is one text only, which would leave nothing.
    """
    if texts_TE.ndim != 2 or len(texts_TE) < 2:
        raise InputError(
            f"expected embeddings (texts, width) of two texts or more, got "
            f"{tuple(texts_TE.shape)}. Add texts to compare with, or take the texts as they are."
        )
    unit_TE = F.normalize(texts_TE, dim=-1)
    return unit_TE - unit_TE.mean(dim=0)


def enlarge(maps_BTYX: Tensor, size: tuple[int, int]) -> Tensor:
    """The maps at the size of the image, (B, T, H, W), by bilinear interpolation.

    Args:
        maps_BTYX: maps over patches.
        size: height and width of the image, in pixels.
    """
    return F.interpolate(maps_BTYX, size=size, mode="bilinear", align_corners=False)


def stretch(maps: Tensor) -> Tensor:
    """Each map (..., H, W) without its negative part, stretched to [0, 1].

    A map that is constant after that, such as one without a positive number, becomes 0 everywhere.

    Raises:
        InputError: if a number is not finite.
    """
    if not torch.isfinite(maps).all():
        raise InputError(
            "expected heat maps of finite numbers, got NaN or infinity. Check the weights of the "
            "model, and compute the maps in float32."
        )
    positive = maps.clamp(min=0)
    low, high = positive.amin((-2, -1), keepdim=True), positive.amax((-2, -1), keepdim=True)
    return (positive - low) / torch.where(high > low, high - low, 1.0)
