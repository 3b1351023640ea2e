"""`AttributeDataModule`: the images of a source that speak of one attribute of its dictionary.

Shape letters: B images of a batch, N images of the source, H x W pixels, V values of the attribute.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from datamodules.annotations import Labels
from datamodules.dictionary import Attribute, Dictionary
from datamodules.dictionary.command import build_file, default_path
from datamodules.errors import InputError
from datamodules.files import sha256_json
from datamodules.images import Pixels
from datamodules.prompts import prompts, templates_for
from datamodules.sampling import OrderedBatches, ShuffledBatches
from datamodules.sources import Source, load_source

_BATCH = 250  # images of an evaluation batch


class AttributeImages(Dataset[dict[str, Tensor]]):
    """Whole batches of images and labels, by image number.

    Args:
        pixels: uint8 (N, H, W, 3), usually memory-mapped.
        labels: what is known of the attribute.
    """

    def __init__(self, pixels: Pixels, labels: Labels) -> None:
        self.pixels, self.labels = pixels, labels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> dict[str, Tensor]:
        return self.__getitems__([index])

    def __getitems__(self, index: list[int]) -> dict[str, Tensor]:
        """A batch: image uint8 (B, 3, H, W), label int8 and known bool (B, V), weight and index (B,)."""
        images = torch.from_numpy(np.ascontiguousarray(self.pixels[index]))
        return {
            "image": images.permute(0, 3, 1, 2),
            "label": torch.from_numpy(self.labels.label[index]),
            "known": torch.from_numpy(self.labels.known[index]),
            "weight": torch.from_numpy(self.labels.weight[index]),
            "index": torch.tensor(index),
        }


class AttributeDataModule(L.LightningDataModule):
    """The splits of a source, filtered to the images that speak of one attribute.

    Args:
        attribute: name of an attribute in the dictionary.
        source: name of the data set.
        root: its folder; glyphs are drawn where there is none.
        dictionary: the dictionary's file; `artifacts/dictionary/<source>.json`, built if missing.
        batch_size: images of one training step, over all processes together.
        num_workers: processes that fetch batches; by default 2 beside a GPU, else none.
        image_size: pixels a side that images are decoded to, where the source has no size of its own.
        seed: seed of the order of the images.
    """

    def __init__(
        self,
        attribute: str,
        source: str = "glyphs",
        root: Path | None = None,
        dictionary: Path | None = None,
        batch_size: int = 128,
        num_workers: int | None = None,
        image_size: int = 224,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if batch_size < 1:
            raise InputError(f"--data.batch_size is {batch_size}, expected at least 1.")
        self.attribute = attribute
        self.source_name, self.root, self.dictionary_path = source, root, dictionary
        self.batch_size, self.image_size, self.seed = batch_size, image_size, seed
        self.num_workers = num_workers
        self._source: Source | None = None
        self._dictionary: Dictionary | None = None

    def prepare_data(self) -> None:
        """Draw or check the data, and build the dictionary if there is none; one process does this."""
        path = self.dictionary_path or default_path(self.source_name)
        load_source(self.source_name, self.root)
        if self.dictionary_path is None and not path.is_file():
            build_file(path, self.source_name, self.root)

    def setup(self, stage: str | None = None) -> None:
        """Open the source and the dictionary.

        Raises:
            InputError: if the dictionary is missing or of other data, or does not hold the attribute.
        """
        if self._source is None:
            source = load_source(self.source_name, self.root)
            path = self.dictionary_path or default_path(self.source_name)
            dictionary = Dictionary.load(path, source=self.source_name)
            self._check(dictionary, source, path)
            dictionary.attribute(self.attribute)
            self._source, self._dictionary = source, dictionary
            for split in self.splits:
                self.members(split)

    @property
    def source(self) -> Source:
        """The data set; after `setup`."""
        assert self._source is not None, "call setup() first"
        return self._source

    @property
    def dictionary(self) -> Dictionary:
        """The dictionary; after `setup`."""
        assert self._dictionary is not None, "call setup() first"
        return self._dictionary

    @property
    def values(self) -> tuple[str, ...]:
        """Values of the attribute, in the dictionary's order."""
        return self.dictionary.attribute(self.attribute).texts

    @property
    def exclusive(self) -> bool:
        """Whether an image shows at most one value."""
        return self.dictionary.attribute(self.attribute).exclusive

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the source's splits; "train" and "validation" are among them."""
        return self.source.annotations.splits

    @property
    def test_splits(self) -> tuple[str, ...]:
        """The splits that are only reported."""
        return tuple(split for split in self.splits if split not in {"train", "validation"})

    def templates(self, attribute: str) -> tuple[str, ...]:
        """The prompt templates of an attribute, chosen by how captions use its values."""
        values = self.dictionary.attribute(attribute).values
        return templates_for((value.text, text) for value in values for text in value.examples)

    def prompts(self, attribute: str) -> list[list[str]]:
        """Prompts of each value: V lists, one text a template."""
        texts, templates = self.dictionary.attribute(attribute).texts, self.templates(attribute)
        return [prompts(text, templates) for text in texts]

    def labels(self, attribute: str) -> Labels:
        """Labels of all N images for an attribute of the dictionary."""
        entry: Attribute = self.dictionary.attribute(attribute)
        return self.source.annotations.labels(attribute, entry.texts, exclusive=entry.exclusive)

    def members(self, split: str, attribute: str | None = None) -> NDArray[np.int64]:
        """Numbers of a split's images of which something is known about the attribute.

        Raises:
            InputError: if there is none.
        """
        attribute = attribute or self.attribute
        members = self.source.annotations.members(split)
        chosen = members[self.labels(attribute).known[members].any(axis=1)]
        if len(chosen) == 0:
            raise InputError(
                f"expected images of the split {split!r} annotated for {attribute!r}, got none of {len(members)}. "
                f"The source annotates: {', '.join(self.source.annotations.attributes)}. Choose one of these."
            )
        return np.asarray(chosen)

    def image(self, index: int) -> Pixels:
        """One image, uint8 (H, W, 3)."""
        return np.asarray(self.source.pixels(self.image_size)[index])

    def train_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """Shuffled batches of the training split."""
        rank, world_size = self._place()
        if self.batch_size % world_size:
            raise InputError(
                f"--data.batch_size is {self.batch_size}, expected a multiple of the {world_size} processes that "
                "share it. Choose another batch size or number of devices."
            )
        batches = ShuffledBatches(
            self.members("train"), batch_size=self.batch_size, seed=self.seed, rank=rank, world_size=world_size
        )
        return self._loader(batches, persistent=True)

    def val_dataloader(self) -> DataLoader[dict[str, Tensor]]:
        """The validation split, by which a checkpoint is chosen."""
        return self._ordered("validation")

    def test_dataloader(self) -> list[DataLoader[dict[str, Tensor]]]:
        """The splits that are only reported."""
        return [self._ordered(split) for split in self.test_splits]

    def _ordered(self, split: str) -> DataLoader[dict[str, Tensor]]:
        rank, world_size = self._place()
        return self._loader(
            OrderedBatches(self.members(split), batch_size=_BATCH, rank=rank, world_size=world_size)
        )

    def _loader(self, batches: Any, *, persistent: bool = False) -> DataLoader[dict[str, Tensor]]:
        on_gpu = torch.cuda.is_available()
        num_workers = (2 if on_gpu else 0) if self.num_workers is None else self.num_workers
        images = AttributeImages(self.source.pixels(self.image_size), self.labels(self.attribute))
        return DataLoader(
            images,
            batch_sampler=batches,
            collate_fn=_whole,
            num_workers=num_workers,
            pin_memory=on_gpu,
            persistent_workers=persistent and num_workers > 0,
        )

    def _place(self) -> tuple[int, int]:
        return (self.trainer.global_rank, self.trainer.world_size) if self.trainer else (0, 1)

    def _check(self, dictionary: Dictionary, source: Source, path: Path) -> None:
        captions = sha256_json(source.captions("train"))
        if dictionary.data_hash != captions:
            raise InputError(
                f"expected a dictionary of the captions in {source.root} ({captions[:12]}), {path} is of others "
                f"({dictionary.data_hash[:12]}). Build it with: make dictionary DATA={self.source_name}"
                + (f" ROOT={self.root}" if self.root else "")
            )
        if missing := [split for split in ("train", "validation") if split not in source.annotations.splits]:
            raise InputError(
                f"expected the splits train and validation in {source.root}, got "
                f"{', '.join(source.annotations.splits)}: {missing[0]} is missing. Name it in the split column."
            )


def _whole(batch: dict[str, Tensor]) -> dict[str, Tensor]:
    """The dataset already made a batch."""
    return batch
