"""The annotations of a data set, in columns.

An *item* is what one label is about: an image, or a box in it, or an object in that box. Most data
sets have one item an image.

Shape letters: N items, R rows, V values.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from functools import cached_property, lru_cache
from types import MappingProxyType
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.normalize import normalize

Box = tuple[float, float, float, float]  # x, y of the upper left corner, width, height: pixels
NO_BOX: Box = (0.0, 0.0, 0.0, 0.0)


class Annotation(NamedTuple):
    """One row of the table.

    Attributes:
        image: identifier of the image, in most data sets its path below the root.
        split: its split.
        attribute: such as color; "" where the source does not say what kind of word the value is.
        value: such as red.
        label: 1 shown, 0 not shown, -1 unknown.
        weight: trust in the label, 0 or more.
        object: what carries the attribute; "" if that is not said.
        box: the part of the image that is meant; None for all of it.
    """

    image: str
    split: str
    attribute: str
    value: str
    label: int = 1
    weight: float = 1.0
    object: str = ""
    box: Box | None = None


class Labels(NamedTuple):
    """What is known of one attribute, for every item."""

    label: NDArray[np.int8]  # (N, V), 1 or 0; 0 where unknown
    known: NDArray[np.bool_]  # (N, V)
    weight: NDArray[np.float32]  # (N,)


class Names(NamedTuple):
    """The texts that the columns hold the numbers of, in order of first appearance."""

    images: tuple[str, ...]
    objects: tuple[str, ...]
    splits: tuple[str, ...]
    attributes: tuple[str, ...]
    values: tuple[str, ...]


class Items(NamedTuple):
    """One entry an item."""

    image: NDArray[np.int32]  # (N,)
    object: NDArray[np.int32]  # (N,)
    split: NDArray[np.int32]  # (N,)
    box: NDArray[np.float64]  # (N, 4), zeros for the whole image


class Rows(NamedTuple):
    """One entry an annotation."""

    item: NDArray[np.int32]  # (R,)
    attribute: NDArray[np.int32]  # (R,)
    value: NDArray[np.int32]  # (R,)
    label: NDArray[np.int8]  # (R,), 1, 0 or -1
    weight: NDArray[np.float64]  # (R,)


@dataclass(frozen=True, eq=False)
class Annotations:
    """The table; made by a `Builder`, which checks it.

    Attributes:
        names: the texts.
        items: what the labels are about.
        columns: the labels.
    """

    names: Names
    items: Items
    columns: Rows

    def __len__(self) -> int:
        return len(self.items.image)

    @cached_property
    def images(self) -> tuple[str, ...]:
        """The image of each item, N."""
        return tuple(self.names.images[code] for code in self.items.image.tolist())

    @cached_property
    def objects(self) -> tuple[str, ...]:
        """The object of each item, N; "" where none is named."""
        return tuple(self.names.objects[code] for code in self.items.object.tolist())

    @property
    def boxes(self) -> NDArray[np.float64] | None:
        """The box of each item, (N, 4), zeros for a whole image; None if every item is one."""
        return self.items.box if self.items.box.any() else None

    @cached_property
    def splits(self) -> tuple[str, ...]:
        """Names of the splits that have items, in order of first appearance; not the split "".

        Items in "" take no part.
        """
        present = set(self.items.split.tolist())
        named = enumerate(self.names.splits)
        return tuple(name for code, name in named if name and code in present)

    @property
    def attributes(self) -> tuple[str, ...]:
        """Names of the annotated attributes, in order of first appearance."""
        return self.names.attributes

    @property
    def rows(self) -> tuple[Annotation, ...]:
        """All rows, as a person would write them; for small tables, see `iterate`."""
        return tuple(self.iterate())

    def iterate(self) -> Iterator[Annotation]:
        """The rows one by one."""
        boxes = self.items.box.tolist()
        for item, attribute, value, label, weight in zip(
            *(column.tolist() for column in self.columns), strict=True
        ):
            box = tuple(boxes[item])
            yield Annotation(
                self.images[item],
                self.names.splits[self.items.split[item]],
                self.names.attributes[attribute],
                self.names.values[value],
                label,
                weight,
                self.objects[item],
                None if box == NO_BOX else box,
            )

    def members(self, split: str) -> NDArray[np.int64]:
        """Numbers of the items of a split, ascending."""
        if split not in self.names.splits:
            return np.zeros(0, np.int64)
        return np.flatnonzero(self.items.split == self.names.splits.index(split))

    def images_of(self, split: str) -> tuple[str, ...]:
        """The images of a split, each once, in order of first appearance."""
        codes = dict.fromkeys(self.items.image[self.members(split)].tolist())
        return tuple(self.names.images[code] for code in codes)

    def shown(self, attribute: str, split: str | None = None) -> dict[str, int]:
        """The values shown by any item (of a split), with how many rows say so; by falling count.

        Equal counts keep the order of first appearance.
        """
        of = self._rows_of(attribute)
        of = of[self.columns.label[of] == 1]
        if split is not None:
            code = self.names.splits.index(split) if split in self.names.splits else -1
            of = of[self.items.split[self.columns.item[of]] == code]
        count_V = np.bincount(self.columns.value[of], minlength=len(self.names.values))
        order = np.argsort(-count_V, kind="stable")
        return {self.names.values[v]: int(count_V[v]) for v in order.tolist() if count_V[v]}

    def labels(
        self,
        attribute: str,
        values: Sequence[str],
        *,
        exclusive: bool,
        min_weight: float = 0.0,
        spellings: Mapping[str, str] = MappingProxyType({}),
        denials: Mapping[str, str] = MappingProxyType({}),
    ) -> Labels:
        """Labels of the items for the values of an attribute.

        Values match annotated ones by their normalised spelling, or by one of `spellings`;
        annotated values that are neither are left out. A value that no row speaks of is unknown,
        unless values exclude each other and another one is shown: then it is 0.

        Args:
            attribute: the attribute's name in the table.
            values: the V values, usually those of the dictionary.
            exclusive: whether an item shows at most one of them.
            min_weight: rows of less weight count as unknown.
            spellings: other words for values -> the value.
            denials: words such as "not red" -> the value that is not shown where they are.

        Returns:
            Label and known, each (N, V), and the largest weight of each item's rows, (N,): 1 where
            there is none.
        """
        column = {spelling(value): index for index, value in enumerate(values)}
        for form, value in spellings.items():
            column.setdefault(spelling(form), column[spelling(value)])
        denied = {spelling(form): column[spelling(value)] for form, value in denials.items()}
        spelt = [spelling(value) for value in self.names.values]
        column_of = np.array([column.get(s, denied.get(s, -1)) for s in spelt], np.int64)
        denies = np.array([s in denied and s not in column for s in spelt], np.bool_)
        label = np.zeros((len(self), len(values)), dtype=np.int8)
        known = np.zeros(label.shape, dtype=np.bool_)
        weight = np.full(len(self), -1, dtype=np.float32)
        of = self._rows_of(attribute)
        counts = (self.columns.label[of] >= 0) & (self.columns.weight[of] >= min_weight)
        of = of[counts & (column_of[self.columns.value[of]] >= 0)]
        item, at = self.columns.item[of], column_of[self.columns.value[of]]
        shown = (self.columns.label[of] == 1) ^ denies[self.columns.value[of]]
        label[item[shown], at[shown]] = 1  # where rows disagree, one that shows it wins
        known[item, at] = True
        np.maximum.at(weight, item, self.columns.weight[of])
        if exclusive:
            known[label.any(axis=1)] = True
        return Labels(label, known, np.where(weight < 0, np.float32(1), weight))

    def take(self, items: NDArray[np.int64]) -> Annotations:
        """The annotations of some items alone.

        Args:
            items: their numbers, each once; in the result they count from 0 in this order.
        """
        if len(items) == len(self) and (items == np.arange(len(self))).all():
            return self
        number_of = np.full(len(self), -1, np.int32)
        number_of[items] = np.arange(len(items), dtype=np.int32)
        kept = number_of[self.columns.item] >= 0
        used = dict.fromkeys(self.items.image[items].tolist())
        code_of = np.zeros(len(self.names.images), np.int32)
        code_of[list(used)] = np.arange(len(used), dtype=np.int32)
        columns = Rows._make(column[kept] for column in self.columns)
        chosen = Items._make(column[items] for column in self.items)
        return replace(
            self,
            names=self.names._replace(images=tuple(self.names.images[code] for code in used)),
            items=chosen._replace(image=code_of[chosen.image]),
            columns=columns._replace(item=number_of[columns.item]),
        )

    def with_splits(self, split_of: Mapping[str, str]) -> Annotations:
        """The same annotations with images put into other splits.

        Args:
            split_of: image -> split; the items of other images are in none, the split "".
        """
        names = tuple(dict.fromkeys(split_of.values()))
        code = {name: number for number, name in enumerate((*names, ""))}
        of_image = np.array(
            [code[split_of.get(image, "")] for image in self.names.images], np.int32
        )
        return replace(
            self,
            names=self.names._replace(splits=tuple(code)),
            items=self.items._replace(split=of_image[self.items.image]),
        )

    def _rows_of(self, attribute: str) -> NDArray[np.int64]:
        """The rows of an attribute, and those of which the source does not say what they are of."""
        codes = [code for code, name in enumerate(self.names.attributes) if name in ("", attribute)]
        return np.flatnonzero(np.isin(self.columns.attribute, codes))


@lru_cache(maxsize=1 << 16)
def spelling(value: str) -> str:
    """What two spellings of one value share; digits and signs count where words do not say all."""
    plain = normalize(value)
    return plain if plain and not any(map(str.isdigit, value)) else value.casefold().strip()
