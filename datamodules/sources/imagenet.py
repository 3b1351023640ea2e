"""ImageNet (ILSVRC 2012): photographs of one of 1,000 classes each.

    ROOT/train/n01440764/*.JPEG, ROOT/val/n01440764/*.JPEG      (also ROOT/ILSVRC/Data/CLS-LOC/...)
    ROOT/val/ILSVRC2012_val_00000001.JPEG                       with ROOT/LOC_val_solution.csv
    ROOT/classnames.txt, or another file of `wordnet_names`     names of the classes
    ROOT/n01440764_tench.JPEG                                   or one flat folder, names included

An item is an image; its class is the value of the attribute "category". The official test part has
no public labels, so val is test here and a tenth of train is validation. Where only val is there,
or all images lie in one flat folder, the hash of an image's name puts 80 of 100 into train, 10 into
validation and 10 into test.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import NamedTuple

from datamodules.annotations import Annotations, Builder
from datamodules.errors import InputError
from datamodules.sources.about import About, Files
from datamodules.sources.hashed_parts import hashed_part
from datamodules.sources.held_out import with_validation
from datamodules.sources.listing import folders_in, images_in
from datamodules.sources.table_source import TableSource
from datamodules.sources.wordnet_names import FILES, WNID, distinct, find_names, read_names
from datamodules.tables import read_table

ABOUT = About(
    name="imagenet",
    title="ImageNet",
    homepage="https://www.image-net.org/challenges/LSVRC/2012/",
    licence="for non-commercial research and education, on request",
    citation="Russakovsky et al., ImageNet Large Scale Visual Recognition Challenge, IJCV 2015",
    get="Ask for access on https://www.image-net.org/download.php and unpack train and val there.",
    files=(
        Files("train/*/*.JPEG", 1_281_167, "training images", required=False),
        Files("val/*/*.JPEG", 50_000, "validation images", required=False),
    ),
    class_attribute="category",
)
_BELOW = ("", "ILSVRC/Data/CLS-LOC")
_SOLUTION = "LOC_val_solution.csv"
_FLAT = re.compile(rf"({WNID.pattern})_(.+)")
_TEMPLATES = {"category": ("a photo of a {}", "a picture of a {}", "there is a {}", "a {}")}
_log = logging.getLogger(__name__)


class _Image(NamedTuple):
    path: str  # below the folder of the images
    part: str  # train, val, or "" in a flat folder
    wnid: str


def open_source(root: Path) -> TableSource:
    """List the images and name their classes.

    Raises:
        InputError: if there are no images, or a class has no name.
    """
    images = next((root / b for b in _BELOW if _has_parts(root / b)), None)
    if images is None:
        found, names = _flat(root)
        images = root
    else:
        found = [*_part(images, "train", root), *_part(images, "val", root)]
        names = _names(root, images, {image.wnid for image in found})
    if not found:
        raise InputError(
            f"expected images of {ABOUT.title} in {images}, as train/n01440764/*.JPEG or "
            f"n01440764_tench.JPEG, got none. {ABOUT.get}"
        )
    return TableSource(ABOUT, root, _table(found, names), images, templates=_TEMPLATES)


def _table(found: list[_Image], names: dict[str, str]) -> Annotations:
    official = any(image.part == "train" for image in found)
    if not official:
        _log.warning(
            "%s: there is no train part; the images there are are divided by hash into train, "
            "validation and test. Figures do not compare with published ones.",
            ABOUT.title,
        )
    builder = Builder()
    for path, part, wnid in found:
        if not official:
            split = hashed_part(path)
        else:
            split = with_validation(path, "train") if part == "train" else "test"
        builder.label(builder.item(path, split), "category", names[wnid])
    return builder.table()


def _names(root: Path, images: Path, wanted: set[str]) -> dict[str, str]:
    path = find_names(root, images)
    if path is None:
        raise InputError(
            f"expected names of the classes at {root / FILES[0]} (or {', '.join(FILES[1:])}), "
            "found no such file. It has a line for each class, such as 'n01440764 tench'."
        )
    names = read_names(path, wanted)
    if missing := sorted(wanted - names.keys()):
        raise InputError(
            f"expected names of {len(wanted):,} classes in {path}, {len(missing):,} have none, such"
            f" as {missing[0]}. Add a line for each, such as 'n01440764 tench'."
        )
    return names


def _has_parts(folder: Path) -> bool:
    return (folder / "train").is_dir() or (folder / "val").is_dir()


def _part(images: Path, part: str, root: Path) -> Iterator[_Image]:
    """The images of a part, folder by folder, each in order of name."""
    for wnid in folders_in(images / part):
        if WNID.fullmatch(wnid):
            for file in images_in(images / part / wnid):
                yield _Image(f"{part}/{wnid}/{file}", part, wnid)
    if loose := images_in(images / part):
        class_of = _solution(root / _SOLUTION)
        for file in loose:
            if not (found := class_of.get(file.rsplit(".", 1)[0])):
                raise InputError(
                    f"expected the class of {images / part / file} in {root / _SOLUTION}, got "
                    "none. Sort the images into folders such as n01440764, or complete the file."
                )
            yield _Image(f"{part}/{file}", part, found)


def _solution(path: Path) -> dict[str, str]:
    """The class of each validation image."""
    of: dict[str, str] = {}
    columns = ("ImageId", "PredictionString")
    for row in read_table(path, "the classes of the validation images", columns):
        image, boxes = (row.cells[name] for name in columns)
        wnid = boxes.split()[0]
        if not WNID.fullmatch(wnid):
            raise InputError(
                f"{row.place}: expected a class such as n01440764, got {wnid[:80]!r}. Correct or "
                "remove the row."
            )
        if of.setdefault(image, wnid) != wnid:
            raise InputError(
                f"{row.place}: expected one class an image, got {wnid} for {image}, which was "
                f"{of[image]}. Remove one of the rows."
            )
    return of


def _flat(root: Path) -> tuple[list[_Image], dict[str, str]]:
    """The images of a flat folder, and the classes' names: from a file, else from the images."""
    found, told = list[_Image](), dict[str, str]()
    for file in images_in(root):
        if not (match := _FLAT.fullmatch(file.rsplit(".", 1)[0])):
            continue
        wnid, name = match.groups()
        found.append(_Image(file, "", wnid))
        if not name.isdigit():  # n01440764_10026.JPEG: the official name of a training image
            told.setdefault(wnid, name.replace("_", " "))
    wanted = {image.wnid for image in found}
    if find_names(root) or wanted - told.keys():
        return found, _names(root, root, wanted) if wanted else {}
    return found, distinct(dict(sorted(told.items())), synonyms=False)
