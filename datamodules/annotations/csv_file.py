"""Annotations as a CSV file, one row an annotation, that a person can write by hand.

    image,split,attribute,value,label,weight,object,box
    images/0001.png,train,color,red,1,1,car,
    images/0001.png,train,color,blue,0,1,car,
    images/0002.png,train,color,red,1,0.5,car,10 20 64 48

An empty `attribute` leaves it to the dictionary to find what kind of word the value is.
`label` is 1 (shown), 0 (not shown) or -1 (unknown); `object` names what carries the attribute;
`box` is "x y width height" in pixels. These four columns may be left out: 1, 1, none, the whole
image.
"""

from __future__ import annotations

import csv
import io
import math
from array import array
from collections.abc import Iterable
from pathlib import Path

from datamodules.annotations.builder import Builder
from datamodules.annotations.table import Annotation, Annotations, Box
from datamodules.errors import InputError
from datamodules.tables import Row, read_table

_REQUIRED = ("image", "split", "attribute", "value")
_LABELS = {"1": 1, "0": 0, "-1": -1, "": 1}


def read_csv(path: Path) -> Annotations:
    """Read an annotation file.

    Raises:
        InputError: if the file is missing or empty, or a row is broken; the message names file and
            line.
    """
    builder, lines = Builder(), array("l")
    for row in read_table(path, "the annotations", _REQUIRED, may_be_empty=("attribute",)):
        builder.add(*_annotation(row))
        lines.append(row.line)
    if not lines:
        raise InputError(f"expected annotations in {path}, got a header only. Add rows.")
    return builder.table(lambda row: f"{path}, line {lines[row]}: ")


def csv_text(rows: Iterable[Annotation]) -> str:
    """The rows as the text of an annotation file; `read_csv` gives the same rows back.

    Columns that no row needs are left out.
    """
    rows = list(rows)
    columns = list(Annotation._fields)
    if not any(row.box for row in rows):
        columns.remove("box")
    if not any(row.object for row in rows):
        columns.remove("object")
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(columns)
    for row in rows:
        cells = row._asdict() | {
            "weight": _short(row.weight),
            "box": " ".join(map(_short, row.box or ())),
        }
        writer.writerow([cells[name] for name in columns])
    return stream.getvalue()


def _short(number: float) -> str:
    return str(float(number)).removesuffix(".0")


def _annotation(row: Row) -> Annotation:
    cells = row.cells
    label, weight = cells.get("label", ""), cells.get("weight", "")
    if label not in _LABELS:
        raise InputError(
            f"{row.place}: expected label 1, 0 or -1 (unknown), got {label!r}. Correct the row."
        )
    try:
        number = float(weight or 1)
    except ValueError:
        raise InputError(
            f"{row.place}: expected a number as weight, got {weight!r}. Correct the row."
        ) from None
    if not 0 <= number < math.inf:
        raise InputError(
            f"{row.place}: expected a weight of 0 or more, got {weight!r}. Correct the row."
        )
    image, split, attribute, value = (cells[name] for name in _REQUIRED)
    return Annotation(
        image, split, attribute, value, _LABELS[label], number, cells.get("object", ""),
        _box(cells.get("box", ""), row.place),
    )  # fmt: skip


def _box(text: str, place: str) -> Box | None:
    if not text:
        return None
    try:
        x, y, width, height = (float(number) for number in text.split())
    except ValueError:
        x = y = width = height = math.nan
    if not (width > 0 and height > 0 and math.isfinite(x + y + width + height)):
        raise InputError(
            f"{place}: expected a box as 'x y width height' in pixels, with a width and a height "
            f"above 0, got {text!r}. Correct the row."
        )
    return x, y, width, height
