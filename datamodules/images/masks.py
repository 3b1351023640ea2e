"""Photographs beside masks of their object: two folders, paired by file name.

    IMAGES/cats/tom.jpg  with  MASKS/cats/tom.png

A pixel of a mask that is not 0 (black) belongs to the object.

Shape letters: H x W pixels.
"""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from datamodules.images.decode import Pixels, rgb

if TYPE_CHECKING:
    from PIL.Image import Image

Mask = NDArray[np.bool_]


class MaskedFile(NamedTuple):
    """An image file and the file of its mask.

    Attributes:
        name: path of the image below its folder, without the ending.
        image: the image file.
        mask: the file of the mask.
    """

    name: str
    image: Path
    mask: Path

    def read(self) -> tuple[Pixels, Mask]:
        """The upright image, uint8 (H, W, 3), and its mask, bool (H, W), true on the object.

        Raises:
            InputError: if a file is broken, the sizes differ, or the mask shows no object.
        """
        with _opened(self.image, "an image") as picture:
            image = np.asarray(rgb(picture))
        with _opened(self.mask, "a mask") as picture:
            # One channel is read as it is: the numbers of a palette are labels, not colors.
            painted = np.asarray(picture if len(picture.getbands()) == 1 else rgb(picture))
        mask: Mask = np.asarray(painted > 0 if painted.ndim == 2 else painted.any(-1))
        check_mask_size(image, mask, str(self.image))
        if not mask.any():
            raise InputError(
                f"expected an object in the mask {self.mask}, got 0 in every pixel. Paint the "
                "object in any color but black, or remove image and mask."
            )
        return image, mask


def masked_files(images: Path, masks: Path) -> list[MaskedFile]:
    """All images of a folder with their masks, in alphabetical order.

    Args:
        images: folder of image files, in folders below it as deep as you like.
        masks: folder of masks with the same names; the ending may differ. Further masks are left
            alone.

    Raises:
        InputError: if a folder is missing or empty, an image has no mask, or a name stands for two
            files.
    """
    found, painted = _named(images, "images"), _named(masks, "masks")
    if missing := sorted(found.keys() - painted.keys()):
        raise InputError(
            f"expected a mask for each of the {len(found)} images in {images}, found none for "
            f"{len(missing)} of them, such as {missing[0]}. Put {missing[0]}.png into {masks}, or "
            "remove the image."
        )
    return [MaskedFile(name, found[name], painted[name]) for name in sorted(found)]


def check_mask_size(image: Pixels, mask: Mask, name: str = "an image") -> None:
    """Make sure that a mask is as large as its image.

    Args:
        image: (H, W, 3).
        mask: (H, W).
        name: of the image, for the message.

    Raises:
        InputError: if it is not.
    """
    if mask.shape != image.shape[:2]:
        (height, width), got = image.shape[:2], " x ".join(map(str, mask.shape[::-1]))
        raise InputError(
            f"expected the mask of {name} to be {width} x {height} pixels as the image is, got "
            f"{got}. Check that the mask belongs to this image and that neither was resized."
        )


def _named(folder: Path, what: str) -> dict[str, Path]:
    """Name -> image file, for all files of a folder whose ending is that of an image."""
    from PIL import Image

    if not folder.is_dir():
        raise InputError(f"expected a folder of {what} at {folder}, found none. Check the path.")
    endings = Image.registered_extensions()
    named: dict[str, Path] = {}
    for path in sorted(folder.rglob("*")):
        if path.suffix.lower() not in endings or path.name.startswith("."):
            continue
        name = path.relative_to(folder).with_suffix("").as_posix()
        if name in named:
            raise InputError(
                f"expected one file a name in {folder}, got {named[name].name} and {path.name}. "
                "Remove or rename one."
            )
        named[name] = path
    if not named:
        raise InputError(
            f"expected {what} in {folder}, found no image file. Images end in .png, .jpg and the "
            "like."
        )
    return named


@contextmanager
def _opened(path: Path, what: str) -> Iterator[Image]:
    """The upright picture; a file that is none becomes an `InputError`."""
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            yield ImageOps.exif_transpose(picture)
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"expected {what} in {path}, got a file that cannot be decoded ({error}). Replace it, "
            "or remove image and mask."
        ) from None
