"""Images and labels of an attribute, read a whole batch at a time.

Shape letters: B images of a batch, N images of the source, C squares of each, H x W pixels, V
values of the attribute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any, TypeVar

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from datamodules.annotations import Labels
from datamodules.images import Pixels

Batch = dict[str, Tensor]
Whole = TypeVar("Whole")  # what a dataset makes of a whole batch


class AttributeImages(Dataset[Batch]):
    """Whole batches of images and labels, by the number of a square: image * C + square.

    Args:
        pixels: uint8 (N * C, H, W, 3), usually memory-mapped.
        labels: what is known of the attribute, for all N images.
    """

    def __init__(self, pixels: Pixels, labels: Labels) -> None:
        self.pixels, self.labels = pixels, labels
        self.crops = len(pixels) // max(1, len(labels.label))

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, index: Sequence[int]) -> Batch:
        """A batch, which is quicker to read at once than image by image.

        Returns:
            image uint8 (B, 3, H, W), label int8 (B, V), known bool (B, V), weight float32 (B,) and
            index int64 (B,).
        """
        squares = np.asarray(index, dtype=np.int64)
        return {"image": gathered([(self.pixels, squares)]), **self.known_of(squares)}

    def known_of(self, squares: NDArray[np.int64]) -> Batch:
        """A batch without its images."""
        rows = squares // self.crops
        return {
            "label": torch.from_numpy(self.labels.label[rows]),
            "known": torch.from_numpy(self.labels.known[rows]),
            "weight": torch.from_numpy(self.labels.weight[rows]),
            "index": torch.from_numpy(rows),
        }


def gathered(shares: Sequence[tuple[Pixels, NDArray[np.int64]]]) -> Tensor:
    """Squares of one or more arrays, uint8 (B, 3, H, W), one share after the other.

    Beside a GPU they are copied at once to memory that it can read itself.

    Args:
        shares: for each, an array (N * C, H, W, 3) and the numbers of the squares wanted of it.

    Raises:
        IndexError: if there is no such square.
    """
    count = sum(len(squares) for _, squares in shares)
    pinned = torch.cuda.is_available() and get_worker_info() is None
    copied = torch.empty((count, *shares[0][0].shape[1:]), dtype=torch.uint8, pin_memory=pinned)
    start = 0
    for pixels, squares in shares:
        if len(squares) and not 0 <= squares.min() <= squares.max() < len(pixels):
            raise IndexError(f"expected squares from 0 to {len(pixels) - 1}")
        out = copied.numpy()[start : start + len(squares)]
        np.take(pixels, squares, axis=0, out=out, mode="clip")  # "raise" buffers
        start += len(squares)
    return copied.permute(0, 3, 1, 2)


class Ahead(DataLoader[Whole]):
    """Fetches the next batch in a thread while this one is used.

    Copying rows leaves the interpreter's lock, so a thread is as much help as a process, which
    would copy each batch again, through shared memory.
    """

    def __iter__(self) -> Any:
        return _ahead(super().__iter__())


def _ahead(batches: Iterator[Whole]) -> Iterator[Whole]:
    start = None
    if torch.cuda.is_available():  # a new thread would pin for the first GPU
        start = partial(torch.cuda.set_device, torch.cuda.current_device())
    with ThreadPoolExecutor(1, initializer=start) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def loader(
    images: Dataset[Whole],
    batches: Sampler[list[int]],
    *,
    num_workers: int | None,
    persistent: bool = False,
) -> DataLoader[Whole]:
    """A loader of these batches.

    Args:
        images: the images and labels, read a whole batch at a time.
        batches: the squares of each batch.
        num_workers: processes that fetch batches; None takes none, but a thread beside a GPU.
        persistent: keep them from one epoch to the next.
    """
    on_gpu = torch.cuda.is_available()
    workers = num_workers or 0
    kind: type[DataLoader[Whole]] = Ahead if on_gpu and num_workers is None else DataLoader
    return kind(
        images,
        batch_sampler=batches,
        collate_fn=_whole,
        num_workers=workers,
        pin_memory=on_gpu,
        persistent_workers=persistent and workers > 0,
    )


def _whole(batch: Any) -> Any:
    """The dataset already made a batch."""
    return batch
