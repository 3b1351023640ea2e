"""Batches that hold an equal share of images of each of several tasks.

A number that comes names a square of one task: the tasks' squares are counted on, one task after
the other.

Shape letters: B images of a batch, B_t of task t, H x W pixels, V_t values of task t.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import TypedDict

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import Dataset, Sampler

from datamodules.batches import AttributeImages, Batch, gathered
from datamodules.sampling import ShuffledBatches


class TaskBatch(TypedDict):
    """One batch of several tasks: one forward pass, taken apart where the tasks' heads are.

    Attributes:
        image: uint8 (B, 3, H, W), the tasks' shares one after the other, in the tasks' order.
        task: int64 (B,), the number of each image's task.
        parts: for each task what an `AttributeImages` says of its share: label int8 (B_t, V_t),
            known bool (B_t, V_t), weight float32 (B_t,) and index int64 (B_t,).

    Example:
        >>> parts = [{"index": torch.arange(2)}, {"index": torch.arange(3)}]
        >>> embedding_BD = torch.arange(5.0)[:, None]
        >>> [rows.flatten() for rows in embedding_BD.split([len(p["index"]) for p in parts])]
        [tensor([0., 1.]), tensor([2., 3., 4.])]
    """

    image: Tensor
    task: Tensor
    parts: list[Batch]


class TaskImages(Dataset[TaskBatch]):
    """Whole batches of several tasks, by the numbers of squares.

    Args:
        images: the images and labels of each task, of one size.
    """

    def __init__(self, images: Sequence[AttributeImages]) -> None:
        self.images = images
        self.starts = np.cumsum([0, *map(len, self.images)])

    def __len__(self) -> int:
        return int(self.starts[-1])

    def __getitem__(self, index: int) -> TaskBatch:
        return self.__getitems__([index])

    def __getitems__(self, index: Sequence[int]) -> TaskBatch:
        """A batch, read at once."""
        squares = np.asarray(index, dtype=np.int64)
        task_B = np.searchsorted(self.starts, squares, side="right") - 1
        shares = [squares[task_B == t] - self.starts[t] for t in range(len(self.images))]
        parts = list(zip(self.images, shares, strict=True))
        return {
            "image": gathered([(images.pixels, own) for images, own in parts]),
            "task": torch.from_numpy(np.sort(task_B)),
            "parts": [images.known_of(own) for images, own in parts],
        }


class TaskBatches(Sampler[list[int]]):
    """Batches of one process with equal shares of all tasks, anew for every epoch: for training.

    An epoch is as long as the task with the most images needs; the others begin again meanwhile, in
    another order. Each task is drawn as `ShuffledBatches` draws it, by a seed of its own, so an
    epoch is a pure function of (seed, epoch, rank), and two processes see together what one would
    have seen alone.

    Args:
        members: for each task, the numbers of the images to draw from.
        starts: for each task, the number of its first square.
        share: images of each task in a global batch, a multiple of `world_size`; if a task has
            fewer, all shares are as small, rounded down to such a multiple.
        seed: seed of the orders.
        crops: squares of each image.
        rank: this process, from 0.
        world_size: number of processes.

    Raises:
        InputError: if a task has fewer images than there are processes.
    """

    def __init__(
        self,
        members: Sequence[NDArray[np.int64]],
        *,
        starts: Sequence[int],
        share: int,
        seed: int,
        crops: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        share = min(share, *(len(each) // world_size * world_size for each in members))
        self.tasks = [
            ShuffledBatches(
                each,
                batch_size=share,
                seed=int(np.random.SeedSequence([seed, task]).generate_state(1)[0]),
                crops=crops,
                rank=rank,
                world_size=world_size,
            )
            for task, each in enumerate(members)
        ]
        self.starts, self.epoch = starts, 0

    @property
    def sampler(self) -> TaskBatches:
        """Itself: Lightning calls `set_epoch` on the `sampler` of a batch sampler, not on it."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, and with it the order; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return max(len(task) for task in self.tasks)

    def __iter__(self) -> Iterator[list[int]]:
        shares = [self._of(number, self.epoch) for number in range(len(self.tasks))]
        for _ in range(len(self)):
            yield [square for share in shares for square in next(share)]

    def _of(self, number: int, epoch: int) -> Iterator[list[int]]:
        """Batches of one task, without end in practice: it begins again as often as is needed."""
        task, start = self.tasks[number], self.starts[number]
        rounds = -(-len(self) // len(task))
        for each in range(rounds):
            task.set_epoch(epoch * rounds + each)
            for squares in task:
                yield [start + square for square in squares]
