"""What every data set yields, whatever its layout on disk."""

from __future__ import annotations

from pathlib import Path
from typing import Protocol

from datamodules.annotations import Annotations
from datamodules.images import Pixels


class Source(Protocol):
    """A data set on disk.

    Attributes:
        name: its name on the command line.
        root: its folder.
        annotations: which image shows what.
        data_hash: SHA-256 of the annotations and images; equal data, equal hash.
    """

    name: str
    root: Path
    annotations: Annotations
    data_hash: str

    def captions(self, split: str) -> list[list[str]]:
        """Free sentences about each image of a split."""
        ...

    def pixels(self, size: int) -> Pixels:
        """All images, uint8 (N, S, S, 3); S is `size` unless the source keeps a size of its own."""
        ...
