"""The one table that every source yields: which image shows which value of which attribute.

On disk it is a CSV file, one row an annotation, that a person can write by hand:

    image,split,attribute,value,label,weight
    images/0001.png,train,color,red,1,1
    images/0001.png,train,color,blue,0,1

`label` is 1 (shown), 0 (not shown) or -1 (unknown); `label` and `weight` may be left out (both 1).

Shape letters: N images, V values.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.normalize import normalize
from datamodules.errors import InputError

_REQUIRED = ("image", "split", "attribute", "value")
_LABELS = {"1": 1, "0": 0, "-1": -1, "": 1}


class Annotation(NamedTuple):
    """One row of the table."""

    image: str
    split: str
    attribute: str
    value: str
    label: int = 1
    weight: float = 1.0


class Labels(NamedTuple):
    """What is known of one attribute, for every image."""

    label: NDArray[np.int8]  # (N, V), 1 or 0; 0 where unknown
    known: NDArray[np.bool_]  # (N, V)
    weight: NDArray[np.float32]  # (N,)


@dataclass(frozen=True)
class Annotations:
    """The table, grouped by image.

    Attributes:
        images: identifiers, N, in file order.
        split: the split of each image.
        rows: the annotations.
    """

    images: tuple[str, ...]
    split: tuple[str, ...]
    rows: tuple[Annotation, ...]

    @classmethod
    def of(cls, rows: Sequence[Annotation]) -> Annotations:
        """Group rows by image.

        Raises:
            InputError: if one image is put in two splits.
        """
        split: dict[str, str] = {}
        for row in rows:
            if split.setdefault(row.image, row.split) != row.split:
                raise InputError(
                    f"image {row.image!r} is in the splits {split[row.image]!r} and {row.split!r}: expected "
                    "every image in one split, else the same image trains and tests. Correct one of its rows."
                )
        return cls(tuple(split), tuple(split.values()), tuple(rows))

    @property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in order of first appearance."""
        return tuple(dict.fromkeys(self.split))

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the annotated attributes, in order of first appearance."""
        return tuple(dict.fromkeys(row.attribute for row in self.rows))

    def members(self, split: str) -> NDArray[np.int64]:
        """Indices of the images of a split."""
        return np.flatnonzero(np.asarray(self.split) == split)

    @cached_property
    def _number(self) -> dict[str, int]:
        return {image: number for number, image in enumerate(self.images)}

    def labels(self, attribute: str, values: Sequence[str], *, exclusive: bool) -> Labels:
        """Labels of the images for the values of an attribute.

        Values match annotated ones by their normalised spelling. A value that no row speaks of is
        unknown, unless values exclude each other and another one is shown: then it is 0.

        Args:
            attribute: the attribute's name in the table.
            values: the V values, usually those of the dictionary.
            exclusive: whether an image shows at most one of them.
        """
        column = {_spelling(value): index for index, value in enumerate(values)}
        label = np.zeros((len(self.images), len(values)), dtype=np.int8)
        known = np.zeros(label.shape, dtype=np.bool_)
        weight = np.ones(len(self.images), dtype=np.float32)
        for row in self.rows:
            index = column.get(_spelling(row.value)) if row.attribute == attribute else None
            if index is None or row.label < 0:
                continue
            image = self._number[row.image]
            label[image, index], known[image, index] = row.label, True
            weight[image] = row.weight
        if exclusive:
            known[label.any(axis=1)] = True
        return Labels(label, known, weight)


def read_csv(path: Path) -> Annotations:
    """Read an annotation file.

    Raises:
        InputError: if the file is missing, or a row is broken; the message names file and line.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            return Annotations.of(list(_rows(path, stream)))
    except FileNotFoundError:
        raise InputError(
            f"expected the annotations at {path}, found no such file. It is a CSV file with the columns "
            f"{', '.join(_REQUIRED)} and, if wanted, label and weight."
        ) from None
    except UnicodeDecodeError as error:
        raise InputError(f"expected UTF-8 text in {path}, byte {error.start} is not. Save it as UTF-8.") from None


def csv_text(rows: Sequence[Annotation]) -> str:
    """The rows as the text of an annotation file."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(Annotation._fields)
    writer.writerows((*row[:-1], f"{row.weight:g}") for row in rows)
    return stream.getvalue()


def _spelling(value: str) -> str:
    """What two spellings of one value share; numbers count, as in "ends 2012"."""
    return value.casefold().strip() if any(map(str.isdigit, value)) else normalize(value)


def _rows(path: Path, stream: Iterator[str]) -> Iterator[Annotation]:
    reader = csv.reader(stream)
    header = [name.strip() for name in next(reader, [])]
    if missing := [name for name in _REQUIRED if name not in header]:
        raise InputError(
            f"{path}, line 1: expected a header with {', '.join(_REQUIRED)}, got {', '.join(header) or 'nothing'}; "
            f"missing: {', '.join(missing)}. Add the columns."
        )
    for cells in reader:
        if not cells:
            continue
        where = f"{path}, line {reader.line_num}"
        if len(cells) != len(header):
            raise InputError(
                f"{where}: expected {len(header)} cells ({', '.join(header)}), got {len(cells)}: "
                f"{','.join(cells)[:80]!r}. Correct or remove the row."
            )
        yield _annotation(dict(zip(header, (cell.strip() for cell in cells), strict=True)), where)


def _annotation(cell: dict[str, str], where: str) -> Annotation:
    if empty := [name for name in _REQUIRED if not cell[name]]:
        raise InputError(f"{where}: expected a value for {empty[0]}, got none. Correct or remove the row.")
    label, weight = cell.get("label", ""), cell.get("weight", "")
    if label not in _LABELS:
        raise InputError(f"{where}: expected label 1, 0 or -1 (unknown), got {label!r}. Correct the row.")
    try:
        number = float(weight or 1)
    except ValueError:
        raise InputError(f"{where}: expected a number as weight, got {weight!r}. Correct the row.") from None
    if not 0 <= number < float("inf"):
        raise InputError(f"{where}: expected a weight of 0 or more, got {weight!r}. Correct the row.")
    return Annotation(
        cell["image"], cell["split"], cell["attribute"], cell["value"], _LABELS[label], number
    )
