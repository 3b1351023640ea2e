"""Pictures on disk -> uint8 squares, decoded once and kept in one memory-mapped array.

Decoding JPEG and PNG is what starves a GPU; reading rows of an array does not.

Shape letters: N images, S pixels a side.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from datamodules.files import cannot_write, locked
from datamodules.progress import progress

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[np.uint8]
Boxes = NDArray[np.float64]

_AHEAD = 16  # pictures a thread that may wait to be written


def decode(path: Path, size: int) -> Pixels:
    """One picture as RGB, upright, resized and cropped to its centre: uint8 (size, size, 3).

    Raises:
        InputError: if the file is missing or is not a whole picture.
    """
    return np.asarray(decode_boxes(path, size, np.zeros((1, 4)))[0])


def decode_boxes(path: Path, size: int, boxes: Boxes) -> Pixels:
    """Parts of one picture, which is decoded once: uint8 (n, size, size, 3).

    A box is grown to a square around its centre, as far as the picture reaches, so that nothing of
    it is cut off and nothing is distorted.

    Args:
        path: the file.
        size: side of the output in pixels.
        boxes: (n, 4), each x, y, width, height in pixels of the upright picture; zeros for all of
            it. What reaches over the border is cut off.

    Raises:
        InputError: if the file is missing or is not a whole picture, or a box lies outside.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            whole = _rgb(ImageOps.exif_transpose(picture))
            parts = [whole.crop(_around(box, whole.size, path)) for box in boxes.tolist()]
            return np.stack([np.asarray(square(part, size)) for part in parts])
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


def cached(paths: Sequence[Path], size: int, folder: Path, *, boxes: Boxes | None = None) -> Pixels:
    """All pictures, uint8 (N, size, size, 3), memory-mapped; decoded on the first call.

    The cache's name carries the size, the boxes and the files' paths, lengths and times, so a
    changed file is decoded anew.

    Args:
        paths: the file of each item, N; one that comes several times in a row is decoded once.
        size: side of the output in pixels.
        folder: where caches lie.
        boxes: (N, 4), see `decode_boxes`; None for whole pictures.

    Raises:
        InputError: if a picture is missing or broken, or the cache cannot be written.
    """
    if boxes is None:
        boxes = np.zeros((len(paths), 4))
    file = folder / f"images-{size}-{_stamp(paths, boxes)}.npy"
    return decoded_once(file, _decoded(paths, size, boxes), (len(paths), size, size, 3))


def decoded_once(file: Path, blocks: Iterable[Pixels], shape: tuple[int, int, int, int]) -> Pixels:
    """The array of a cache, memory-mapped, which is written first if it is not there.

    Of several processes that ask at once, one writes and the others wait.

    Args:
        file: the cache.
        blocks: images in order, see `write_pixels`; untouched where the cache is there.
        shape: (N, S, S, 3) of all blocks together.

    Raises:
        InputError: if a picture is broken, or the cache cannot be written.
    """
    if not file.exists():
        with locked(file):
            if not file.exists():
                write_pixels(file, blocks, shape, name="decoding images")
    return mapped(file)


def mapped(file: Path) -> Pixels:
    """The array of an .npy file, memory-mapped and read-only."""
    return np.asarray(np.load(file, mmap_mode="r"))


def write_pixels(
    file: Path, blocks: Iterable[Pixels], shape: tuple[int, int, int, int], *, name: str
) -> None:
    """Write an .npy file of images block by block, so that they need not fit into memory; atomic.

    Args:
        file: the file to write.
        blocks: images in order, each block (n, H, W, 3).
        shape: (N, H, W, 3) of all blocks together.
        name: what the progress bar says is being done.

    Raises:
        InputError: if the disk is full or the folder cannot be written.
    """
    open_memmap: Any = np.lib.format.open_memmap
    partial = file.with_name(f".partial-{file.name}")
    try:
        array, row = open_memmap(partial, mode="w+", dtype=np.uint8, shape=shape), 0
        with progress(name, shape[0]) as advance:
            for block in blocks:
                array[row : row + len(block)] = block
                row += len(block)
                advance(len(block))
        array.flush()
        os.replace(partial, file)
    except OSError as error:
        raise cannot_write(file, error) from error
    finally:
        partial.unlink(missing_ok=True)


def _decoded(paths: Sequence[Path], size: int, boxes: Boxes) -> Iterator[Pixels]:
    """Each picture's items as a block, decoded by as many threads as there are processors."""
    starts = [row for row in range(len(paths)) if row == 0 or paths[row] != paths[row - 1]]
    runs = list(pairwise([*starts, len(paths)]))
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        try:
            for first in range(0, len(runs), _AHEAD * threads):  # else all of them would pile up
                yield from pool.map(
                    lambda run: decode_boxes(paths[run[0]], size, boxes[run[0] : run[1]]),
                    runs[first : first + _AHEAD * threads],
                )
        finally:  # after a broken picture, do not decode the others first
            pool.shutdown(wait=False, cancel_futures=True)


def _rgb(picture: Image) -> Image:
    """8 bits a channel; `convert` alone would clip 16-bit grays to white."""
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        picture = picture.convert("I").point(lambda gray: gray / 257).convert("L")
    return picture.convert("RGB")


def square(picture: Image, size: int) -> Image:
    """Resized and cropped by the steps and roundings of open_clip, which the models know."""
    from PIL import Image

    short = min(picture.size)
    width, height = (int(size * side / short) for side in picture.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    resized = picture.resize((width, height), Image.Resampling.BICUBIC)
    return resized.crop((left, top, left + size, top + size))


def _around(box: list[float], size: tuple[int, int], path: Path) -> tuple[int, int, int, int]:
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


def _stamp(paths: Sequence[Path], boxes: Boxes) -> str:
    digest = hashlib.sha256(boxes.tobytes() if boxes.any() else b"")
    for path in dict.fromkeys(paths):
        try:
            status = path.stat()
        except OSError:
            continue  # `decode` names the missing file
        digest.update(f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
