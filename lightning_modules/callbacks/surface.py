"""What the callbacks ask of the model, the data and the logger, and nothing more.

Shape letters: B images, D embedding width, H x W pixels, V values of the attribute.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

import lightning as L
import torch
from lightning.pytorch.loggers import TensorBoardLogger
from torch import Tensor

from datamodules.dictionary import Dictionary
from datamodules.errors import InputError


class Adapter(Protocol):
    """The model: anything that scores images against the values of one attribute."""

    objective: str

    @property
    def value_embedding_VD(self) -> Tensor:
        """Unit-norm text embedding of each value."""

    def encode_image(self, image: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) -> unit-norm (B, D)."""

    def logits(self, image: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) -> (B, V)."""


class AttributeData(Protocol):
    """The data: batches of image, label, known, and the words behind them."""

    attribute: str

    @property
    def dictionary(self) -> Dictionary:
        """The dictionary that holds the attribute."""

    @property
    def values(self) -> tuple[str, ...]:
        """The attribute's V values, in the order of the logits."""


def as_adapter(pl_module: L.LightningModule) -> Adapter:
    """The model, with the methods that callbacks use."""
    return cast(Adapter, pl_module)


def data_of(trainer: L.Trainer) -> AttributeData:
    """The data module of the run, with the members that callbacks use."""
    return cast(AttributeData, cast(Any, trainer).datamodule)


def tensorboard(trainer: L.Trainer) -> TensorBoardLogger | None:
    """The run's TensorBoard logger on rank zero; None elsewhere, or if the run has none."""
    if not trainer.is_global_zero:
        return None
    return next((each for each in trainer.loggers if isinstance(each, TensorBoardLogger)), None)


def quota(trainer: L.Trainer, num_images: int) -> int:
    """Images to take from each validation batch, so that `num_images` come from all of them."""
    num_batches = trainer.num_val_batches[0] if trainer.num_val_batches else 1
    return -(-num_images // int(num_batches)) if 0 < num_batches < float("inf") else num_images


def spread(num_rows: int, num_wanted: int) -> Tensor:
    """Numbers of up to `num_wanted` rows, evenly spaced: sorted data must not show one value only.

    Example:
        >>> spread(10, 4)
        tensor([0, 3, 6, 9])
    """
    num_wanted = min(num_rows, num_wanted)
    return torch.linspace(0, max(num_rows - 1, 0), num_wanted).round().long()


def at_least(flag: str, value: int, smallest: int) -> int:
    """The value itself.

    Raises:
        InputError: if it is below `smallest`.
    """
    if value < smallest:
        raise InputError(f"{flag} is {value}, expected at least {smallest}.")
    return value
