"""CoOp's split files, `split_zhou_<Dataset>.json` (Zhou et al., IJCV 2022).

    {"train": [["Faces/image_0274.jpg", 0, "face"], ...], "val": [...], "test": [...]}

An entry is (image below the image folder, label from 0, class name). The order of entries counts:
few-shot sampling draws from it. CoOp's other files, `split_fewshot/*.pkl`, are pickles of objects
that run code when read: `draw_shots` makes the same selection anew instead.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path, PurePosixPath
from typing import Any, NamedTuple

from datamodules.errors import InputError
from datamodules.files import read_json, write_json
from datamodules.splits.split import check_disjoint

_PARTS = {"train": "train", "val": "validation", "test": "test"}


class Item(NamedTuple):
    """One image: its path below the image folder, its label from 0, its class's name."""

    image: str
    label: int
    name: str


def read_split_zhou(path: Path) -> dict[str, tuple[Item, ...]]:
    """Read a split file: the items of "train", "validation" and "test", in file order.

    Raises:
        InputError: if the file is missing or broken, an image is listed twice, or a label has two
            names; the message names the file and the entry, counted from 1.
    """
    raw = read_json(path)
    if not isinstance(raw, dict) or any(not isinstance(raw.get(key), list) for key in _PARTS):
        got = ", ".join(raw) if isinstance(raw, dict) else type(raw).__name__
        raise InputError(
            f"expected lists named {', '.join(_PARTS)} in {path}, got {got or 'none'}. "
            "Take the split_zhou file that CoOp publishes for this data set."
        )
    names: dict[int, str] = {}
    items: dict[str, tuple[Item, ...]] = {}
    for key, part in _PARTS.items():
        found = []
        for number, entry in enumerate(raw[key], start=1):
            place = f"{path}, {key}, entry {number}"
            item = _item(entry, place)
            if names.setdefault(item.label, item.name) != item.name:
                raise InputError(
                    f"{place}: label {item.label} is {item.name!r} here and "
                    f"{names[item.label]!r} before; expected one name for each label. Correct one."
                )
            found.append(item)
        items[part] = tuple(found)
    try:
        check_disjoint({part: [item.image for item in items[part]] for part in items})
    except InputError as error:
        raise InputError(f"{path}: {error}") from None
    return items


def write_split_zhou(path: Path, items: Mapping[str, Sequence[Item]]) -> None:
    """Write a split file that `read_split_zhou`, and CoOp, read back; atomic.

    Args:
        path: the file.
        items: the items of "train", "validation" and "test"; a part that is absent is empty.

    Raises:
        InputError: if the file cannot be written.
    """
    write_json(path, {key: [list(each) for each in items.get(p, ())] for key, p in _PARTS.items()})


def _item(entry: Any, place: str) -> Item:
    good = isinstance(entry, list) and [type(each) for each in entry] == [str, int, str]
    if not good or entry[1] < 0:
        raise InputError(
            f"{place}: expected [image, label from 0, class name], got {repr(entry)[:80]}. "
            "Correct the entry."
        )
    # Windows paths, drives included, never pass: CoOp writes forward slashes.
    image = PurePosixPath(entry[0])
    if not entry[0] or image.is_absolute() or ".." in image.parts or "\\" in entry[0]:
        raise InputError(
            f"{place}: expected an image below the image folder, got {entry[0]!r}. Correct the "
            "entry."
        )
    return Item(*entry)
