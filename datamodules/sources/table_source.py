"""`TableSource`: what all data sets with annotation files have in common once these are read."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.annotations import Annotations
from datamodules.errors import InputError
from datamodules.files import file_size
from datamodules.images import Pixels, cached, crop_draws
from datamodules.sources.about import About

CACHE = Path("artifacts/data")


@dataclass(frozen=True, eq=False)
class TableSource:
    """A data set on disk whose attributes its own files state; see `Source` for the properties.

    Attributes:
        about: where it comes from.
        root: its folder.
        annotations: the table.
        images: the folder that the images' identifiers are paths below.
        spoken: captions by image, where there are any.
        templates: prompt templates by attribute, where a value alone is no description: "a bird
            with a {} bill".
        states_types: whether the annotations say which values belong to which attribute.
    """

    about: About
    root: Path
    annotations: Annotations
    images: Path
    spoken: Mapping[str, list[str]] = field(default_factory=dict)
    templates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)
    states_types: bool = True

    @property
    def name(self) -> str:
        """Its name on the command line."""
        return self.about.name

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 of the annotations, the captions and the lengths of the image files."""
        digest = hashlib.sha256()
        table = self.annotations
        for column in (*table.items, *table.columns):
            digest.update(column.tobytes())
        sizes = [file_size(self.images / image) for image in table.names.images]
        said = [self.spoken.get(image, []) for image in table.names.images]
        digest.update(repr((tuple(table.names), sizes, said)).encode())
        return digest.hexdigest()

    def captions(self, split: str) -> list[list[str]]:
        """Free sentences about each image of a split; empty lists where there are none."""
        return [self.spoken.get(image, []) for image in self.annotations.images_of(split)]

    def pixels(
        self, size: int, items: NDArray[np.int64] | None = None, *, crops: int = 1
    ) -> Pixels:
        """The items as squares, uint8 (N * C, size, size, 3), cached in `artifacts/data/<name>`.

        Args:
            size: in pixels.
            items: numbers of the N items that are wanted; None for all.
            crops: C squares of each item, see `Source.pixels`.

        Raises:
            InputError: if images are missing or broken, or a box lies outside its image.
        """
        if items is None:
            items = np.arange(len(self.annotations))
        table = self.annotations.take(items)
        missing = [name for name in table.names.images if not (self.images / name).is_file()]
        if missing:
            raise InputError(
                f"expected {len(table.names.images):,} images of {self.about.title} below "
                f"{self.images}, {len(missing):,} are missing, such as {missing[0]}. "
                f"{self.about.get}"
            )
        paths = [self.images / name for name in table.images]
        drawn = crop_draws(items, crops)
        return cached(paths, size, CACHE / self.name, boxes=table.boxes, draws=drawn)
