"""Which process of a training this is, and whether batches can be shared among all of them."""

from __future__ import annotations

from typing import NamedTuple

import lightning as L

from datamodules.errors import InputError


class Place(NamedTuple):
    """A process among those that train together.

    Attributes:
        rank: its number, from 0.
        world_size: how many there are.
    """

    rank: int = 0
    world_size: int = 1

    @classmethod
    def of(cls, trainer: L.Trainer | None) -> Place:
        """The place that a trainer knows; without one, a process is alone."""
        return cls(trainer.global_rank, trainer.world_size) if trainer else cls()

    def check_shares(self, what: str, count: int) -> None:
        """Every process takes as many images of a batch as another.

        Args:
            what: how the message says which number of images it is.
            count: the number.

        Raises:
            InputError: if the processes cannot share so many evenly.
        """
        if count % self.world_size:
            raise InputError(
                f"{what}, expected a multiple of the {self.world_size} processes that share it. "
                "Choose another batch size or number of devices."
            )
