"""The attributes of the birds: by image, millions of lines, or by species where that is all."""

from __future__ import annotations

import math
from array import array
from collections.abc import Collection, Mapping
from pathlib import Path

from datamodules.annotations import Builder
from datamodules.errors import InputError
from datamodules.sources.cub.about import ABOUT
from datamodules.sources.cub.tables import numbered
from datamodules.sources.lines import read_lines, split_fields

_UNSEEN = "not visible"
_TRUST = {"guessing": 1 / 3, "probably": 2 / 3, "definitely": 1.0}
# The data set of 2010 has other numbers; `certainties.txt` says which ones these are.
_CERTAINTIES = {"1": _UNSEEN, "2": "guessing", "3": "probably", "4": "definitely"}


def image_labels(
    path: Path,
    pairs: Mapping[str, tuple[str, str]],
    item_of: Mapping[str, int],
    builder: Builder,
) -> array[int]:
    """Add the labels of the images.

    Args:
        path: the file; `certainties.txt` may lie beside it.
        pairs: attribute and value by number.
        item_of: items by the number of the image.
        builder: gets the rows.

    Returns:
        The line of each row.

    Raises:
        InputError: if the file is missing, or a line is broken or points nowhere.
    """
    names = _certainties(path.with_name("certainties.txt"))
    meaning = {
        (shown, code): (-1, 0.0) if name == _UNSEEN else (int(shown), _TRUST[name])
        for shown in "01"
        for code, name in names.items()
    }
    lines = array("l")
    for line, text in read_lines(path, "the attributes of the images", get=ABOUT.get):
        fields = text.split(maxsplit=4)  # some official lines have more than their five fields
        try:
            item, (attribute, value) = item_of[fields[0]], pairs[fields[1]]
            label, weight = meaning[fields[2], fields[3]]
        except (KeyError, IndexError):
            raise InputError(
                f"{path}, line {line}: expected an image of images.txt, an attribute of "
                f"attributes.txt, 0 or 1, and a certainty among {', '.join(names)}, got "
                f"{text[:80]!r}. Correct or remove the line."
            ) from None
        builder.label(item, attribute, value, label, weight)
        lines.append(line)
    return lines


def class_labels(
    path: Path,
    pairs: Mapping[str, tuple[str, str]],
    classes: Collection[str],
    class_of: Mapping[str, str],
    item_of: Mapping[str, int],
    builder: Builder,
) -> None:
    """Add to every image the labels of its species: what half of the people saw or more is shown.

    The closer to half, the less a label weighs: |percent - 50| / 50.

    Args:
        path: the file, whose lines are the classes from 1 and whose fields the attributes from 1.
        pairs: attribute and value by number.
        classes: the numbers of all classes.
        class_of: class by the number of the image.
        item_of: items by the number of the image.
        builder: gets the rows.

    Raises:
        InputError: if a line is broken, or lines and numbers do not fit together.
    """
    columns = [pairs.get(str(number + 1)) for number in range(len(pairs))]
    ordered = [pair for pair in columns if pair is not None]
    if len(ordered) < len(pairs):
        raise InputError(
            f"expected attributes numbered from 1 to {len(pairs)} in attributes.txt, number "
            f"{columns.index(None) + 1} is missing; the fields of {path} are in that order. "
            f"{ABOUT.get}"
        )
    percent: dict[str, list[float]] = {}
    for line, text in read_lines(path, "the attributes of the species", get=ABOUT.get):
        fields = split_fields(text, path, line, len(ordered), "a percentage for each attribute")
        percent[str(line)] = [_percent(field, f"{path}, line {line}") for field in fields]
    if percent.keys() != set(classes):
        raise InputError(
            f"expected a line for each of the {len(classes):,} classes of classes.txt in {path}, "
            f"from class 1 in line 1, got {len(percent):,} lines. {ABOUT.get}"
        )
    for number, item in item_of.items():
        for (attribute, value), share in zip(ordered, percent[class_of[number]], strict=True):
            builder.label(item, attribute, value, int(share >= 50), abs(share - 50) / 50)


def _certainties(path: Path) -> Mapping[str, str]:
    """Names of the certainties by number."""
    if not path.is_file():
        return _CERTAINTIES
    names = {}
    for number, entry in numbered(path, "the certainties", "number, name", 2).items():
        names[number] = entry.fields[0].strip().lower()
        if names[number] != _UNSEEN and names[number] not in _TRUST:
            raise InputError(
                f"{entry.place}: expected {_UNSEEN}, {', '.join(_TRUST)}, got "
                f"{entry.fields[0][:80]!r}. Correct the line."
            )
    return names


def _percent(text: str, place: str) -> float:
    try:
        number = float(text)
    except ValueError:
        number = math.nan
    if not 0 <= number <= 100:
        raise InputError(
            f"{place}: expected a percentage from 0 to 100, got {text[:80]!r}. Correct the line."
        )
    return number
