"""Pictures on disk -> uint8 squares, decoded once and kept in one memory-mapped array.

Decoding JPEG and PNG is what starves a GPU; reading rows of an array does not.

Shape letters: N images, S pixels a side.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from datamodules.files import cannot_write

if TYPE_CHECKING:
    from PIL.Image import Image

Pixels = NDArray[np.uint8]


def decode(path: Path, size: int) -> Pixels:
    """One picture as RGB, upright, its centre square resized to `size`: uint8 (size, size, 3).

    Raises:
        InputError: if the file is missing or is not a whole picture.
    """
    from PIL import Image, ImageOps, UnidentifiedImageError

    try:
        with Image.open(path) as picture:
            return np.asarray(_square(ImageOps.exif_transpose(picture).convert("RGB"), size))
    except FileNotFoundError:
        raise InputError(
            f"expected an image at {path}, found no such file. Put it there, or remove its rows from the annotations."
        ) from None
    except (UnidentifiedImageError, OSError, SyntaxError, ValueError, Image.DecompressionBombError) as error:
        raise InputError(
            f"expected a whole image in {path}, got a file that cannot be decoded ({error}). Replace it, or remove "
            "its rows from the annotations."
        ) from None


def cached(paths: Sequence[Path], size: int, folder: Path) -> Pixels:
    """All pictures, uint8 (N, size, size, 3), memory-mapped; decoded on the first call.

    The cache's name carries the size and the files' paths, lengths and times, so a changed file is
    decoded anew.

    Raises:
        InputError: if a picture is broken, or the cache cannot be written.
    """
    file = folder / f"images-{size}-{_stamp(paths)}.npy"
    if not file.exists():
        folder.mkdir(parents=True, exist_ok=True)
        partial = file.with_name(f".partial-{file.name}")
        try:
            array = np.lib.format.open_memmap(
                partial, mode="w+", dtype=np.uint8, shape=(len(paths), size, size, 3)
            )
            _fill(array, paths, size)
            array.flush()
            os.replace(partial, file)
        except OSError as error:
            raise cannot_write(file, error) from error
        finally:
            partial.unlink(missing_ok=True)
    return np.asarray(np.load(file, mmap_mode="r"))


def _fill(array: Pixels, paths: Sequence[Path], size: int) -> None:
    from rich.progress import track

    with ThreadPoolExecutor(os.cpu_count()) as pool:
        squares = pool.map(lambda path: decode(path, size), paths)
        for row, square in enumerate(track(squares, "decoding images", len(paths), disable=len(paths) < 500)):
            array[row] = square


def _square(picture: Image, size: int) -> Image:
    from PIL import Image

    side = min(picture.size)
    left, top = (picture.width - side) // 2, (picture.height - side) // 2
    box = (left, top, left + side, top + side)
    return picture.resize((size, size), Image.Resampling.BICUBIC, box=box)


def _stamp(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue  # `decode` names the missing file
        digest.update(f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
