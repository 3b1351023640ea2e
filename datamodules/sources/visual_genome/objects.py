"""The objects of Visual Genome, one at a time, from the official file or from a compact table."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.annotations import Box
from datamodules.errors import InputError
from datamodules.sources.json_fields import list_of, pixels_of, whole_of, wrong
from datamodules.sources.json_stream import read_objects
from datamodules.sources.lines import read_lines, whole_number
from datamodules.sources.visual_genome.about import ABOUT, ATTRIBUTES, COMPACT, OBJECTS


class Object(NamedTuple):
    """What is said of one object.

    Attributes:
        image: the number of its image.
        name: such as clock; "" if nobody named it.
        box: where it is; maybe without area.
        words: such as green and tall, each once; maybe none.
    """

    image: int
    name: str
    box: Box
    words: tuple[str, ...]


def read_all(root: Path) -> Iterator[Object]:
    """Yield the objects of attributes.json, else those of the compact table.

    Raises:
        InputError: if there is neither, or an entry or line is broken.
    """
    if (root / ATTRIBUTES).is_file():
        return _official(root)
    if (root / COMPACT).is_file():
        return _compact(root / COMPACT)
    near = sorted([*root.glob(f"*/{ATTRIBUTES}"), *root.glob(f"*/{COMPACT}")])
    hint = f"There is {near[0]}: set ROOT={near[0].parent}. " if near else ""
    raise InputError(
        f"expected the attributes at {root / ATTRIBUTES} (or {COMPACT} there), found no such file. "
        f"{hint}{ABOUT.get}"
    )


def _official(root: Path) -> Iterator[Object]:
    place_of: dict[int, str] = {}
    name_of = _namer(root / OBJECTS)
    for place, entry in read_objects(root / ATTRIBUTES, "the attributes"):
        image = whole_of(entry, "image_id", place)
        if image in place_of:
            raise InputError(
                f"{place}: expected every image once, got image {image} again ({place_of[image]} "
                "has it too). Remove one of them."
            )
        place_of[image] = f"entry {len(place_of) + 1}"
        for each in list_of(dict, entry, "attributes", place):
            box = tuple(pixels_of(each, key, place) for key in ("x", "y", "w", "h"))
            words = (plain(word) for word in list_of(str, each, "attributes", place))
            once = tuple(dict.fromkeys(word for word in words if word))
            yield Object(image, name_of(each, place), (box[0], box[1], box[2], box[3]), once)


def _namer(path: Path) -> Callable[[dict[str, Any], str], str]:
    """What names an object: its name, else its synset, else its name in objects.json."""

    @cache  # a large file and seldom needed, so it is read when the first name is missing
    def others() -> dict[int, str]:
        entries = read_objects(path, "the objects") if path.is_file() else iter(())
        return {
            whole_of(each, "object_id", place): _first_name(each, place)
            for place, entry in entries
            for each in list_of(dict, entry, "objects", place)
        }

    def name_of(each: dict[str, Any], place: str) -> str:
        if (name := _first_name(each, place)) or "object_id" not in each:
            return name
        return others().get(whole_of(each, "object_id", place), "")

    return name_of


def _first_name(each: dict[str, Any], place: str) -> str:
    synsets = (text.split(".")[0] for text in list_of(str, each, "synsets", place))
    names = map(plain, (*list_of(str, each, "names", place), *synsets))
    return next((name.replace("_", " ") for name in names if name), "")


def _compact(path: Path) -> Iterator[Object]:
    """The boxes of a compact table, those of one image together, wherever their lines stand."""
    words: dict[int, dict[Box, dict[str, None]]] = {}
    for line, text in read_lines(path, "the attributes"):
        place, fields = f"{path}, line {line}", text.split(",")
        if len(fields) != 6:
            raise InputError(
                f"{place}: expected 6 fields (image,x,y,width,height,attribute), got "
                f"{len(fields)}: {text[:80]!r}. Correct or remove the line."
            )
        image = whole_number(fields[0].strip(), place, "an image number")
        box = tuple(_number(field, place) for field in fields[1:5])
        if not (word := plain(fields[5])):
            raise InputError(f"{place}: expected an attribute, got none. Remove the line.")
        words.setdefault(image, {}).setdefault((box[0], box[1], box[2], box[3]), {})[word] = None
    for image, boxes in words.items():
        for each, said in boxes.items():
            yield Object(image, "", each, tuple(said))


def _number(text: str, place: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not math.isfinite(number):
        raise wrong(place, "a number of pixels", text)
    return number


def plain(text: str) -> str:
    """Lower-case, with single blanks."""
    return " ".join(text.split()).lower()
