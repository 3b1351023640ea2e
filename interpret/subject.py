"""What a command looks at: a model, adapted or not, and the images of a split.

Shape letters: B images, T templates, V values, E embedding width.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import overload

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from composition.export.load import open_delta
from composition.library import find_folders
from datamodules.agreement import build_missing, dictionary_of
from datamodules.attribute import AttributeDataModule
from datamodules.errors import InputError
from datamodules.sources import load_source
from interpret.flags import known_device, whole
from interpret.towers import Tower, image_tower
from lightning_modules.backbone import Backbone, load_backbone
from lightning_modules.delta import Delta, delta_folder
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


def add_subject(command: argparse.ArgumentParser, *, with_delta: bool = True) -> None:
    """The flags that say what is looked at."""
    command.add_argument("--backbone", default="glyph-clip", help="default: glyph-clip")
    command.add_argument("--pretrained", default="", help="tag or weight file of the backbone")
    if with_delta:
        command.add_argument(
            "--delta", default="", help="put a delta or composition on it: a folder or its name"
        )
    command.add_argument("--source", default="glyphs", help="data set (default: glyphs)")
    command.add_argument("--root", type=Path, help="folder of the data set")
    command.add_argument("--dictionary", type=Path, help="file of the dictionary")
    command.add_argument("--split_file", type=Path, help="a split to use for the source's own")
    command.add_argument(
        "--attribute", default="", help="images that speak of it (default: the dictionary's first)"
    )
    command.add_argument(
        "--split", default="validation", help="images to look at (default: validation)"
    )
    command.add_argument("--max_images", type=whole(1), help="most images of each split")
    command.add_argument("--batch_size", type=whole(1), default=128, help="images of a pass")
    command.add_argument(
        "--device", type=known_device, default="", help="default: a GPU if there is one"
    )


def open_subject(args: argparse.Namespace, split: str = "") -> Subject:
    """Open model and data.

    Args:
        args: parsed flags of `add_subject`.
        split: in place of `--split`.

    Raises:
        InputError: if a file is missing or does not fit.
    """
    backbone = load_backbone(args.backbone, args.pretrained)
    device = torch.device(args.device or ("cuda" if torch.cuda.is_available() else "cpu"))
    name, model = "", backbone.model
    if getattr(args, "delta", ""):
        delta = find_delta(args.delta, args, backbone)
        name, model = delta.card.attribute, put_on(delta, backbone.model)
    data = open_data(args, backbone.image_size)
    subject = Subject(
        backbone=backbone,
        model=model.to(device).eval(),
        data=data,
        split=split or args.split,
        device=device,
        delta=name,
        batch=args.batch_size,
    )
    data.pixels()
    return subject


def find_delta(
    name: str, args: argparse.Namespace, backbone: Backbone, flag: str = "--delta"
) -> Delta:
    """A saved delta or composition, by folder or by name.

    Args:
        name: what was asked for.
        args: parsed flags of `add_subject`.
        backbone: the base.
        flag: that asked, for messages.

    Raises:
        InputError: if there is none, or it is of another base.
    """
    shelf = delta_folder(backbone.name, args.source, "any").parent
    try:
        (folder,) = find_folders([name], shelf)
    except InputError as error:
        raise InputError(str(error).replace("--model.deltas", flag)) from None
    return open_delta(folder, backbone)


def put_on(delta: Delta, model: nn.Module) -> nn.Module:
    """The model with the delta on it: an adapter beside the weights, or added to them if dense."""
    if delta.card.kind == "dense":
        delta.apply(model)
        return model
    return delta.attach(model)


def open_data(args: argparse.Namespace, image_size: int) -> AttributeDataModule:
    """The data module of the flags, after `setup`.

    Raises:
        InputError: if data, dictionary, attribute or split are missing.
    """
    attribute = args.attribute or _first_attribute(args)
    data = AttributeDataModule(
        attribute=attribute,
        source=args.source,
        root=args.root,
        dictionary=args.dictionary,
        split=args.split_file,
        max_images=args.max_images,
        image_size=image_size,
    )
    data.prepare_data()
    data.setup()
    return data


def _first_attribute(args: argparse.Namespace) -> str:
    source = load_source(args.source, args.root)
    if args.dictionary is None:
        build_missing(source, args.root)
    names = dictionary_of(source, args.root, args.dictionary).names
    return next(name for name in source.annotations.attributes if name in names)
