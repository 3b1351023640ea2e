"""A user's own images: `ROOT/annotations.csv` beside the image files it names.

The columns are those of `datamodules.annotations`. Captions are optional: `ROOT/captions.csv` with
the columns image and caption, one row a caption. Without that file, every annotated value is read
as a caption of one word.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from datamodules.annotations import Annotations, read_csv
from datamodules.errors import InputError
from datamodules.files import sha256_file, sha256_json
from datamodules.images import Pixels, cached
from datamodules.tables import read_table

ANNOTATIONS, CAPTIONS = "annotations.csv", "captions.csv"
CACHE = Path("artifacts/data/folder")


@dataclass(frozen=True)
class Folder:
    """A folder of images and what is written about them; the attributes are those of `Source`."""

    root: Path
    annotations: Annotations
    data_hash: str
    name: str = "folder"

    @classmethod
    def open(cls, root: Path | None) -> Folder:
        """Read the annotations.

        Raises:
            InputError: if there is no root, or the file is missing, broken or empty.
        """
        if root is None:
            raise InputError(
                f"DATA=folder needs the folder that holds {ANNOTATIONS}, got none. Add "
                "ROOT=path/to/folder."
            )
        root = root.expanduser()
        annotations = read_csv(root / ANNOTATIONS)
        texts = [path for name in (ANNOTATIONS, CAPTIONS) if (path := root / name).is_file()]
        # Lengths stand for contents: hashing gigabytes of pictures would delay every start.
        sizes = [_size(root / image) for image in annotations.images]
        return cls(root, annotations, sha256_json([[sha256_file(path) for path in texts], sizes]))

    def captions(self, split: str) -> list[list[str]]:
        """The captions of each image of the split, or its values where there are none.

        Raises:
            InputError: if a row of the captions is broken, or no row is about an annotated image.
        """
        images = self.annotations.images
        texts: dict[str, list[str]] = {images[i]: [] for i in self.annotations.members(split)}
        for image, text in self._spoken():
            if image in texts:
                texts[image].append(text)
        return list(texts.values())

    def pixels(self, size: int) -> Pixels:
        """All images, uint8 (N, size, size, 3); cached under `artifacts/data/folder`."""
        return cached([self.root / image for image in self.annotations.images], size, CACHE)

    def _spoken(self) -> Iterator[tuple[str, str]]:
        """Pairs of image and caption."""
        path, annotated = self.root / CAPTIONS, set(self.annotations.images)
        if not path.exists():
            yield from ((row.image, row.value) for row in self.annotations.rows if row.label == 1)
            return
        other = "none"
        known = False
        for row in read_table(path, "the captions", ("image", "caption")):
            known = known or row.cells["image"] in annotated
            other = repr(row.cells["image"])
            yield row.cells["image"], row.cells["caption"]
        if not known:
            raise InputError(
                f"expected captions of the images in {self.root / ANNOTATIONS}, such as "
                f"{self.annotations.images[0]!r}; {path} is about others: {other}. Write the "
                "images' names alike in both."
            )


def _size(path: Path) -> int:
    return path.stat().st_size if path.is_file() else -1
