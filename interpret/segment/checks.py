"""Whether maps and masks fit each other; both metrics of this folder ask.

Shape letters: B images, H x W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from datamodules.errors import InputError


def check_pairs(maps_BHW: Tensor, masks_BHW: Tensor) -> None:
    """Make sure that there is one mask of the same size for each map.

    Raises:
        InputError: if shapes differ, or the masks are not boolean.
    """
    if maps_BHW.ndim != 3 or maps_BHW.shape != masks_BHW.shape:
        raise InputError(
            f"expected heat maps and masks of the same shape (images, height, width), got "
            f"{tuple(maps_BHW.shape)} and {tuple(masks_BHW.shape)}. Enlarge the maps to the "
            "image, and bring the masks to its size."
        )
    if masks_BHW.dtype != torch.bool:
        raise InputError(
            f"expected boolean masks, true on the object, got {masks_BHW.dtype}. Compare the mask "
            "with a number first, such as mask > 0."
        )
