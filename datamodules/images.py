"""Pictures on disk -> uint8 squares, decoded once and kept in one memory-mapped array.

Decoding JPEG and PNG is what starves a GPU; reading rows of an array does not.

Shape letters: N images, S pixels a side.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
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


def decode(path: Path, size: int) -> Pixels:
    """One picture as RGB, upright, resized and cropped to its centre: uint8 (size, size, 3).

    Raises:
        InputError: if the file is missing or is not a whole picture.
    """
    from PIL import Image, ImageOps

    try:
        with Image.open(path) as picture:
            return np.asarray(_square(_rgb(ImageOps.exif_transpose(picture)), size))
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


def cached(paths: Sequence[Path], size: int, folder: Path) -> Pixels:
    """All pictures, uint8 (N, size, size, 3), memory-mapped; decoded on the first call.

    The cache's name carries the size and the files' paths, lengths and times, so a changed file is
    decoded anew. Of several processes that ask at once, one decodes and the others wait.

    Raises:
        InputError: if a picture is missing or broken, or the cache cannot be written.
    """
    file = folder / f"images-{size}-{_stamp(paths)}.npy"
    if not file.exists():
        with locked(file):
            if not file.exists():
                shape = (len(paths), size, size, 3)
                write_pixels(file, _decoded(paths, size), shape, name="decoding images")
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


def _decoded(paths: Sequence[Path], size: int) -> Iterator[Pixels]:
    """Each picture as a block of one, decoded by as many threads as there are processors."""
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        try:
            yield from pool.map(lambda path: decode(path, size)[None], paths)
        finally:  # after a broken picture, do not decode the others first
            pool.shutdown(wait=False, cancel_futures=True)


def _rgb(picture: Image) -> Image:
    """8 bits a channel; `convert` alone would clip 16-bit grays to white."""
    if picture.mode == "I" or picture.mode.startswith("I;16"):
        picture = picture.convert("I").point(lambda gray: gray / 257).convert("L")
    return picture.convert("RGB")


def _square(picture: Image, size: int) -> Image:
    """Resized and cropped by the steps and roundings of open_clip, which the models know."""
    from PIL import Image

    short = min(picture.size)
    width, height = (int(size * side / short) for side in picture.size)
    left, top = round((width - size) / 2), round((height - size) / 2)
    resized = picture.resize((width, height), Image.Resampling.BICUBIC)
    return resized.crop((left, top, left + size, top + size))


def _stamp(paths: Sequence[Path]) -> str:
    digest = hashlib.sha256()
    for path in paths:
        try:
            status = path.stat()
        except OSError:
            continue  # `decode` names the missing file
        digest.update(f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
