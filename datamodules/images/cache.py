"""Squares of pictures, decoded once and kept in one memory-mapped array.

Decoding JPEG and PNG is what starves a GPU; reading rows of an array does not.

Shape letters: N items, C squares of each, S pixels a side.
"""

from __future__ import annotations

import hashlib
import math
import os
import shutil
from collections.abc import Iterable, Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.counter_random import uniform
from datamodules.errors import InputError
from datamodules.files import cannot_write, locked
from datamodules.images.decode import Boxes, Draws, Pixels, decode_boxes
from datamodules.progress import progress

_AHEAD = 16  # pictures a thread that may wait to be written


def cached(
    paths: Sequence[Path],
    size: int,
    folder: Path,
    *,
    boxes: Boxes | None = None,
    draws: Draws | None = None,
) -> Pixels:
    """All pictures, uint8 (N * C, size, size, 3), memory-mapped; decoded on the first call.

    The cache's name carries the size, the boxes, the crops and the files' paths, lengths and times,
    so a changed file is decoded anew.

    Args:
        paths: the file of each item, N; one that comes several times in a row is decoded once.
        size: side of the output in pixels.
        folder: where caches lie.
        boxes: (N, 4), see `decode_boxes`; None for whole pictures.
        draws: (N, C - 1, 3), see `crop_draws`; None for the centres alone, C = 1.

    Raises:
        InputError: if a picture is missing or broken, or the cache cannot be written.
    """
    if boxes is None:
        boxes = np.zeros((len(paths), 4))
    if draws is None:
        draws = np.zeros((len(paths), 0, 3), np.float32)
    file = folder / f"images-{size}-{_stamp(paths, boxes, draws)}.npy"
    shape = len(paths) * (1 + draws.shape[1]), size, size, 3
    return decoded_once(file, _decoded(paths, size, boxes, draws), shape)


def crop_draws(items: NDArray[np.int64], crops: int) -> Draws:
    """What fixes the crops of items: numbers in [0, 1), (N, `crops` - 1, 3).

    They depend on the item's number alone, so any choice of items has the same crops.

    Args:
        items: numbers of the items, (N,).
        crops: squares of each item, C, its centre included; 1 or more.
    """
    drawn = uniform(0, "crops", items, 3 * (crops - 1))
    return drawn.reshape(len(items), crops - 1, 3)


def chosen(pixels: Pixels, items: NDArray[np.int64] | None, crops: int, *, source: str) -> Pixels:
    """Items of a source that keeps its images in one array.

    Args:
        pixels: all items, (N, S, S, 3).
        items: numbers of those that are wanted; None for all.
        crops: squares of each item that are asked for.
        source: name of the source, for the message.

    Raises:
        InputError: if crops are asked for: these are cut from larger pictures.
    """
    if crops != 1:
        raise InputError(
            f"expected one square of each image of {source}, which has no larger pictures to cut "
            f"crops from, got {crops}. Leave out --data.crops."
        )
    return pixels if items is None else np.asarray(pixels[items])


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
        InputError: if the disk is full or too small, or the folder cannot be written.
    """
    _check_space(file, shape)
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


def _check_space(file: Path, shape: tuple[int, int, int, int]) -> None:
    """Told before hours of decoding, not after them."""
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(file.parent).free
    except OSError as error:
        raise cannot_write(file, error) from error
    if (needed := math.prod(shape)) > free:
        raise InputError(
            f"expected {needed / 1e9:,.1f} GB of free space in {file.parent.resolve()} for "
            f"{shape[0]:,} squares of {shape[1]} pixels, found {free / 1e9:,.1f} GB. Take fewer "
            "images (--data.max_images), a smaller size (--data.image_size) or a larger disk."
        )


def _decoded(paths: Sequence[Path], size: int, boxes: Boxes, draws: Draws) -> Iterator[Pixels]:
    """Each picture's items as a block, decoded by as many threads as there are processors."""
    starts = [row for row in range(len(paths)) if row == 0 or paths[row] != paths[row - 1]]
    runs = list(pairwise([*starts, len(paths)]))
    threads = os.cpu_count() or 1
    with ThreadPoolExecutor(threads) as pool:
        try:
            for first in range(0, len(runs), _AHEAD * threads):  # else all of them would pile up
                yield from pool.map(
                    lambda run: decode_boxes(
                        paths[run[0]], size, boxes[slice(*run)], draws[slice(*run)]
                    ),
                    runs[first : first + _AHEAD * threads],
                )
        finally:  # after a broken picture, do not decode the others first
            pool.shutdown(wait=False, cancel_futures=True)


def _stamp(paths: Sequence[Path], boxes: Boxes, draws: Draws) -> str:
    digest = hashlib.sha256(boxes.tobytes() if boxes.any() else b"")
    digest.update(draws.tobytes())
    for path in dict.fromkeys(paths):
        try:
            status = path.stat()
        except OSError:
            continue  # `decode` names the missing file
        digest.update(f"{path.resolve()}\0{status.st_size}\0{status.st_mtime_ns}\n".encode())
    return digest.hexdigest()[:12]
