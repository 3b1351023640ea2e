"""One picture on disk -> uint8 squares: of all of it, of boxes in it, and of crops of these.

Shape letters: n parts of a picture, C squares of each part, S pixels a side.
"""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float64]
Draws = NDArray[np.float32]
_Edges = tuple[int, int, int, int]  # left, top, right, bottom

_SMALLEST_CROP = 0.5  # of a part's area: smaller ones lose what the labels speak of


def decode(path: Path, size: int) -> Pixels:
    """One picture as RGB, upright, resized and cropped to its centre: uint8 (size, size, 3).

    Raises:
        InputError: if the file is missing or is not a whole picture.
    """
    return np.asarray(decode_boxes(path, size, np.zeros((1, 4)))[0])


def decode_boxes(path: Path, size: int, boxes: Boxes, draws: Draws | None = None) -> Pixels:
    """Parts of one picture, which is decoded once: uint8 (n * C, size, size, 3).

    A box is grown to a square around its centre, as far as the picture reaches, so that nothing of
    it is cut off and nothing is distorted. Each part's squares follow each other: its centre, then
    its crops, squares too, of half of its area or more.

    Args:
        path: the file.
        size: side of the output in pixels.
        boxes: (n, 4), each x, y, width, height in pixels of the upright picture; zeros for all of
            it. What reaches over the border is cut off.
        draws: numbers in [0, 1), (n, C - 1, 3), of the area and the place of each crop; None for no
            crops, C = 1.

    Raises:
        InputError: if the file is missing or is not a whole picture, or a box lies outside.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            whole = rgb(ImageOps.exif_transpose(picture))
            parts = [_around(box, whole.size, path) for box in boxes.tolist()]
            if draws is not None:
                crops = zip(parts, draws.tolist(), strict=True)
                parts = [each for part, drawn in crops for each in (part, *_crops(part, drawn))]
            return np.stack([np.asarray(square(whole.crop(part), size)) for part in parts])
    except InputError:
        raise
    except FileNotFoundError:
        raise InputError(
            f"expected an image at {path}, found no such file. Put it there, or remove its rows "
            "from the annotations."
        ) from None
    except (OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"expected a whole image in {path}, got a file that cannot be decoded ({error}). "
            "Replace it, or remove its rows from the annotations."
        ) from None


def rgb(picture: Image) -> Image:
    """8 bits a channel; `convert` alone would clip 16-bit grays to white."""
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        picture = picture.convert("I").point(lambda gray: gray / 257).convert("L")
    return picture.convert("RGB")


def square(picture: Image, size: int, *, is_mask: bool = False) -> Image:
    """Resized and cropped by the steps and roundings of open_clip, which the models know.

    Args:
        picture: of any size.
        size: side of the output in pixels.
        is_mask: take the nearest pixel, and mix none.
    """
    from PIL import Image

    resample = Image.Resampling.NEAREST if is_mask else Image.Resampling.BICUBIC
    short = min(picture.size)
    width, height = (int(size * side / short) for side in picture.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    resized = picture.resize((width, height), resample)
    return resized.crop((left, top, left + size, top + size))


def _around(box: list[float], size: tuple[int, int], path: Path) -> _Edges:
    """Left, top, right and bottom of a square around a box, within a picture of this size."""
    if not any(box):
        return 0, 0, *size
    x, y, width, height = box
    if x >= size[0] or y >= size[1] or x + width <= 0 or y + height <= 0:
        raise InputError(
            f"expected boxes inside the image {path} of {size[0]} x {size[1]} pixels, got x {x:g}, "
            f"y {y:g}, width {width:g}, height {height:g}. Correct the box, or check that the "
            "annotations belong to these images."
        )
    edges = []
    for start, length, limit in ((x, width, size[0]), (y, height, size[1])):
        low, high = max(0.0, start), min(float(limit), start + length)
        side = min(max(width, height), float(limit))
        first = min(max(0.0, (low + high - side) / 2), limit - side)
        edges.append((int(first), max(int(first) + 1, round(first + side))))
    (left, right), (top, bottom) = edges
    return left, top, right, bottom


def _crops(part: _Edges, drawn: list[list[float]]) -> list[_Edges]:
    """Squares within a part of a picture, one for each three numbers in [0, 1)."""
    left, top, right, bottom = part
    short = min(right - left, bottom - top)
    found = []
    for area, along_x, along_y in drawn:
        side = max(1, round(short * (_SMALLEST_CROP + (1 - _SMALLEST_CROP) * area) ** 0.5))
        x = left + int(along_x * (right - left - side + 1))
        y = top + int(along_y * (bottom - top - side + 1))
        found.append((x, y, x + side, y + side))
    return found
