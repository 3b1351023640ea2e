"""`AttributeDataModule`: the images of a source that speak of one attribute of its dictionary.

Shape letters: N images of the source, H x W pixels, V values of the attribute.
"""

from __future__ import annotations

from pathlib import Path

import lightning as L
import numpy as np
from numpy.typing import NDArray
from torch.utils.data import DataLoader, Sampler

from datamodules.agreement import NEEDED, build_missing, check_splits, dictionary_of
from datamodules.annotations import Annotations, Labels
from datamodules.batches import AttributeImages, Batch, loader
from datamodules.dictionary import Dictionary
from datamodules.errors import InputError
from datamodules.images import Pixels
from datamodules.place import Place
from datamodules.prompts import prompts
from datamodules.sampling import OrderedBatches, ShuffledBatches
from datamodules.sources import Source, load_source
from datamodules.splits.apply import in_parts
from datamodules.splits.by_hash import limited
from datamodules.splits.split import Split
from datamodules.wording import templates_of

Loader = DataLoader[Batch]

_EVALUATION_BATCH = 250  # images of a process at once; no gradients, so memory is no matter


class AttributeDataModule(L.LightningDataModule):
    """The splits of a source, filtered to the images that speak of one attribute.

    Args:
        attribute: name of an attribute in the dictionary.
        source: name of the data set.
        root: its folder; glyphs are drawn where there is none.
        dictionary: the dictionary's file; `artifacts/dictionary/<source>.json`, built if missing.
        batch_size: images of one training step, over all processes together.
        num_workers: processes that fetch batches; by default none, but a thread beside a GPU.
        image_size: pixels a side that images are decoded to; glyphs keep their own 64.
        split: file of a split to use in place of the source's own, see `datamodules.splits`.
        min_weight: labels that the source trusts less count as unknown.
        max_images: most images of each split, by the hash of their names among those that speak of
            the attribute; None takes all.
        crops: squares of each image that are kept for training: its centre, then crops of half of
            its area or more, of which every epoch shows one; needs that many times the disk.
        seed: seed of the order of the images, 0 or more.

    Raises:
        InputError: if a number is out of its range.
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
        split: Path | None = None,
        min_weight: float = 0.0,
        max_images: int | None = None,
        crops: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        _at_least("batch_size", batch_size, 1)
        _at_least("num_workers", num_workers or 0, 0)
        _at_least("image_size", image_size, 1)
        _at_least("seed", seed, 0)
        _at_least("crops", crops, 1)
        _at_least("max_images", 1 if max_images is None else max_images, 1)
        self.attribute = attribute
        self.source_name, self.root, self.dictionary_path = source, root, dictionary
        self.batch_size, self.image_size, self.seed = batch_size, image_size, seed
        self.num_workers, self.min_weight = num_workers, min_weight
        self.split_path, self.split_hash = split, "official"
        self.max_images, self.crops = max_images, crops
        self._items: NDArray[np.int64] | None = None
        self._source: Source | None = None
        self._annotations: Annotations | None = None
        self._dictionary: Dictionary | None = None
        self._pixels: Pixels | None = None
        self._labels: dict[str, Labels] = {}

    # --- set-up -------------------------------------------------------------------------------

    def prepare_data(self) -> None:
        """Build the dictionary if there is none, and draw or decode the images that are used.

        Lightning calls this in one process, so that the others find everything made.

        Raises:
            InputError: if the source or an image of it is missing or broken, see also `setup`.
        """
        self._source = self._opened()
        if self.dictionary_path is None:
            build_missing(self._source, self.root)
        self.setup()
        self._pixels = None  # decode what may have changed since an earlier call
        self.pixels()

    def setup(self, stage: str | None = None) -> None:
        """Open the source and the dictionary.

        Raises:
            InputError: if the dictionary is missing or of other data, or does not hold the
                attribute, or the training or validation split does not speak of it.
        """
        if self._dictionary is not None:
            return
        source = self._source = self._source or self._opened()
        check_splits(self.annotations, source.root, self.split_path)
        self._dictionary = dictionary_of(source, self.root, self.dictionary_path)
        self._look_up()
        if self.max_images is not None:
            speaks_N = np.asarray(self.labels(self.attribute).known.any(axis=1))
            self._items = limited(self.annotations, speaks_N, self.max_images)
            self._annotations = self.annotations.take(self._items)
            self._labels.clear()  # they are of all items
        for split in NEEDED:
            self.members(split)

    def _opened(self) -> Source:
        return load_source(self.source_name, self.root)

    def _look_up(self) -> None:
        """Find the attribute in the dictionary; from here on there are labels."""
        self.attribute = self.dictionary.attribute(self.attribute).name

    @property
    def source(self) -> Source:
        """The data set; after `setup`."""
        assert self._source is not None, "call setup() first"
        return self._source

    @property
    def annotations(self) -> Annotations:
        """What is known of the items, with the splits that are used; after `setup`."""
        if self._annotations is None:
            self._annotations = self.source.annotations
            if self.split_path is not None:
                split = Split.load(self.split_path)
                self._annotations, self.split_hash = in_parts(self._annotations, split), split.hash
        return self._annotations

    @property
    def dictionary(self) -> Dictionary:
        """The dictionary; after `setup`."""
        assert self._dictionary is not None, "call setup() first"
        return self._dictionary

    # --- what is in it ------------------------------------------------------------------------

    @property
    def values(self) -> tuple[str, ...]:
        """The V values of the attribute, in the dictionary's order."""
        return self.dictionary.attribute(self.attribute).texts

    @property
    def exclusive(self) -> bool:
        """Whether an image shows at most one value."""
        return bool(self.dictionary.attribute(self.attribute).exclusive)

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the source's splits; "train" and "validation" are among them."""
        return self.annotations.splits

    @property
    def test_splits(self) -> tuple[str, ...]:
        """The splits that are only reported, where they speak of the attribute."""
        return tuple(
            split
            for split in self.splits
            if split not in NEEDED and len(self._speaking(split, self.attribute))
        )

    def templates(self, attribute: str) -> tuple[str, ...]:
        """The prompt templates of an attribute: its own, or chosen by how captions use values."""
        return templates_of(self.dictionary.attribute(attribute))

    def prompts(self, attribute: str) -> list[list[str]]:
        """Prompts of each value: V lists, one text a template."""
        texts, templates = self.dictionary.attribute(attribute).texts, self.templates(attribute)
        return [prompts(text, templates) for text in texts]

    def labels(self, attribute: str) -> Labels:
        """Labels of all N images for an attribute of the dictionary; computed once.

        Raises:
            InputError: if the dictionary does not hold the attribute.
        """
        if attribute not in self._labels:
            entry = self.dictionary.attribute(attribute)
            self._labels[attribute] = self.annotations.labels(
                attribute,
                entry.texts,
                exclusive=bool(entry.exclusive),
                min_weight=self.min_weight,
                spellings=entry.spellings,
                denials=entry.denials,
            )
        return self._labels[attribute]

    def members(self, split: str, attribute: str | None = None) -> NDArray[np.int64]:
        """Numbers of a split's images of which something is known about the attribute.

        Args:
            split: name of the split.
            attribute: name of an attribute; by default the data module's own.

        Raises:
            InputError: if there is none.
        """
        attribute = attribute or self.attribute
        members = self._speaking(split, attribute)
        if len(members) == 0:
            annotated = self.annotations.attributes
            both = [name for name in annotated if name in self.dictionary.names]
            raise InputError(
                f"expected images of the split {split!r} annotated with values of {attribute!r}, "
                f"got none of {len(self.annotations.members(split))}. The source annotates: "
                f"{', '.join(annotated)}; the dictionary holds of these: "
                f"{', '.join(both) or 'none'}. Choose one of both, or rename the attribute in the "
                "annotations."
            )
        return members

    def pixels(self) -> Pixels:
        """The squares of all images, uint8 (N * C, H, W, 3), memory-mapped; C is `crops`."""
        if self._pixels is None:
            self._pixels = self.source.pixels(self.image_size, self._items, crops=self.crops)
        return self._pixels

    def image(self, index: int) -> Pixels:
        """One image, uint8 (H, W, 3)."""
        return np.asarray(self.pixels()[index * self.crops])

    # --- batches ------------------------------------------------------------------------------

    def images(self) -> AttributeImages:
        """All images with their labels, for batches of any numbers."""
        return AttributeImages(self.pixels(), self.labels(self.attribute))

    def train_dataloader(self) -> Loader:
        """Shuffled batches of the training split.

        Raises:
            InputError: if the processes cannot share a batch evenly.
        """
        place = Place.of(self.trainer)
        place.check_shares(f"--data.batch_size is {self.batch_size}", self.batch_size)
        batches = ShuffledBatches(
            self.members("train"),
            batch_size=self.batch_size,
            seed=self.seed,
            crops=self.crops,
            **place._asdict(),
        )
        return self._loader(batches, persistent=True)

    def val_dataloader(self) -> Loader:
        """The validation split, by which a checkpoint is chosen."""
        return self._ordered("validation")

    def test_dataloader(self) -> list[Loader]:
        """The splits that are only reported."""
        return [self._ordered(split) for split in self.test_splits]

    def _ordered(self, split: str) -> Loader:
        batches = OrderedBatches(
            self.members(split),
            batch_size=_EVALUATION_BATCH,
            crops=self.crops,
            **Place.of(self.trainer)._asdict(),
        )
        return self._loader(batches)

    def _loader(self, batches: Sampler[list[int]], *, persistent: bool = False) -> Loader:
        return loader(self.images(), batches, num_workers=self.num_workers, persistent=persistent)

    def _speaking(self, split: str, attribute: str) -> NDArray[np.int64]:
        members = self.annotations.members(split)
        return np.asarray(members[self.labels(attribute).known[members].any(axis=1)])


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise InputError(f"--data.{name} is {value}, expected at least {least}.")
