"""What every data set yields, whatever its layout on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

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
        """Which image shows what, N images."""
        ...

    @property
    def data_hash(self) -> str:
        """SHA-256 that tells data sets apart: other annotations, captions or images, other hash."""
        ...

    def captions(self, split: str) -> list[list[str]]:
        """Free sentences about each image of a split, in the order of its members."""
        ...

    def pixels(self, size: int) -> Pixels:
        """All images, uint8 (N, S, S, 3); S is `size` unless the source keeps a size of its own.

        Raises:
            InputError: if an image is missing or broken.
        """
        ...
