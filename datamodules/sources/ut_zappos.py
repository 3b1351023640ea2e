"""UT-Zap50K: catalogue photographs of shoes, in its full and in its compositional form.

The full form is read where there is no list of pairs:

    ROOT/ut-zap50k-images/Shoes/Oxfords/Bostonian/100627.72.jpg     category, subcategory, brand
                                   (or ut-zap50k-images-square/, or the categories in ROOT itself)
    ROOT/ut-zap50k-data/image-path.mat    the same paths, read where the images are missing
    ROOT/ut-zap50k-data/meta-data.csv     optional: CID (100627-72), HeelHeight, Insole, Closure,
                                          Gender, Material, ToeStyle; several values are "A;B"

Its objects are "shoe"; it has no splits, so the hash of the product (100627, whatever its color)
puts 80 products of 100 into train, 10 into validation and 10 into test.

The compositional form is a list of pairs, "Faux.Leather Shoes.Flats"; see `pair_records`:

    ROOT/metadata_compositional-split-natural.t7
    ROOT/images/Faux.Leather_Shoes.Flats/100627.72.jpg    or the images of the full form

Its splits are the list's; where these have no validation images, a tenth of train is validation. An
item's object is its noun, "shoes flats", and its attributes are material, category (shoes) and
subcategory (flats; where there is none, as for "Sandals", the category again).
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path

import numpy as np

from datamodules.annotations import Annotations, Builder
from datamodules.errors import InputError
from datamodules.matlab import read_mat
from datamodules.sources.about import About, Download, Files
from datamodules.sources.hashed_parts import hashed_part
from datamodules.sources.held_out import with_validation
from datamodules.sources.json_fields import wrong
from datamodules.sources.lines import safe_path
from datamodules.sources.listing import folders_in, images_in
from datamodules.sources.pair_records import PairRecord, find_records, plain_name, read_records
from datamodules.sources.table_source import TableSource
from datamodules.tables import read_table

_SITE = "http://vision.cs.utexas.edu/projects/finegrained/utzap50k"
ABOUT = About(
    name="ut_zappos",
    title="UT-Zap50K",
    homepage=_SITE,
    licence="for academic, non-commercial use only",
    citation="Yu and Grauman, Fine-Grained Visual Comparisons with Local Learning, CVPR 2014",
    get=f"Get ut-zap50k-images.zip and ut-zap50k-data.zip from {_SITE} and unpack both there.",
    files=(
        Files("ut-zap50k-images/*/*/*/*.jpg", 50_025, "images", required=False),
        Files("ut-zap50k-data/image-path.mat", 1, "paths of the images", required=False),
        Files("ut-zap50k-data/meta-data.csv", 1, "attributes", required=False),
        Files("metadata_compositional-split-natural.t7", 1, "pairs of images", required=False),
        Files("images/*/*.jpg", 29_126, "images by pair", required=False),
    ),
    downloads=(
        Download(f"{_SITE}/ut-zap50k-images.zip", "ut-zap50k-images.zip"),
        Download(f"{_SITE}/ut-zap50k-data.zip", "ut-zap50k-data.zip"),
    ),
    class_attribute="subcategory",
)
_IMAGES = ("ut-zap50k-images", "ut-zap50k-images-square", "_images")
_PATHS = "imagepath"  # the variable of image-path.mat
_CATEGORIES = ("Boots", "Sandals", "Shoes", "Slippers")
_COLUMNS = {
    "HeelHeight": "heel height",
    "Insole": "insole",
    "Closure": "closure",
    "Gender": "gender",
    "Material": "material",
    "ToeStyle": "toe style",
}
_TEMPLATES = {
    "category": ("{}", "a picture of {}", "{} on a white background"),
    "subcategory": ("{}", "a picture of {}", "{} on a white background"),
    "brand": ("a shoe by {}", "shoes of the brand {}"),
    "material": ("a shoe made of {}", "a picture of a {} shoe", "shoes of {}"),
    "closure": ("a shoe with a {} closure", "a shoe that closes with {}"),
    "gender": ("shoes for {}", "a shoe for {}"),
    "heel height": ("a shoe with a heel of {}", "a heel height of {}"),
    "insole": ("a shoe with a {} insole",),
    "toe style": ("a shoe with a {}", "a {} shoe"),
}


def open_source(root: Path) -> TableSource:
    """Read either form.

    Raises:
        InputError: if there is neither, or a path, line or record is broken.
    """
    images = _images(root)
    if path := find_records(root):
        records = read_records(path)
        sorted_by_pair = (root / "images").is_dir() or images is None
        table = _paired(records, sorted_by_pair=sorted_by_pair)
        images = root / "images" if sorted_by_pair else images
    else:
        paths = _paths_on_disk(images) if images else _paths_listed(root)
        table = _full(paths, _meta(root / "ut-zap50k-data/meta-data.csv"))
    return TableSource(ABOUT, root, table, images or root / _IMAGES[0], templates=_TEMPLATES)


def _paired(records: tuple[PairRecord, ...], *, sorted_by_pair: bool) -> Annotations:
    held_out = any(record.split == "validation" for record in records)
    builder = Builder()
    for record in records:
        image = record.image if sorted_by_pair or not record.original else record.original
        split = record.split if held_out else with_validation(record.image, record.split)
        category, _, kind = record.object.partition(".")
        item = builder.item(image, split, plain_name(record.object))
        builder.label(item, "material", plain_name(record.value))
        builder.label(item, "category", plain_name(category))
        builder.label(item, "subcategory", plain_name(kind) or plain_name(category))
    return builder.table()


def _full(paths: Iterator[tuple[str, str]], meta: Mapping[str, dict[str, str]]) -> Annotations:
    builder, place_of = Builder(), dict[str, str]()
    for path, place in paths:
        folders = path.split("/")
        if len(folders) != 4:
            raise wrong(place, "a path 'category/subcategory/brand/image.jpg'", path)
        code = folders[3].rsplit(".", 1)[0]
        if path in place_of:
            raise InputError(
                f"{place}: expected every image once, got {path!r} again ({place_of[path]}). "
                "Remove one of them."
            )
        place_of[path] = place
        item = builder.item(path, hashed_part(code.split(".")[0]), "shoe")
        # A folder cannot end with "." everywhere, so the archive has "%2E" in its place.
        category, kind, brand = (name.replace("%2E", ".") for name in folders[:3])
        builder.label(item, "category", _plain(category))
        builder.label(item, "subcategory", _plain(kind))
        builder.label(item, "brand", brand)
        for attribute, values in meta.get(code, {}).items():
            for value in dict.fromkeys(map(_plain, values.split(";"))):
                if value:
                    builder.label(item, attribute, value)
    if not place_of:
        raise InputError(f"expected images of {ABOUT.title}, got none. {ABOUT.get}")
    return builder.table()


def _plain(text: str) -> str:
    return " ".join(text.split()).lower()


def _images(root: Path) -> Path | None:
    """The folder that holds the four categories, if any does."""
    for folder in (*(root / name for name in _IMAGES), root):
        if any((folder / category).is_dir() for category in _CATEGORIES):
            return folder
    return None


def _paths_on_disk(images: Path) -> Iterator[tuple[str, str]]:
    for category in _CATEGORIES:
        for kind in folders_in(images / category):
            for brand in folders_in(images / category / kind):
                for file in images_in(images / category / kind / brand):
                    path = f"{category}/{kind}/{brand}/{file}"
                    yield path, str(images / path)


def _paths_listed(root: Path) -> Iterator[tuple[str, str]]:
    """The paths of image-path.mat, a cell array of texts."""
    path = root / "ut-zap50k-data/image-path.mat"
    if not path.is_file():
        raise InputError(
            f"expected images in {root / _IMAGES[0]}, their paths at {path} or pairs at "
            f"{root / 'metadata_compositional-split-natural.t7'}, found none of them. {ABOUT.get}"
        )
    cells = np.asarray(read_mat(path, [_PATHS])[_PATHS], dtype=object).ravel()
    for number, cell in enumerate(cells, start=1):
        text, place = np.asarray(cell).ravel().tolist(), f"{path}, {_PATHS}, entry {number}"
        if len(text) != 1 or not isinstance(text[0], str):
            raise wrong(place, "a path", text)
        yield safe_path(text[0].strip(), place), place


def _meta(path: Path) -> dict[str, dict[str, str]]:
    """Attributes by the code of an image, "100627.72"."""
    meta: dict[str, dict[str, str]] = {}
    line_of: dict[str, int] = {}
    for row in read_table(path, "the attributes", ("CID",)) if path.is_file() else ():
        code = row.cells["CID"].replace("-", ".")
        if line_of.setdefault(code, row.line) != row.line:
            raise InputError(
                f"{row.place}: expected every CID once, got {row.cells['CID']!r} again (line "
                f"{line_of[code]}). Remove one of them."
            )
        cells = row.cells
        meta[code] = {name: cells[key] for key, name in _COLUMNS.items() if cells.get(key)}
    return meta
