"""A user's own images: `ROOT/annotations.csv` beside the image files it names.

The columns are those of `datamodules.annotations.csv_file`. Captions are optional:
`ROOT/captions.csv` with the columns image and caption, one row a caption: the dictionary is then
found in them. Without that file, it holds the annotated attributes and values as they are.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.annotations import Annotations, read_csv
from datamodules.errors import InputError
from datamodules.files import file_size, sha256_file, sha256_json
from datamodules.images import Pixels, cached, crop_draws
from datamodules.sources.about import About, Files
from datamodules.tables import read_table

ABOUT = About(
    name="folder",
    title="your own images",
    homepage="",
    licence="yours",
    citation="",
    get="It holds annotations.csv (image, split, attribute, value) and the images named there.",
    files=(Files("annotations.csv", 1, "annotations"), Files("captions.csv", 1, "captions", False)),
)
ANNOTATIONS, CAPTIONS = "annotations.csv", "captions.csv"
CACHE = Path("artifacts/data/folder")


@dataclass(frozen=True)
class Folder:
    """A folder of images and what is written about them; the attributes are those of `Source`."""

    root: Path
    annotations: Annotations
    data_hash: str
    name: str = "folder"
    templates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @property
    def states_types(self) -> bool:
        """True where every row names its attribute, and there are no captions to find others in."""
        return "" not in self.annotations.attributes and not (self.root / CAPTIONS).is_file()

    @classmethod
    def open(cls, root: Path) -> Folder:
        """Read the annotations.

        Raises:
            InputError: if the file is missing, broken or empty.
        """
        annotations = read_csv(root / ANNOTATIONS)
        texts = [path for name in (ANNOTATIONS, CAPTIONS) if (path := root / name).is_file()]
        # Lengths stand for contents: hashing gigabytes of pictures would delay every start.
        sizes = [file_size(root / image) for image in annotations.names.images]
        return cls(root, annotations, sha256_json([[sha256_file(path) for path in texts], sizes]))

    def captions(self, split: str) -> list[list[str]]:
        """The captions of each image of the split; empty lists where there are none.

        Raises:
            InputError: if a row of the captions is broken, or no row is about an annotated image.
        """
        texts: dict[str, list[str]] = {image: [] for image in self.annotations.images_of(split)}
        for image, text in self._spoken():
            if image in texts:
                texts[image].append(text)
        return list(texts.values())

    def pixels(
        self, size: int, items: NDArray[np.int64] | None = None, *, crops: int = 1
    ) -> Pixels:
        """The items as squares, see `Source.pixels`; cached in `artifacts/data/folder`."""
        if items is None:
            items = np.arange(len(self.annotations))
        table, drawn = self.annotations.take(items), crop_draws(items, crops)
        paths = [self.root / image for image in table.images]
        return cached(paths, size, CACHE, boxes=table.boxes, draws=drawn)

    def _spoken(self) -> Iterator[tuple[str, str]]:
        """Pairs of image and caption."""
        path, annotated = self.root / CAPTIONS, set(self.annotations.names.images)
        if not path.is_file():
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


open_source = Folder.open
