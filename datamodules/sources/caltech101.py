"""Caltech-101: 8,677 pictures of 101 kinds of things, one folder a kind.

    ROOT/101_ObjectCategories/grand_piano/image_0001.jpg

Left out: `BACKGROUND_Google`, which shows nothing in particular, and `Faces_easy`, the same 435
photographs as `Faces` cut closer: with both, one face would train and test. 8,242 images of 100
categories remain, those of CoOp. There is no official split; the first of these that is there
counts:

    ROOT/train.txt and ROOT/test.txt    one image a line, as grand_piano/image_0001.jpg
    ROOT/split_zhou_Caltech101.json     CoOp's
    neither                             by a hash of the image's name: 80, 10 and 10 of 100
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from pathlib import Path

from datamodules.annotations import Builder
from datamodules.errors import InputError
from datamodules.sources.about import About, Download, Files
from datamodules.sources.hashed_parts import hashed_part
from datamodules.sources.held_out import with_validation
from datamodules.sources.lines import read_lines, safe_path
from datamodules.sources.table_source import TableSource
from datamodules.splits.coop_files import read_split_zhou

ABOUT = About(
    name="caltech101",
    title="Caltech-101",
    homepage="https://data.caltech.edu/records/mzrjq-6wc02",
    licence="CC-BY-4.0",
    citation=(
        "F.-F. Li, M. Andreeto, M. Ranzato, P. Perona. Caltech 101. CaltechDATA, 2022. "
        "https://doi.org/10.22002/D1.20086"
    ),
    get=(
        "Unpack caltech-101.zip of https://data.caltech.edu/records/mzrjq-6wc02, then the "
        "101_ObjectCategories.tar.gz in it, and set ROOT to the folder that holds "
        "101_ObjectCategories."
    ),
    files=(
        Files("**/101_ObjectCategories/*/*.jpg", 9_144, "the pictures"),
        Files("train.txt", 1, "the images of a training split", False),
        Files("test.txt", 1, "the images of a test split", False),
        Files("split_zhou_Caltech101.json", 1, "CoOp's split", False),
    ),
    downloads=(
        Download(
            "https://data.caltech.edu/records/mzrjq-6wc02/files/caltech-101.zip",
            "caltech-101.zip",
            "331234750fc7f77520e50d9565e8b6907b03565e30320da1401130db08c61f91",
            137_414_764,
        ),
    ),
    class_attribute="category",
)
TEMPLATES = {"category": ("a photo of a {}", "a picture of a {}", "a {}")}

_LEFT_OUT = frozenset({"BACKGROUND_Google", "Faces_easy"})
_NAMES = {"Faces": "face", "Leopards": "leopard", "Motorbikes": "motorbike",
          "airplanes": "airplane"}  # fmt: skip

_LOG = logging.getLogger(__name__)


def open_source(root: Path) -> TableSource:
    """Find the images, and which split each is in.

    Raises:
        InputError: if the folder of images is missing or empty, or a list is broken.
    """
    nested = root / "caltech-101"
    root = nested if (nested / "101_ObjectCategories").is_dir() else root
    folder = root / "101_ObjectCategories"
    present = sorted(path.relative_to(folder).as_posix() for path in folder.glob("*/*.jpg"))
    split_of, places = _splits(root, present)
    builder, rows = Builder(), list[str]()
    for image, split in split_of.items():
        category = image.partition("/")[0]
        if _ignored(image):
            continue
        rows.append(places.get(image, ""))
        name = _NAMES.get(category, category.replace("_", " "))
        builder.label(builder.item(image, split), "category", name)
    if not rows:
        raise InputError(
            f"expected pictures such as grand_piano/image_0001.jpg below {folder}, got none. "
            f"{ABOUT.get}"
        )
    if apart := [image for image in present if image not in split_of and not _ignored(image)]:
        _LOG.warning("%d images below %s are in no list, such as %s; they are left out.",
                     len(apart), folder, apart[0])  # fmt: skip
    return TableSource(ABOUT, root, builder.table(rows.__getitem__), folder, {}, TEMPLATES)


def _splits(root: Path, present: Sequence[str]) -> tuple[dict[str, str], dict[str, str]]:
    """The split of each image, and where that is said."""
    lists = [root / "train.txt", root / "test.txt"]
    if any(path.is_file() for path in lists):
        return _listed(lists)
    coop = root / "split_zhou_Caltech101.json"
    if coop.is_file():
        found = read_split_zhou(coop)
        split_of = {item.image: part for part, items in found.items() for item in items}
        return split_of, dict.fromkeys(split_of, f"{coop}: ")
    return {image: hashed_part(image) for image in present}, {}


def _listed(lists: Sequence[Path]) -> tuple[dict[str, str], dict[str, str]]:
    split_of: dict[str, str] = {}
    places: dict[str, str] = {}
    for path in lists:
        for line, text in read_lines(path, f"the images of the split {path.stem!r}"):
            place = f"{path}, line {line}"
            image = safe_path(text.strip(), place)
            if image.count("/") != 1:
                raise InputError(
                    f"{place}: expected an image such as grand_piano/image_0001.jpg, got "
                    f"{image[:80]!r}. Correct the line."
                )
            if image in places:
                raise InputError(
                    f"{place}: expected every image once, got {image!r} again, which is at "
                    f"{places[image].removesuffix(': ')}. Remove one of the lines."
                )
            places[image] = f"{place}: "
            split_of[image] = with_validation(image, path.stem)
    return split_of, places


def _ignored(image: str) -> bool:
    return image.partition("/")[0] in _LEFT_OUT
