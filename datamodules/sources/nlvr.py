"""NLVR (Cornell): drawn pictures of three boxes with circles, squares and triangles, and sentences.

    ROOT/dev/dev.json                            JSON lines, one example each: sentence, label,
                                                 identifier, directory, structured_rep
    ROOT/dev/images/<directory>/dev-<identifier>-<0...5>.png

and so on for train and test; the official dev is validation here. A picture has 400 x 100 pixels;
its boxes are 100 wide and begin at x = 0, 150 and 300. An item is one object in one of them, with a
color (black, yellow, blue), a shape and a size (small, medium, large: 10, 20, 30 pixels); captions
are the sentences that are true of their picture. A crop is cut close and resized, so an item's
pixels show its color and its shape, but hardly its size.

Each example has six pictures, its three boxes in every order. Only picture 0 is read, whose order
is that of the example: the other five show the same objects again.

Where train is missing, its place is taken by what is there: the examples are divided by hash, 80 to
10 to 10 in a hundred. Examples presented together (identifiers 12-0 to 12-3) stay together, and so
do examples with the same picture, in whatever order its boxes stand. Where only dev is missing, a
tenth of train is validation.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.annotations import Annotations, Builder
from datamodules.errors import InputError
from datamodules.sources.about import About, Files
from datamodules.sources.hashed_parts import hashed_part
from datamodules.sources.held_out import with_validation
from datamodules.sources.json_fields import list_of, pixels_of, text_of, wrong
from datamodules.sources.lines import read_lines, safe_path
from datamodules.sources.table_source import TableSource

ABOUT = About(
    name="nlvr",
    title="NLVR",
    homepage="https://lil.nlp.cornell.edu/nlvr/",
    licence="CC BY 4.0",
    citation="Suhr et al., A Corpus of Natural Language for Visual Reasoning, ACL 2017",
    get="Get it from https://github.com/lil-lab/nlvr; its folder nlvr holds train, dev and test.",
    files=(
        Files("train/train.json", 1, "training examples", required=False),
        Files("dev/dev.json", 1, "validation examples", required=False),
        Files("test/test.json", 1, "test examples", required=False),
        Files("train/images/*/*.png", 74_460, "training images", required=False),
        Files("dev/images/*/*.png", 5_940, "validation images", required=False),
        Files("test/images/*/*.png", 5_934, "test images", required=False),
    ),
)
_SPLITS = {"train": "train", "dev": "validation", "test": "test"}
_COLORS = {"black": "black", "yellow": "yellow", "#0099ff": "blue"}
_SHAPES = ("circle", "square", "triangle")
_SIZES = {10: "small", 20: "medium", 30: "large"}
_BOXES = (0, 150, 300)  # their left edges
_TEMPLATES = {
    "color": ("a {} shape", "something {}", "the shape is {}", "a {} object"),
    "shape": ("a {}", "a picture of a {}", "there is a {}", "a {} in the image"),
    "size": ("a {} shape", "the shape is {}", "a {} object"),
}
_log = logging.getLogger(__name__)


class _Shape(NamedTuple):
    color: str
    shape: str
    size: int
    x: float
    y: float


class _Example(NamedTuple):
    part: str
    identifier: str
    image: str
    caption: str  # "" if it is not true
    boxes: tuple[tuple[_Shape, ...], ...]


def open_source(root: Path) -> TableSource:
    """Read the examples of all parts that are there.

    Raises:
        InputError: if there are none, or a line is broken; the message names file and line.
    """
    examples = [each for part in _SPLITS for each in _part(root, part)]
    if not examples:
        files = ", ".join(str(root / part / f"{part}.json") for part in _SPLITS)
        raise InputError(f"expected examples in {files}, got none. {ABOUT.get}")
    spoken = {each.image: [each.caption] for each in examples if each.caption}
    return TableSource(ABOUT, root, _table(examples), root, spoken, _TEMPLATES)


def _table(examples: list[_Example]) -> Annotations:
    split_of = _splits(examples)
    builder = Builder()
    for each in examples:
        for left, shapes in zip(_BOXES, each.boxes, strict=True):
            for color, shape, size, x, y in shapes:
                box = (left + x, y, float(size), float(size))
                item = builder.item(each.image, split_of[each.image], "", box)
                builder.label(item, "color", color)
                builder.label(item, "shape", shape)
                builder.label(item, "size", _SIZES[size])
    return builder.table()


def _splits(examples: list[_Example]) -> dict[str, str]:
    """The official split of each image, or one by hash where there is no train."""
    parts = dict.fromkeys(each.part for each in examples)
    group_of = _groups(examples)
    if {"train", "dev"} <= parts.keys():
        return {each.image: _SPLITS[each.part] for each in examples}
    if "train" in parts:
        return {
            each.image: with_validation(each.image, _SPLITS[each.part], group=group_of[each.image])
            for each in examples
        }
    _log.warning(
        "%s: there is no train/train.json; the examples of %s are divided by hash into train, "
        "validation and test. Figures do not compare with published ones.",
        ABOUT.title,
        " and ".join(parts),
    )
    return {each.image: hashed_part(group_of[each.image]) for each in examples}


def _groups(examples: list[_Example]) -> dict[str, str]:
    """What must stay together, by image: presented together, or the same picture."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    for each in examples:
        shown = f"{each.part} {each.identifier.split('-')[0]}"
        picture = repr(sorted(sorted(shapes) for shapes in each.boxes))
        first, second = sorted((find(shown), find(picture)))
        leader[second] = first
    return {each.image: find(f"{each.part} {each.identifier.split('-')[0]}") for each in examples}


def _part(root: Path, part: str) -> Iterator[_Example]:
    path = root / part / f"{part}.json"
    if not path.is_file():
        return
    line_of: dict[str, int] = {}
    for line, text in read_lines(path, "the examples"):
        place = f"{path}, line {line}"
        example = _example(_parsed(text, place), part, place)
        if line_of.setdefault(example.identifier, line) != line:
            raise InputError(
                f"{place}: expected every identifier once, got {example.identifier!r} again (line "
                f"{line_of[example.identifier]}). Remove one of them."
            )
        yield example


def _parsed(text: str, place: str) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise InputError(
            f"{place}: expected a JSON object, got a line that is none ({error}). Correct or "
            "remove the line."
        ) from None
    if not isinstance(value, dict):
        raise wrong(place, "a JSON object", value)
    return value


def _example(entry: Mapping[str, Any], part: str, place: str) -> _Example:
    identifier, folder = text_of(entry, "identifier", place), text_of(entry, "directory", place)
    file = f"{part}/images/{folder}/{part}-{identifier}-0.png"
    sentence, label = text_of(entry, "sentence", place), entry.get("label")
    if str(label).lower() not in ("true", "false"):
        raise wrong(place, "'true' or 'false' as 'label'", label)
    boxes = list_of(list, entry, "structured_rep", place)
    if len(boxes) != len(_BOXES):
        raise wrong(place, f"{len(_BOXES)} boxes as 'structured_rep'", boxes)
    return _Example(
        part,
        identifier,
        safe_path(file, place),
        " ".join(sentence.split()) if str(label).lower() == "true" else "",
        tuple(tuple(_shape(each, place) for each in box) for box in boxes),
    )


def _shape(entry: Any, place: str) -> _Shape:
    if not isinstance(entry, dict):
        raise wrong(place, "objects in the boxes of 'structured_rep'", entry)
    color = _COLORS.get(text_of(entry, "color", place).lower())
    if color is None:
        raise wrong(place, f"one of {', '.join(_COLORS)} as 'color'", entry["color"])
    shape = text_of(entry, "type", place).lower()
    if shape not in _SHAPES:
        raise wrong(place, f"one of {', '.join(_SHAPES)} as 'type'", entry["type"])
    size = pixels_of(entry, "size", place)
    if size not in _SIZES:
        raise wrong(place, f"one of {', '.join(map(str, _SIZES))} as 'size'", entry["size"])
    x, y = pixels_of(entry, "x_loc", place), pixels_of(entry, "y_loc", place)
    if not (0 <= x <= 100 and 0 <= y <= 100):
        raise wrong(place, "'x_loc' and 'y_loc' inside a box, from 0 to 100", (x, y))
    return _Shape(color, shape, int(size), x, y)
