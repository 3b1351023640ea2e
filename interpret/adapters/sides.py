"""A model before and after a delta, as two towers to take apart."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

from datamodules.errors import InputError
from interpret.towers import Tower, image_tower
from lightning_modules.lora import base_only


class Sides:
    """The base and the adapted model.

    Args:
        adapted: a model with PEFT adapters, which are passed over to see the base; or any changed
            model, with the base beside it.
        base: the base where `adapted` has no adapters.

    Raises:
        InputError: if there is neither an adapter nor a base.
    """

    def __init__(self, adapted: nn.Module, base: nn.Module | None = None) -> None:
        if base is None and not any(hasattr(module, "lora_A") for module in adapted.modules()):
            raise InputError(
                "expected a model with adapters, or a base to compare with, got neither. Attach a "
                "delta with Delta.attach, or give the base as well."
            )
        self.model = adapted
        self.other = base

    @contextmanager
    def base(self) -> Iterator[Tower]:
        """The image tower before; with adapters only while the context lasts."""
        if self.other is not None:
            yield image_tower(self.other)
            return
        with base_only(self.model):
            yield image_tower(self.model)

    @contextmanager
    def adapted(self) -> Iterator[Tower]:
        """The image tower after."""
        yield image_tower(self.model)
