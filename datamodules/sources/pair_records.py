"""Lists of images that each show one pair, such as "ancient building".

This is the form of MIT-States, UT-Zappos and C-GQA in compositional zero-shot learning:

    metadata_compositional-split-natural.t7, metadata.t7    a torch file: a list of dictionaries
    *metadata*.csv                                          the same as a table

both with image, attr, obj and set (train, val, test). A torch file is a pickle: it is read by
torch's restricted reader, which builds lists, dictionaries and texts and runs nothing.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.errors import InputError
from datamodules.sources.json_fields import text_of, wrong
from datamodules.sources.lines import safe_path
from datamodules.tables import read_table

TORCH = ("metadata_compositional-split-natural.t7", "metadata.t7")
CSV = "*metadata*.csv"
_FIELDS = ("image", "attr", "obj", "set")
_SPLITS = {"train": "train", "val": "validation", "test": "test"}
_NOT_LABELLED = "NA"  # in image lists that also hold images without a pair or without a part


class PairRecord(NamedTuple):
    """An image and the pair it shows.

    Attributes:
        image: its path, as the list has it.
        value: such as ancient, as the list has it.
        object: such as building, as the list has it.
        split: train, validation or test.
        original: its path before it was sorted into a folder for its pair; "" if that is not said.
        place: "file, line 3" or "file, record 3".
    """

    image: str
    value: str
    object: str
    split: str
    original: str
    place: str


def find_records(root: Path) -> Path | None:
    """The list in this folder, a torch file before a table; None if there is neither."""
    files = [root / name for name in TORCH if (root / name).is_file()]
    return next(iter([*files, *sorted(root.glob(CSV))]), None)


def read_records(path: Path) -> tuple[PairRecord, ...]:
    """The records of a list, those without a pair left out, each image once.

    Raises:
        InputError: if the file or a record is broken, or an image shows two pairs.
    """
    rows = _csv_rows(path) if path.suffix == ".csv" else _torch_rows(path)
    found = (record for row, place in rows if (record := _record(row, place)) is not None)
    return once(found, str(path))


def once(records: Iterable[PairRecord], where: str) -> tuple[PairRecord, ...]:
    """The records without repetitions.

    Args:
        records: maybe with repetitions.
        where: the file or folder they are from, for messages.

    Raises:
        InputError: if two of them say different things of one image, or there is none.
    """
    known: dict[str, PairRecord] = {}
    for record in records:
        before = known.setdefault(record.image, record)
        if before[1:4] != record[1:4]:
            raise InputError(
                f"{record.place}: expected every image once, got {record.image!r} as "
                f"{_told(record)}; it was {_told(before)} in {before.place}. Remove one of them."
            )
    if not known:
        raise InputError(
            f"expected images that show a value and an object in {where}, got none. Check that it "
            "is the file or folder of this data set."
        )
    return tuple(known.values())


def plain_name(name: str) -> str:
    """A value or an object as people write it: "Faux.Leather" -> "faux leather"."""
    return " ".join(name.replace("_", " ").replace(".", " ").split()).lower()


def _told(record: PairRecord) -> str:
    return f"{record.value} {record.object} of {record.split}"


def _record(row: dict[str, Any], place: str) -> PairRecord | None:
    image, value, thing, part = (
        text_of(row, key, place) for key in ("image", "attr", "obj", "set")
    )
    if _NOT_LABELLED in (value, thing, part):
        return None
    if part not in _SPLITS:
        raise wrong(place, f"one of {', '.join(_SPLITS)} as 'set'", part)
    if not (plain_name(value) and plain_name(thing)):
        raise wrong(place, "a value as 'attr' and an object as 'obj'", f"{value} {thing}")
    original = text_of(row, "_image", place) if "_image" in row else ""
    return PairRecord(
        safe_path(image, place),
        value,
        thing,
        _SPLITS[part],
        safe_path(original, place) if original else "",
        place,
    )


def _csv_rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    for row in read_table(path, "the images and their pairs", _FIELDS):
        yield dict(row.cells), row.place


def _torch_rows(path: Path) -> Iterator[tuple[dict[str, Any], str]]:
    import torch

    try:
        rows = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # the reader meets whatever a broken file tells it to build
        raise InputError(
            f"expected a torch file of plain lists and texts at {path}, got one that cannot be "
            f"read ({type(error).__name__}). Get the file again."
        ) from None
    if not isinstance(rows, list):
        raise wrong(str(path), "a list of records", type(rows).__name__)
    for number, row in enumerate(rows, start=1):
        place = f"{path}, record {number}"
        if not isinstance(row, dict):
            raise wrong(place, "a dictionary", row)
        yield row, place
