"""What a command looks at: a model, adapted or not, and the images of a split.

Shape letters: B images, T templates, V values, E embedding width.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from datamodules.attribute import AttributeDataModule
from datamodules.errors import InputError
from interpret.towers import Tower, image_tower
from lightning_modules.backbone import Backbone
from lightning_modules.pixels import Pixels
from lightning_modules.progress import progress
from lightning_modules.tensors import fingerprint
from lightning_modules.value_text import value_embeddings

Items = NDArray[np.int64]


@dataclass(frozen=True)
class Subject:
    """A model and its data.

    Args:
        backbone: the base, and what is needed to feed it.
        model: the base's own model, or the same with a delta on it.
        data: images and dictionary, after `setup`.
        split: whose images are looked at.
        device: where the model is.
        delta: name of the delta on the model; "" without one.
        batch: images of one pass.
    """

    backbone: Backbone
    model: nn.Module = field(repr=False)
    data: AttributeDataModule = field(repr=False)
    split: str
    device: torch.device
    delta: str = ""
    batch: int = 128

    @cached_property
    def tower(self) -> Tower:
        """The image tower.

        Raises:
            UnsupportedTowerError: if it cannot be taken apart.
        """
        return image_tower(self.model)

    @cached_property
    def headed(self) -> Tower:
        """The image tower, if it has heads.

        Raises:
            InputError: if it has none, or see `tower`.
        """
        if not self.tower.layers:
            raise InputError(
                f"expected a model whose image tower has attention heads, got "
                f"{self.backbone.name}, which has none: `decompose` alone takes it apart."
            )
        return self.tower

    @cached_property
    def identity(self) -> str:
        """What results depend on: weights, images, their order."""
        weights = fingerprint(self.model.state_dict())
        images = f"{self.data.source.data_hash}/{self.data.split_hash}/{self.split}"
        return f"{weights}/{images}/{len(self.items)}"

    @property
    def items(self) -> Items:
        """Numbers of the images."""
        return self.part_of(self.split, None)

    @property
    def protocol(self) -> dict[str, str | int]:
        """What was looked at, for result files."""
        return {
            "backbone": self.backbone.name,
            "pretrained": self.backbone.pretrained,
            "fingerprint": self.backbone.fingerprint,
            "delta": self.delta,
            "source": self.data.source_name,
            "data": self.data.source.data_hash,
            "dictionary": self.data.dictionary.hash,
            "attribute": self.data.attribute,
            "split": self.split,
            "images": len(self.items),
        }

    @cached_property
    def preprocess(self) -> Pixels:
        """uint8 (B, 3, height, width) -> what the tower takes."""
        backbone = self.backbone
        return Pixels(backbone.image_size, backbone.mean, backbone.std).to(self.device)

    def images(self, items: Items) -> Tensor:
        """Some images as the tower takes them, (B, 3, size, size)."""
        pixels = self.data.pixels()[items * self.data.crops]
        images = torch.from_numpy(np.ascontiguousarray(pixels)).permute(0, 3, 1, 2)
        prepared: Tensor = self.preprocess(images.to(self.device))
        return prepared

    def batches(self, items: Items | None = None, text: str = "images") -> Iterator[Tensor]:
        """Batches of images, in order, beside a progress bar."""
        items = self.items if items is None else items
        with progress(text, len(items)) as advance:
            for start in range(0, len(items), self.batch):
                part = items[start : start + self.batch]
                yield self.images(part)
                advance(len(part))

    def lazily(self, items: Items) -> Sequence[Tensor]:
        """The same batches, prepared anew each time they are gone through."""
        return _Batches(self, items)

    def part_of(self, split: str, most: int | None) -> Items:
        """Images of a split, at most so many, evenly spread over it.

        Raises:
            InputError: if there is no such split, or no image in it speaks of the attribute.
        """
        if split not in self.data.splits:
            raise InputError(
                f"expected a split of {self.data.source_name}, which are "
                f"{', '.join(self.data.splits)}, got {split!r}."
            )
        items = self.data.members(split)
        if most is None or most >= len(items):
            return items
        return items[np.linspace(0, len(items) - 1, most).astype(np.int64)]

    @property
    def annotated(self) -> tuple[str, ...]:
        """Attributes that the dictionary holds and the source annotates."""
        known = set(self.data.annotations.attributes)
        return tuple(name for name in self.data.dictionary.names if name in known)

    def labels(self, attribute: str, items: Items | None = None) -> Items:
        """The true value of each image as a number, -1 where none or several are known."""
        items = self.items if items is None else items
        shown_BV = self.data.labels(attribute).label[items] > 0
        return np.where(shown_BV.sum(axis=1) == 1, shown_BV.argmax(axis=1), -1).astype(np.int64)

    @torch.no_grad()
    def value_texts(self, attribute: str) -> Tensor:
        """Unit text embeddings (V, E) of an attribute's values."""
        prompts = self.data.prompts(attribute)
        return value_embeddings(self.model, self.backbone.tokenizer, prompts)

    @torch.no_grad()
    def texts(self, texts: Sequence[str]) -> Tensor:
        """Unit text embeddings of some texts, as they are."""
        return value_embeddings(self.model, self.backbone.tokenizer, [[text] for text in texts])


class _Batches(Sequence[Tensor]):
    """Batches of a subject's images by number."""

    def __init__(self, subject: Subject, items: Items) -> None:
        self.subject, self.items = subject, items

    def __len__(self) -> int:
        return -(-len(self.items) // self.subject.batch)

    @overload
    def __getitem__(self, number: int) -> Tensor: ...

    @overload
    def __getitem__(self, number: slice) -> list[Tensor]: ...

    def __getitem__(self, number: int | slice) -> Tensor | list[Tensor]:
        if isinstance(number, slice):
            return [self[each] for each in range(*number.indices(len(self)))]
        if not 0 <= number < len(self):
            raise IndexError(number)
        start = number * self.subject.batch
        return self.subject.images(self.items[start : start + self.subject.batch])
