"""Which images a process sees, and in which order: a pure function of (seed, epoch, rank).

A number that comes names a square of an image: image * C + square, where the data module keeps C
squares of each. Square 0 is the image's centre; the others are crops for training.

Nothing depends on how many numbers were drawn before, so a resumed run sees what an uninterrupted
one would have, and two processes see together what one would have seen alone.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray
from torch.utils.data import Sampler

from datamodules.counter_random import uniform
from datamodules.errors import InputError


class ShuffledBatches(Sampler[list[int]]):
    """Batches of one process, anew for every epoch: for training.

    The global batch k of an epoch is the same for any number of processes; each takes its share of
    it. The images that are left over when the batches of an epoch are full wait for another epoch.

    Args:
        members: image numbers to draw from.
        batch_size: images of a global batch, a multiple of `world_size`; fewer members make a
            smaller batch, their number rounded down to such a multiple.
        seed: seed of the order, and of which square of an image an epoch shows.
        crops: C, squares of each image.
        rank: this process, from 0.
        world_size: number of processes.

    Raises:
        InputError: if there are fewer members than processes.
    """

    def __init__(
        self,
        members: NDArray[np.int64],
        *,
        batch_size: int,
        seed: int,
        crops: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        if len(members) < world_size:
            raise InputError(
                f"expected an image or more for each of {world_size} processes, got "
                f"{len(members)} images to train on. Use fewer devices or annotate more images."
            )
        self.members, self.seed, self.crops = members, seed, crops
        self.batch_size = min(batch_size, len(members) // world_size * world_size)
        self.rank, self.world_size, self.epoch = rank, world_size, 0

    @property
    def sampler(self) -> ShuffledBatches:
        """Itself: Lightning calls `set_epoch` on the `sampler` of a batch sampler, not on it."""
        return self

    def set_epoch(self, epoch: int) -> None:
        """Choose the epoch, and with it the order; Lightning calls this."""
        self.epoch = epoch

    def __len__(self) -> int:
        return len(self.members) // self.batch_size

    def __iter__(self) -> Iterator[list[int]]:
        order = np.random.default_rng([self.seed, self.epoch]).permutation(self.members)
        drawn = uniform(self.seed, f"square/{self.epoch}", order, 1)[:, 0]
        order = order * self.crops + (drawn * self.crops).astype(np.int64)
        for batch in range(len(self)):
            whole = order[batch * self.batch_size : (batch + 1) * self.batch_size]
            yield whole[self.rank :: self.world_size].tolist()


class OrderedBatches(Sampler[list[int]]):
    """Every image exactly once over all processes, in order: for evaluation.

    Args:
        members: image numbers.
        batch_size: images of a batch of one process.
        crops: C, squares of each image, of which the centre is shown.
        rank: this process, from 0.
        world_size: number of processes.
    """

    def __init__(
        self,
        members: NDArray[np.int64],
        *,
        batch_size: int,
        crops: int = 1,
        rank: int = 0,
        world_size: int = 1,
    ) -> None:
        self.squares, self.batch_size = members[rank::world_size] * crops, batch_size

    def __len__(self) -> int:
        return -(-len(self.squares) // self.batch_size)

    def __iter__(self) -> Iterator[list[int]]:
        for start in range(0, len(self.squares), self.batch_size):
            yield self.squares[start : start + self.batch_size].tolist()
