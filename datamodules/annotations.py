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
from collections.abc import Sequence
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from datamodules.normalize import normalize
from datamodules.tables import Row, read_table

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
    def of(cls, rows: Sequence[Annotation], places: Sequence[str] = ()) -> Annotations:
        """Group rows by image.

        Args:
            rows: the annotations.
            places: where each row stands, for messages; may be left out.

        Raises:
            InputError: if an image is in two splits, or a value is both shown and not shown in it.
        """
        split: dict[str, str] = {}
        label: dict[tuple[str, str, str], int] = {}
        for number, row in enumerate(rows):
            place = f"{places[number]}: " if places else ""
            if split.setdefault(row.image, row.split) != row.split:
                raise InputError(
                    f"{place}image {row.image!r} is in the splits {split[row.image]!r} and "
                    f"{row.split!r}; expected every image in one split, else the same image trains "
                    "and tests. Correct one of its rows."
                )
            key = row.image, row.attribute, _spelling(row.value)
            if row.label >= 0 and label.setdefault(key, row.label) != row.label:
                raise InputError(
                    f"{place}image {row.image!r} has label 1 and label 0 for {row.attribute} "
                    f"{row.value!r}; expected one of them. Remove the row that is wrong."
                )
        return cls(tuple(split), tuple(split.values()), tuple(rows))

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits, in order of first appearance."""
        return tuple(dict.fromkeys(self.split))

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the annotated attributes, in order of first appearance."""
        return tuple(self._rows)

    def members(self, split: str) -> NDArray[np.int64]:
        """Numbers of the images of a split, ascending."""
        return np.flatnonzero(np.asarray(self.split) == split)

    def labels(self, attribute: str, values: Sequence[str], *, exclusive: bool) -> Labels:
        """Labels of the images for the values of an attribute.

        Values match annotated ones by their normalised spelling; annotated values that are not
        among `values` are left out. A value that no row speaks of is unknown, unless values exclude
        each other and another one is shown: then it is 0.

        Args:
            attribute: the attribute's name in the table.
            values: the V values, usually those of the dictionary.
            exclusive: whether an image shows at most one of them.

        Returns:
            Label and known, each (N, V), and the largest weight of each image's rows, (N,): 1
            where there is none.
        """
        column = {_spelling(value): index for index, value in enumerate(values)}
        label = np.zeros((len(self.images), len(values)), dtype=np.int8)
        known = np.zeros(label.shape, dtype=np.bool_)
        weight = np.full(len(self.images), -1, dtype=np.float32)
        for row in self._rows.get(attribute, ()):
            index = column.get(_spelling(row.value))
            if index is None or row.label < 0:
                continue
            image = self._number[row.image]
            label[image, index], known[image, index] = row.label, True
            weight[image] = max(weight[image], row.weight)
        if exclusive:
            known[label.any(axis=1)] = True
        return Labels(label, known, np.where(weight < 0, np.float32(1), weight))

    @cached_property
    def _number(self) -> dict[str, int]:
        return {image: number for number, image in enumerate(self.images)}

    @cached_property
    def _rows(self) -> dict[str, list[Annotation]]:
        """The rows by attribute."""
        rows: dict[str, list[Annotation]] = {}
        for row in self.rows:
            rows.setdefault(row.attribute, []).append(row)
        return rows


def read_csv(path: Path) -> Annotations:
    """Read an annotation file.

    Raises:
        InputError: if the file is missing or empty, or a row is broken; the message names file and
            line.
    """
    rows, places = [], []
    for row in read_table(path, "the annotations", _REQUIRED):
        rows.append(_annotation(row))
        places.append(row.place)
    if not rows:
        raise InputError(f"expected annotations in {path}, got a header only. Add rows.")
    return Annotations.of(rows, places)


def csv_text(rows: Sequence[Annotation]) -> str:
    """The rows as the text of an annotation file; `read_csv` gives the same rows back."""
    stream = io.StringIO()
    writer = csv.writer(stream, lineterminator="\n")
    writer.writerow(Annotation._fields)
    writer.writerows((*row[:-1], str(float(row.weight)).removesuffix(".0")) for row in rows)
    return stream.getvalue()


@lru_cache(maxsize=1 << 16)
def _spelling(value: str) -> str:
    """What two spellings of one value share; digits and signs count where words do not say all."""
    plain = normalize(value)
    return plain if plain and not any(map(str.isdigit, value)) else value.casefold().strip()


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
    if not 0 <= number < float("inf"):
        raise InputError(
            f"{row.place}: expected a weight of 0 or more, got {weight!r}. Correct the row."
        )
    image, split, attribute, value = (cells[name] for name in _REQUIRED)
    return Annotation(image, split, attribute, value, _LABELS[label], number)
