"""Rows of annotations, gathered one by one into columns: 25 bytes a row, whatever their texts."""

from __future__ import annotations

from array import array
from collections.abc import Callable, Iterable
from itertools import chain

import numpy as np
from numpy.typing import NDArray

from datamodules.annotations.table import (
    NO_BOX,
    Annotation,
    Annotations,
    Box,
    Items,
    Names,
    Rows,
    spelling,
)
from datamodules.errors import InputError

Place = Callable[[int], str]  # number of a row -> "file, line 3: ", or nothing
_Item = tuple[int, int, "Box | None"]


class Builder:
    """Gathers rows; `table` checks them and gives the annotations."""

    def __init__(self) -> None:
        self._images: dict[str, int] = {}
        self._splits: dict[str, int] = {}
        self._attributes: dict[str, int] = {}
        self._values: dict[str, int] = {}
        self._objects: dict[str, int] = {}
        self._items: dict[_Item, int] = {}
        self._item_split = array("i")
        self._item, self._attribute, self._value = array("i"), array("i"), array("i")
        self._label, self._weight, self._split = array("b"), array("d"), array("i")

    def __len__(self) -> int:
        return len(self._item)

    def item(self, image: str, split: str, object: str = "", box: Box | None = None) -> int:
        """The number of an item; a new one may stay without rows, as an image nobody labelled.

        Args:
            image: identifier of the image.
            split: its split.
            object: what is looked at; "" if that is not said.
            box: x, y, width, height in pixels; None for the whole image.
        """
        code = _code(self._images, image), _code(self._objects, object), box
        number = self._items.get(code)
        if number is None:
            number = self._items[code] = len(self._items)
            self._item_split.append(_code(self._splits, split))
        return number

    def label(
        self, item: int, attribute: str, value: str, label: int = 1, weight: float = 1.0
    ) -> None:
        """Add a row about an item; see `Annotation` for the arguments."""
        self._item.append(item)
        self._attribute.append(_code(self._attributes, attribute))
        self._value.append(_code(self._values, value))
        self._label.append(label)
        self._weight.append(weight)
        self._split.append(self._item_split[item])

    def add(
        self,
        image: str,
        split: str,
        attribute: str,
        value: str,
        label: int = 1,
        weight: float = 1.0,
        object: str = "",
        box: Box | None = None,
    ) -> None:
        """Add a row that names its item; see `Annotation` for the arguments."""
        self.label(self.item(image, split, object, box), attribute, value, label, weight)
        self._split[-1] = _code(self._splits, split)

    def table(self, place: Place = lambda row: "") -> Annotations:
        """The annotations so far.

        Args:
            place: where a row stands, for messages.

        Raises:
            InputError: if an image is in two splits, or a value is both shown and not shown in it.
        """
        boxes = [NO_BOX if box is None else box for *_, box in self._items]
        items = Items(
            image=np.fromiter((image for image, *_ in self._items), np.int32, len(boxes)),
            object=np.fromiter((object for _, object, _ in self._items), np.int32, len(boxes)),
            split=np.array(self._item_split, np.int32),
            box=np.fromiter(chain.from_iterable(boxes), np.float64, 4 * len(boxes)).reshape(-1, 4),
        )
        rows = Rows(
            item=np.array(self._item, np.int32),
            attribute=np.array(self._attribute, np.int32),
            value=np.array(self._value, np.int32),
            label=np.array(self._label, np.int8),
            weight=np.array(self._weight, np.float64),
        )
        names = Names(*map(tuple, (
            self._images, self._objects, self._splits, self._attributes, self._values
        )))  # fmt: skip
        _check_splits(names, items, rows, np.array(self._split, np.int32), place)
        _check_labels(names, items, rows, place)
        return Annotations(names, items, rows)


def annotations_of(rows: Iterable[Annotation], place: Place = lambda row: "") -> Annotations:
    """The table of these rows; see `Builder.table`."""
    builder = Builder()
    for row in rows:
        builder.add(*row)
    return builder.table(place)


def _code(codes: dict[str, int], name: str) -> int:
    return codes.setdefault(name, len(codes))


def _check_splits(
    names: Names, items: Items, rows: Rows, split_R: NDArray[np.int32], place: Place
) -> None:
    """Every image in one split: items first, since one without rows counts too."""
    first = np.full(len(names.images), -1, np.int32)
    first[items.image[::-1]] = items.split[::-1]
    wrong = np.flatnonzero(first[items.image[rows.item]] != split_R)
    if len(wrong):
        row = int(wrong[0])
        image, other = items.image[rows.item[row]], split_R[row]
    else:
        wrong = np.flatnonzero(first[items.image] != items.split)
        if not len(wrong):
            return
        row = -1
        image, other = items.image[wrong[0]], items.split[wrong[0]]
    raise InputError(
        f"{place(row) if row >= 0 else ''}image {names.images[image]!r} is in the splits "
        f"{names.splits[first[image]]!r} and {names.splits[other]!r}; expected every image in one "
        "split, else the same image trains and tests. Correct one of its rows."
    )


def _check_labels(names: Names, items: Items, rows: Rows, place: Place) -> None:
    """No value both shown and not shown by an item, in whatever spelling."""
    spelt: dict[str, int] = {}
    code_V = np.array([_code(spelt, spelling(value)) for value in names.values], np.int64)
    known = np.flatnonzero(rows.label >= 0)
    if not len(known):
        return
    key = (rows.item[known].astype(np.int64) * len(names.attributes)) + rows.attribute[known]
    key = key * len(spelt) + code_V[rows.value[known]]
    order = np.argsort(key, kind="stable")
    same = key[order][1:] == key[order][:-1]
    differs = same & (rows.label[known][order][1:] != rows.label[known][order][:-1])
    if not differs.any():
        return
    row = int(known[order[1:][differs].min()])
    raise InputError(
        f"{place(row)}image {names.images[items.image[rows.item[row]]]!r} has label 1 and label 0 "
        f"for {names.attributes[rows.attribute[row]]} {names.values[rows.value[row]]!r}; expected "
        "one of them. Remove the row that is wrong."
    )
