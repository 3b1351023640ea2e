"""How an image and its mask come to the square that a model sees.

A model sees an image resized to its short side and cropped to its center. The mask goes

    aligned   through the same resizing and the same crop: pixel and mask belong together
    paper     squashed to the square without a crop

"paper" is what the released code of Gandelsman et al. (ICLR 2024) does to ImageNet-Segmentation. A
mask of an image that is not square then lies beside its object, and scores are lower for it. It is
here so that published numbers can be compared with; both are worth reporting.

Shape letters: H x W pixels of an image, S pixels a side of the square.
"""

from __future__ import annotations

from typing import Literal, get_args

import numpy as np

from datamodules.errors import InputError
from datamodules.images import Mask, Pixels, check_mask_size, square

Protocol = Literal["paper", "aligned"]


def prepare(
    image: Pixels, mask: Mask, size: int, protocol: Protocol = "aligned"
) -> tuple[Pixels, Mask]:
    """An image and its mask as squares, uint8 (S, S, 3) and bool (S, S).

    Args:
        image: uint8 (H, W, 3).
        mask: bool (H, W), true on the object.
        size: S, side of the model's input.
        protocol: see the module's docstring.

    Raises:
        InputError: if image and mask differ in size, or the protocol is unknown.
    """
    from PIL import Image

    check_protocol(protocol)
    check_mask_size(image, mask)
    picture, cover = Image.fromarray(image), Image.fromarray(mask.astype(np.uint8))
    if protocol == "paper":
        cover = cover.resize((size, size), Image.Resampling.NEAREST)
    else:
        cover = square(cover, size, is_mask=True)
    return np.asarray(square(picture, size)), np.asarray(cover) > 0


def check_protocol(protocol: str) -> None:
    """Make sure that a protocol is one of those above.

    Raises:
        InputError: if it is not.
    """
    if protocol not in get_args(Protocol):
        raise InputError(
            f"expected a protocol among {', '.join(get_args(Protocol))}, got {protocol!r}."
        )
