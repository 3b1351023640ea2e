"""The small files: one line an image, a class or an attribute, each beginning with its number."""

from __future__ import annotations

import math
import re
from collections import Counter
from collections.abc import Collection
from pathlib import Path
from typing import NamedTuple

from datamodules.annotations import Box
from datamodules.annotations.table import spelling
from datamodules.errors import InputError
from datamodules.sources.cub.about import ABOUT
from datamodules.sources.held_out import with_validation
from datamodules.sources.lines import read_lines, split_fields, whole_number

_MAIN = {"primary color": "color"}
_SPLITS = {"1": "train", "0": "test"}


class Entry(NamedTuple):
    """What a line says of the number it begins with, and where it stands."""

    place: str
    fields: list[str]


def release_folder(root: Path) -> Path:
    """`CUB_200_2011`: the root itself, or a folder in it."""
    nested = root / "CUB_200_2011"
    return nested if (nested / "images.txt").is_file() else root


def image_names(folder: Path) -> dict[str, Entry]:
    """The lines of `images.txt` by the images' numbers: the annotation has its items in that order.

    Raises:
        InputError: if the file is missing, or a line is broken or repeats a number.
    """
    return numbered(folder / "images.txt", "the names of the images", "image, name", 2)


def numbered(path: Path, what: str, names: str, count: int) -> dict[str, Entry]:
    """The lines of a file by the number each begins with.

    Args:
        path: the file.
        what: what it holds, for messages.
        names: what the fields are, for messages.
        count: how many fields there are, the number included; of two, the last keeps its blanks.

    Raises:
        InputError: if the file is missing, or a line is broken or repeats a number.
    """
    entries: dict[str, Entry] = {}
    for line, text in read_lines(path, what, get=ABOUT.get):
        number, *fields = split_fields(text, path, line, count, names, at_most=count == 2)
        place = f"{path}, line {line}"
        key = str(whole_number(number, place, "a number", least=1))
        if key in entries:
            raise InputError(
                f"{place}: expected every number once, got {key} again, which is at "
                f"{entries[key].place}. Remove one of the lines."
            )
        entries[key] = Entry(place, fields)
    return entries


def of_images(path: Path, what: str, names: str, images: Collection[str]) -> dict[str, Entry]:
    """The lines of a file that says something of every image, by the images' numbers.

    Args:
        path: the file.
        what: what it holds, for messages.
        names: what the fields are, for messages, with ", " between them.
        images: the numbers of all images.

    Raises:
        InputError: if the file is missing, a line is broken or of no image, or an image has none.
    """
    entries = numbered(path, what, names, len(names.split(", ")))
    if unknown := next((key for key in entries if key not in images), None):
        raise InputError(
            f"{entries[unknown].place}: expected the number of an image of images.txt, got "
            f"{unknown}. Correct or remove the line."
        )
    if missing := [key for key in images if key not in entries]:
        raise InputError(
            f"expected a line for each of the {len(images):,} images in {path}, {len(missing):,} "
            f"have none, such as image {missing[0]}. {ABOUT.get}"
        )
    return entries


def species(path: Path) -> dict[str, str]:
    """Species by the number of the class: 1 -> "Black footed Albatross".

    Raises:
        InputError: if the file is missing or broken, or a name does not begin with its number.
    """
    found: dict[str, str] = {}
    numbers: dict[str, str] = {}
    for number, entry in numbered(path, "the names of the species", "class, name", 2).items():
        prefix, _, name = entry.fields[0].partition(".")
        text = " ".join(name.replace("_", " ").split())
        if prefix != number.zfill(3) or not text:
            raise InputError(
                f"{entry.place}: expected a name that begins with {number.zfill(3)}. for class "
                f"{number}, got {entry.fields[0][:80]!r}. Correct the number or the name."
            )
        if numbers.setdefault(spelling(text), number) != number:
            raise InputError(
                f"{entry.place}: {text!r} is class {numbers[spelling(text)]} already; expected "
                "every species once. Correct one of the names."
            )
        found[number] = text
    return found


def attributes(path: Path) -> dict[str, tuple[str, str]]:
    """Attribute and value by number: 1 -> ("bill shape", "curved").

    Raises:
        InputError: if the file is missing or broken, or says the same of two numbers.
    """
    raw: dict[str, tuple[str, str]] = {}
    first: dict[tuple[str, str], str] = {}
    for number, entry in numbered(path, "the names of the attributes", "number, name", 2).items():
        kind, _, value = entry.fields[0].partition("::")
        kind, value = (" ".join(text.replace("_", " ").split()) for text in (kind, value))
        kind = kind.removeprefix("has ")
        if not (kind and value):
            raise InputError(
                f"{entry.place}: expected a name such as has_wing_color::blue, got "
                f"{entry.fields[0][:80]!r}. Correct the line."
            )
        raw[number] = pair = _MAIN.get(kind, kind), value
        if first.setdefault(pair, number) != number:
            raise InputError(
                f"{entry.place}: {entry.fields[0]!r} is number {first[pair]} already; expected "
                "every attribute once. Remove one of the lines."
            )
    return {number: _short(pair, first) for number, pair in raw.items()}


def split(image: str, entry: Entry) -> str:
    """Train, validation or test.

    Raises:
        InputError: if the field is neither 1 nor 0.
    """
    if entry.fields[0] not in _SPLITS:
        raise InputError(
            f"{entry.place}: expected 1 (train) or 0 (test), got {entry.fields[0][:80]!r}. "
            "Correct the line."
        )
    return with_validation(image, _SPLITS[entry.fields[0]])


def box(entry: Entry) -> Box:
    """The bounding box.

    Raises:
        InputError: if it is not four numbers with a width and a height above 0.
    """
    try:
        x, y, width, height = (float(field) for field in entry.fields)
    except ValueError:
        x = y = width = height = math.nan
    if not (width > 0 and height > 0 and math.isfinite(x + y + width + height)):
        raise InputError(
            f"{entry.place}: expected x, y, width and height of a box in pixels, width and height "
            f"above 0, got {' '.join(entry.fields)[:80]!r}. Correct the line."
        )
    return x, y, width, height


def _short(pair: tuple[str, str], pairs: Collection[tuple[str, str]]) -> tuple[str, str]:
    """Without the brackets that explain the value, unless they alone tell two values apart."""
    attribute, value = pair
    alike = Counter(_bare(text) for name, text in pairs if name == attribute)
    bare = _bare(value)
    return attribute, bare if bare and alike[bare] == 1 else value


def _bare(value: str) -> str:
    return re.sub(r"\s*\([^)]*\)", "", value).strip()
