"""A user's own images: `ROOT/annotations.csv` beside the image files it names.

The columns are those of `datamodules.annotations`. Captions are optional: `ROOT/captions.csv` with the columns
image, caption. Without them, every annotated value is read as a caption of one word.
"""

from __future__ import annotations

import csv
from dataclasses import dataclass
from pathlib import Path

from datamodules.annotations import Annotations, read_csv
from datamodules.errors import InputError
from datamodules.files import sha256_file, sha256_json
from datamodules.images import Pixels, cached

ANNOTATIONS, CAPTIONS = "annotations.csv", "captions.csv"


@dataclass(frozen=True)
class Folder:
    """See the module; the attributes are those of `Source`."""

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
                f"DATA=folder needs the folder that holds {ANNOTATIONS}, got none. Add ROOT=path/to/folder."
            )
        root = root.expanduser()
        annotations = read_csv(root / ANNOTATIONS)
        if not annotations.rows:
            raise InputError(f"expected annotations in {root / ANNOTATIONS}, got a header only. Add rows.")
        hashes = [sha256_file(path) for name in (ANNOTATIONS, CAPTIONS) if (path := root / name).exists()]
        sizes = [path.stat().st_size if (path := root / image).exists() else -1 for image in annotations.images]
        return cls(root, annotations, sha256_json([hashes, sizes]))

    def captions(self, split: str) -> list[list[str]]:
        """The captions of each image of the split, or its values where there are none."""
        texts: dict[str, list[str]] = {
            self.annotations.images[i]: [] for i in self.annotations.members(split)
        }
        for image, text in self._spoken():
            if image in texts:
                texts[image].append(text)
        return list(texts.values())

    def pixels(self, size: int) -> Pixels:
        """All images, uint8 (N, size, size, 3); cached under `artifacts/data/folder`."""
        paths = [self.root / image for image in self.annotations.images]
        return cached(paths, size, Path("artifacts/data/folder"))

    def _spoken(self) -> list[tuple[str, str]]:
        path = self.root / CAPTIONS
        if not path.exists():
            return [(row.image, row.value) for row in self.annotations.rows if row.label == 1]
        with path.open(newline="", encoding="utf-8-sig") as stream:
            reader = csv.DictReader(stream)
            if not {"image", "caption"} <= set(reader.fieldnames or ()):
                raise InputError(f"{path}, line 1: expected the columns image and caption. Correct the header.")
            return [(row["image"], row["caption"] or "") for row in reader]
