"""What every data set yields, whatever its layout on disk."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from datamodules.annotations import Annotations
from datamodules.images import Pixels


class Source(Protocol):
    """A data set on disk."""

    @property
    def name(self) -> str:
        """Its name on the command line."""
        ...

    @property
    def root(self) -> Path:
        """Its folder."""
        ...

    @property
    def annotations(self) -> Annotations:
        """Which image shows what, N items."""
        ...

    @property
    def data_hash(self) -> str:
        """SHA-256 that tells data sets apart: other annotations, captions or images, other hash."""
        ...

    @property
    def states_types(self) -> bool:
        """Whether the annotations say which values belong to which attribute.

        Then the dictionary takes them as they are; else it finds them in the captions.
        """
        ...

    @property
    def templates(self) -> Mapping[str, tuple[str, ...]]:
        """Prompt templates by attribute, where the source knows better ones than the default."""
        ...

    def captions(self, split: str) -> list[list[str]]:
        """Free sentences about each image of a split, in the order of `Annotations.images_of`."""
        ...

    def pixels(
        self, size: int, items: NDArray[np.int64] | None = None, *, crops: int = 1
    ) -> Pixels:
        """The items as squares, uint8 (N * C, S, S, 3), those of an item one after the other.

        Args:
            size: S, in pixels; a source may keep a size of its own.
            items: numbers of the N items that are wanted; None for all.
            crops: C squares of each item: its centre, then crops of half of its area or more.

        Raises:
            InputError: if an image is missing or broken, or the source has no larger pictures to
                cut crops from.
        """
        ...
