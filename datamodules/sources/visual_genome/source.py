"""Opening Visual Genome: objects -> items, words -> rows, phrases of regions -> captions."""

from __future__ import annotations

import logging
from collections.abc import Callable
from pathlib import Path

from datamodules.annotations import Annotations, Builder
from datamodules.errors import InputError
from datamodules.sources.hashed_parts import hashed_part
from datamodules.sources.json_fields import list_of, text_of, whole_of
from datamodules.sources.json_stream import read_objects
from datamodules.sources.lines import read_lines, whole_number
from datamodules.sources.table_source import TableSource
from datamodules.sources.visual_genome.about import ABOUT, ATTRIBUTES, FOLDERS, LISTS, REGIONS
from datamodules.sources.visual_genome.objects import read_all

_log = logging.getLogger(__name__)


def open_source(root: Path) -> TableSource:
    """Read the annotations.

    Raises:
        InputError: if a file is missing or broken; the message names file and entry or line.
    """
    table, image_of = _table(root)
    if not len(table):
        raise InputError(f"expected objects with attributes in {root}, got none. {ABOUT.get}")
    said = _phrases(root / REGIONS, image_of) if (root / REGIONS).is_file() else {}
    return TableSource(ABOUT, root, table, root, said, states_types=False)


def _table(root: Path) -> tuple[Annotations, dict[int, str]]:
    """The table, and the image of each number in it."""
    builder, split_of, folder_of, flat = Builder(), _splitter(root), _folders(root), 0
    image_of: dict[int, str] = {}
    labels: set[tuple[int, str]] = set()  # of one image: those of all would fill the memory
    last = -1
    for number, name, box, words in read_all(root):
        split = split_of(number)
        if box[2] <= 0 or box[3] <= 0:
            flat += 1
        elif split and words:
            image = image_of.setdefault(number, f"{folder_of.get(number, FOLDERS[0])}/{number}.jpg")
            item = builder.item(image, split, name, box)
            if number != last:
                labels.clear()
                last = number
            for word in words:
                if (item, word) not in labels:
                    labels.add((item, word))
                    builder.label(item, "", word)
    if flat:
        _log.warning("left out %s objects of %s: boxes without area", f"{flat:,}", ABOUT.title)
    return builder.table(), image_of


def _phrases(path: Path, image_of: dict[int, str]) -> dict[str, list[str]]:
    """The phrases of the regions of each image of the table."""
    said: dict[str, list[str]] = {}
    for place, entry in read_objects(path, "the region descriptions"):
        number = whole_of(entry, "id" if "id" in entry else "image_id", place)
        for region in list_of(dict, entry, "regions", place) if number in image_of else ():
            if phrase := " ".join(text_of(region, "phrase", place).split()):
                said.setdefault(image_of[number], []).append(phrase)
    if not said:
        raise InputError(
            f"expected phrases about the images of {path.with_name(ATTRIBUTES)}, got none in "
            f"{path}. Use two files of one release."
        )
    return said


def _splitter(root: Path) -> Callable[[int], str]:
    """The split of an image by its number; "" if published lists leave it out."""
    if not any((root / name).is_file() for name in LISTS.values()):
        return lambda number: hashed_part(str(number))
    split_of: dict[int, str] = {}
    for split, name in LISTS.items():
        for line, text in read_lines(root / name, f"the list of {split} images"):
            place, file = f"{root / name}, line {line}", text.split()[0].rsplit("/", 1)[-1]
            number = whole_number(file.removesuffix(".jpg"), place, "an image number")
            if split_of.setdefault(number, split) != split:
                raise InputError(
                    f"{place}: expected every image in one list, got {number}, which is in "
                    f"{LISTS[split_of[number]]} too. Remove it from one."
                )
    return lambda number: split_of.get(number, "")


def _folders(root: Path) -> dict[int, str]:
    """The folder of each image on disk; many people merge the two."""
    return {
        int(path.stem): folder
        for folder in FOLDERS
        for path in (root / folder).glob("*.jpg")
        if path.stem.isascii() and path.stem.isdecimal() and len(path.stem) < 19
    }
