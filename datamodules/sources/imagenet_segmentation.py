"""ImageNet-Segmentation: 4,276 photographs of ImageNet with masks of the object they are named for.

    ROOT/gtsegs_ijcv.mat                                        images, masks and classes
    ROOT/words.txt, or another file of `wordnet_names`          optional: names of the classes

The file is MATLAB 7.3, which is HDF5; to read it, h5py is needed, which is not installed with the
rest (`pip install h5py`). Its struct `value` has, for each image, as references:

    id       "n01440764_10026", whose first part is the class
    img      uint8 (3, W, H) or (W, H): MATLAB's axes come reversed
    gt       references to one mask or several, uint8 (W, H), 0 outside the object
    target   the class; read where the id does not name it

An item is an image; its class is the value of the attribute "category". All images are test: the
masks are for judging explanations, and nothing is trained on them. Classes without a name keep
their number.

Shape letters: N images, M masks, S pixels a side.
"""

from __future__ import annotations

import hashlib
import logging
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cached_property
from importlib import import_module
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.annotations import Builder
from datamodules.errors import InputError
from datamodules.files import sha256_json
from datamodules.images import Pixels, chosen, decoded_once, square
from datamodules.sources.about import About, Download, Files
from datamodules.sources.lines import safe_path
from datamodules.sources.table_source import CACHE, TableSource
from datamodules.sources.wordnet_names import WNID, find_names, read_names

_FILE = "gtsegs_ijcv.mat"
_SITE = "http://calvin-vision.net/bigstuff/proj-imagenet"
ABOUT = About(
    name="imagenet_segmentation",
    title="ImageNet-Segmentation",
    homepage=f"{_SITE}/",
    licence="none stated; images of ImageNet, for non-commercial research and education",
    citation="Guillaumin, Kuttel and Ferrari, ImageNet Auto-Annotation with Segmentation "
    "Propagation, IJCV 2014",
    get=f"Get {_SITE}/data/{_FILE}.",
    files=(Files(_FILE, 1, "images, masks and classes"),),
    downloads=(Download(f"{_SITE}/data/{_FILE}", _FILE),),
    class_attribute="category",
)
_TEMPLATES = {"category": ("a photo of a {}", "a picture of a {}", "there is a {}", "a {}")}
_log = logging.getLogger(__name__)


class Record(NamedTuple):
    """One image with what is known of it.

    Attributes:
        image: uint8 (H, W, 3).
        masks: (M, H, W), true on the object; published figures use the first.
        category: its class.
    """

    image: Pixels
    masks: NDArray[np.bool_]
    category: str


@dataclass(frozen=True, eq=False)
class Segmented(TableSource):
    """The source; its images lie inside one file, and so do their masks."""

    @property
    def file(self) -> Path:
        """The file of images and masks."""
        return self.root / _FILE

    @cached_property
    def data_hash(self) -> str:
        """SHA-256 of the annotations and the length of the file."""
        return sha256_json([super().data_hash, self.file.stat().st_size])

    def record(self, index: int) -> Record:
        """The image of an item, its masks and its class.

        Args:
            index: number of the item.

        Raises:
            InputError: if the file is broken.
        """
        category = self._categories[index]
        with _opened(self.file) as parts:
            return Record(_image(parts, index), _masks(parts, index), category)

    def masks(self, index: int) -> NDArray[np.bool_]:
        """The masks of an item, (M, H, W) of its image, true on the object; see `Record`."""
        with _opened(self.file) as parts:
            return _masks(parts, index)

    def pixels(
        self, size: int, items: NDArray[np.int64] | None = None, *, crops: int = 1
    ) -> Pixels:
        """The items, uint8 (N, size, size, 3), cached under `artifacts/data/<name>`.

        Raises:
            InputError: if the file is broken, or the cache cannot be written.
        """
        status = self.file.stat()
        stamp = f"{self.file.resolve()}\0{status.st_size}\0{status.st_mtime_ns}".encode()
        digest = hashlib.sha256(stamp).hexdigest()[:12]
        cache = CACHE / self.name / f"images-{size}-{digest}.npy"
        shape = len(self.annotations), size, size, 3
        pixels = decoded_once(cache, self._squares(size), shape)
        return chosen(pixels, items, crops, source=self.name)

    @cached_property
    def _categories(self) -> list[str]:
        table = self.annotations
        return [table.names.values[value] for value in table.columns.value.tolist()]

    def _squares(self, size: int) -> Iterator[Pixels]:
        from PIL import Image

        with _opened(self.file) as parts:
            for index in range(len(self.annotations)):
                yield np.asarray(square(Image.fromarray(_image(parts, index)), size))[None]


def open_source(root: Path) -> Segmented:
    """Read the classes of all images; images and masks are read when they are asked for.

    Raises:
        InputError: if the file is missing or broken, or h5py is not installed.
    """
    path = root / _FILE
    with _opened(path) as parts:
        num_images = len(parts["value/id"])
        found = [_identity(parts, path, index) for index in range(num_images)]
    names = _names(root, {wnid for _, wnid in found})
    builder, number_of = Builder(), dict[str, int]()
    for number, (image, wnid) in enumerate(found, start=1):
        if number_of.setdefault(image, number) != number:
            raise InputError(
                f"{path}, image {number}: expected every id once, got {image!r} again (image "
                f"{number_of[image]}). {ABOUT.get}"
            )
        builder.add(image, "test", "category", names.get(wnid, wnid))
    if not found:
        raise InputError(f"expected images in {path}, got none. {ABOUT.get}")
    return Segmented(ABOUT, root, builder.table(), root, templates=_TEMPLATES)


def _names(root: Path, wanted: set[str]) -> dict[str, str]:
    path = find_names(root)
    names = read_names(path, wanted) if path else {}
    if missing := sorted(wanted - names.keys()):
        _log.warning(
            "%s: %d of %d classes have no name and keep their number, such as %s. Put words.txt of "
            "ImageNet into %s.", ABOUT.title, len(missing), len(wanted), missing[0], root,
        )  # fmt: skip
    return names


@contextmanager
def _opened(path: Path) -> Iterator[Any]:
    """The open file; whatever is missing or broken in it becomes an `InputError`."""
    if not path.is_file():
        raise InputError(f"expected images and masks at {path}, found no such file. {ABOUT.get}")
    try:
        h5py: Any = import_module("h5py")
    except ImportError:
        raise InputError(
            f"{path} is an HDF5 file, and h5py, which reads it, is not installed. Run `pip install "
            "h5py`, then run the command again."
        ) from None
    try:
        with h5py.File(path, "r") as parts:
            yield parts
    except InputError:
        raise
    except (OSError, RuntimeError, LookupError, ValueError, TypeError, AttributeError) as error:
        raise InputError(
            f"expected a MATLAB 7.3 file with value/id, value/img and value/gt at {path}, got one "
            f"that cannot be read ({error}). {ABOUT.get}"
        ) from None


def _identity(parts: Any, path: Path, index: int) -> tuple[str, str]:
    """The id of an image and its class."""
    place = f"{path}, image {index + 1}"
    image = safe_path(_text(parts, "value/id", index), place)
    wnid = image.split("_")[0]
    if not WNID.fullmatch(wnid):
        wnid = _text(parts, "value/target", index) if "value/target" in parts else wnid
    if not WNID.fullmatch(wnid):
        raise InputError(
            f"{place}: expected an id that begins with a class, such as n01440764_10026, got "
            f"{image[:80]!r}. {ABOUT.get}"
        )
    return image, wnid


def _text(parts: Any, name: str, index: int) -> str:
    """A text, which MATLAB stores as the numbers of its letters."""
    codes = np.asarray(parts[parts[name][index, 0]]).ravel()
    return "".join(map(chr, codes.astype(np.int64).tolist())).strip("\0 ")


def _image(parts: Any, index: int) -> Pixels:
    image = np.asarray(parts[parts["value/img"][index, 0]]).T
    if image.ndim == 2:
        image = np.stack([image] * 3, axis=-1)
    if image.ndim != 3 or image.shape[2] != 3 or image.dtype != np.uint8 or not image.size:
        raise ValueError(f"image {index + 1} is {image.dtype} {image.shape}")
    return np.ascontiguousarray(image)


def _masks(parts: Any, index: int) -> NDArray[np.bool_]:
    cells = parts[parts["value/gt"][index, 0]]
    if cells.dtype == np.object_:
        masks = [np.asarray(parts[reference]).T for reference in np.asarray(cells).ravel()]
    else:
        masks = [np.asarray(cells).T]  # a mask without a list around it
    return np.stack(masks) > 0
