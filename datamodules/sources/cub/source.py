"""The folder as a whole: one item an image, its species, its labels, its captions."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path

from datamodules.annotations import Builder
from datamodules.errors import InputError
from datamodules.sources.cub.about import ABOUT, TEMPLATES
from datamodules.sources.cub.labels import class_labels, image_labels
from datamodules.sources.cub.tables import (
    attributes,
    box,
    image_names,
    of_images,
    release_folder,
    species,
    split,
)
from datamodules.sources.lines import read_lines, safe_path
from datamodules.sources.table_source import TableSource

_LABELS = "attributes/image_attribute_labels.txt"
_PERCENT = "attributes/class_attribute_labels_continuous.txt"
_CAPTIONS = ("text_c10", "cub_text_c10")  # of Reed et al., CVPR 2016: one caption a line

_LOG = logging.getLogger(__name__)


def open_source(root: Path) -> TableSource:
    """Read the annotations.

    Raises:
        InputError: if a file is missing or broken; the message names file and line.
    """
    folder = release_folder(root)
    names = [place / "attributes.txt" for place in (folder, folder.parent, folder / "attributes")]
    pairs = attributes(next((file for file in names if file.is_file()), names[0]))
    builder = Builder()
    classes = species(folder / "classes.txt")
    class_of, item_of = _items(folder, classes, builder)
    before, labels = len(builder), folder / _LABELS
    if labels.is_file() or not (folder / _PERCENT).is_file():
        lines = image_labels(labels, pairs, item_of, builder)
        table = builder.table(
            lambda row: f"{labels}, line {lines[row - before]}: " if row >= before else ""
        )
    else:
        _LOG.warning("%s is missing: every bird gets the attributes of its species.", labels)
        class_labels(folder / _PERCENT, pairs, classes, class_of, item_of, builder)
        table = builder.table()
    spoken = _spoken(folder, table.names.images)
    return TableSource(ABOUT, folder, table, folder / "images", spoken, TEMPLATES)


def _items(
    folder: Path, classes: Mapping[str, str], builder: Builder
) -> tuple[dict[str, str], dict[str, int]]:
    """Add every image with its species; returns its class and its item, by its number."""
    images = image_names(folder)
    labels, parts, boxes = (
        of_images(folder / name, what, names, images)
        for name, what, names in (
            ("image_class_labels.txt", "the species of the images", "image, class"),
            ("train_test_split.txt", "the split of the images", "image, 1 for train"),
            ("bounding_boxes.txt", "the boxes of the birds", "image, x, y, width, height"),
        )
    )
    class_of: dict[str, str] = {}
    item_of: dict[str, int] = {}
    seen: dict[str, str] = {}
    for number, entry in images.items():
        image = safe_path(entry.fields[0], entry.place)
        if seen.setdefault(image, number) != number:
            raise InputError(
                f"{entry.place}: image {image!r} is number {seen[image]} already; expected every "
                "image once. Remove one of the lines."
            )
        label = labels[number]
        if label.fields[0] not in classes:
            raise InputError(
                f"{label.place}: expected a class of {folder / 'classes.txt'}, got "
                f"{label.fields[0][:80]!r}. Correct one of them."
            )
        item = builder.item(image, split(image, parts[number]), "bird", box(boxes[number]))
        builder.label(item, ABOUT.class_attribute, classes[label.fields[0]])
        class_of[number], item_of[number] = label.fields[0], item
    return class_of, item_of


def _spoken(folder: Path, images: Sequence[str]) -> Mapping[str, list[str]]:
    """Captions by image, where the folder of captions lies in `folder` or beside it."""
    places = [place / name for place in (folder, folder.parent) for name in _CAPTIONS]
    root = next((place for place in places if place.is_dir()), None)
    if root is None:
        return {}
    files = {image: (root / image).with_suffix(".txt") for image in images}
    return {
        image: [text.strip() for _, text in read_lines(file, "captions")]
        for image, file in files.items()
        if file.is_file()
    }
