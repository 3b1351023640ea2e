"""Images and labels of an attribute, read a whole batch at a time.

Shape letters: B images of a batch, N images of the source, C squares of each, H x W pixels, V
values of the attribute.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler, get_worker_info

from datamodules.annotations import Labels
from datamodules.images import Pixels

Batch = dict[str, Tensor]


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
        rows = squares // self.crops
        return {
            "image": self._copied(squares).permute(0, 3, 1, 2),
            "label": torch.from_numpy(self.labels.label[rows]),
            "known": torch.from_numpy(self.labels.known[rows]),
            "weight": torch.from_numpy(self.labels.weight[rows]),
            "index": torch.from_numpy(rows),
        }

    def _copied(self, squares: NDArray[np.int64]) -> Tensor:
        """Squares, uint8 (B, H, W, 3); beside a GPU at once in memory that it can read itself."""
        if get_worker_info() is not None or not torch.cuda.is_available():
            return torch.from_numpy(self.pixels[squares])
        shape = (len(squares), *self.pixels.shape[1:])
        copied = torch.empty(shape, dtype=torch.uint8, pin_memory=True)
        np.take(self.pixels, squares, axis=0, out=copied.numpy(), mode="clip")  # "raise" buffers
        return copied


class Ahead(DataLoader[Batch]):
    """Fetches the next batch in a thread while this one is used.

    Copying rows leaves the interpreter's lock, so a thread is as much help as a process, which
    would copy each batch again, through shared memory.
    """

    def __iter__(self) -> Any:
        return _ahead(super().__iter__())


def _ahead(batches: Iterator[Batch]) -> Iterator[Batch]:
    start = None
    if torch.cuda.is_available():  # a new thread would pin for the first GPU
        start = partial(torch.cuda.set_device, torch.cuda.current_device())
    with ThreadPoolExecutor(1, initializer=start) as pool:
        coming = pool.submit(next, batches, None)
        while (batch := coming.result()) is not None:
            coming = pool.submit(next, batches, None)
            yield batch


def loader(
    images: AttributeImages,
    batches: Sampler[list[int]],
    *,
    num_workers: int | None,
    persistent: bool = False,
) -> DataLoader[Batch]:
    """A loader of these batches.

    Args:
        images: the images and labels.
        batches: the squares of each batch.
        num_workers: processes that fetch batches; None takes none, but a thread beside a GPU.
        persistent: keep them from one epoch to the next.
    """
    on_gpu = torch.cuda.is_available()
    workers = num_workers or 0
    kind: type[DataLoader[Batch]] = Ahead if on_gpu and num_workers is None else DataLoader
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
