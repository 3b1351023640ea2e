"""`CombinationDataModule`: the splits of a source by combinations of values, such as "red star".

Shape letters: N images of the source, A attributes, B of them, C combinations.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from typing import Literal

import numpy as np

from datamodules.agreement import NEEDED
from datamodules.annotations import Labels
from datamodules.attribute import AttributeDataModule
from datamodules.combined_values import (
    Ints,
    class_numbers,
    combined_labels,
    possible_classes,
    shown_classes,
    shown_numbers,
)
from datamodules.dictionary import Attribute, Value
from datamodules.errors import InputError
from datamodules.prompts import NOUN
from datamodules.shots import Shots
from datamodules.wording import check_places, filled, is_noun, noun_phrase


class CombinationDataModule(AttributeDataModule):
    """Images whose class is a value of each of several attributes; some are new to a model.

    To all that takes an `AttributeDataModule`, the combinations are the values of one more
    attribute, "color+shape", that this module's dictionary holds beside the file's.

    Args:
        attributes: two or more attributes of the dictionary; an image shows one value of each.
        source: name of the data set.
        root: its folder; glyphs are drawn where there is none.
        dictionary: the dictionary's file; `artifacts/dictionary/<source>.json`, built if missing.
        shots: training images a class, from 1 to 16; None takes all.
        validation_shots: the same of the validation split.
        shots_seed: of these draws.
        shots_of: the attributes whose combinations are the classes of these draws; None for all.
        world: "closed": the combinations that an image of any split shows; "open": all that the
            dictionary's values make.
        templates: prompts with each attribute's name as a place, "a {size} {color} {shape}"; None
            puts the values into one phrase, adjectives first.
        batch_size: images of one training step, over all processes together.
        num_workers: processes that fetch batches; by default none, but a thread beside a GPU.
        image_size: pixels a side that images are decoded to; glyphs keep their own 64.
        split: file of a split to use in place of the source's own; the shots are drawn from it.
        max_images: see `AttributeDataModule`; after the shots are drawn.
        crops: see `AttributeDataModule`.
        seed: seed of the order of the images, 0 or more.

    Attributes:
        attributes: their names, after `setup` as the dictionary spells them.
        parts: after `setup`, the number of each attribute's value in each class, int64 (C, A).
        seen: after `setup`, whether the training split shows the class, whatever is drawn of it,
            bool (C,).

    Raises:
        InputError: if a number is out of its range, or the attributes or templates cannot be used.
    """

    def __init__(
        self,
        attributes: list[str],
        source: str = "glyphs",
        root: Path | None = None,
        dictionary: Path | None = None,
        shots: int | None = None,
        validation_shots: int | None = None,
        shots_seed: int = 1,
        shots_of: list[str] | None = None,
        world: Literal["closed", "open"] = "closed",
        templates: list[str] | None = None,
        batch_size: int = 128,
        num_workers: int | None = None,
        image_size: int = 224,
        split: Path | None = None,
        max_images: int | None = None,
        crops: int = 1,
        seed: int = 0,
    ) -> None:
        _check_names(attributes)
        super().__init__(
            _joined(attributes), source=source, root=root, dictionary=dictionary,
            batch_size=batch_size, num_workers=num_workers, image_size=image_size, split=split,
            max_images=max_images, crops=crops, seed=seed,
        )  # fmt: skip
        self.attributes, self.world = tuple(attributes), world
        self.shots = Shots(shots, validation_shots, shots_seed)
        self._drawn_by = _columns(attributes, shots_of, self.shots)
        self._places, self._templates = tuple(attributes), tuple(templates or ())
        check_places(self._templates, self._places)
        self.parts = np.zeros((0, len(attributes)), np.int64)
        self.seen = np.zeros(0, np.bool_)

    def prompts(self, attribute: str) -> list[list[str]]:
        """Prompts of each combination, or of each value of an attribute of the dictionary."""
        if attribute != self.attribute or not self._templates:
            return super().prompts(attribute)
        words = [[value.text for value in each] for each in self._combined()]
        named = [dict(zip(self._places, each, strict=True)) for each in words]
        return [[filled(template, each) for template in self._templates] for each in named]

    def labels(self, attribute: str) -> Labels:
        """Labels of all N images for the combinations, or for an attribute of the dictionary."""
        if attribute == self.attribute and attribute not in self._labels:
            self._labels[attribute] = combined_labels(self._labels_of_parts(), self.parts)
        return super().labels(attribute)

    # --- set-up -------------------------------------------------------------------------------

    def _look_up(self) -> None:
        """Find the combinations among the images, then draw the shots."""
        entries = [self.dictionary.attribute(name) for name in self.attributes]
        self.attributes = tuple(entry.name for entry in entries)
        _check_names(self.attributes)
        _check_exclusive(entries)
        number_NA = shown_numbers(self._labels_of_parts())
        used = np.concatenate([self.annotations.members(split) for split in self.splits])
        if self.world == "open":
            self.parts = possible_classes([len(entry.values) for entry in entries])
        else:
            self.parts = shown_classes(number_NA[used])
        if len(self.parts) < 2:
            raise InputError(
                f"expected two combinations or more of {' and '.join(self.attributes)} in the "
                f"images of {self.source.root}, got {len(self.parts)}. Choose other attributes, or "
                "annotate more images with a value of each."
            )
        class_N = class_numbers(number_NA, self.parts)
        for split in NEEDED:
            self._check_shown(split, class_N)
        train = self.annotations.members("train")
        self.seen = np.isin(np.arange(len(self.parts)), class_N[train])
        self._add(entries, np.bincount(class_N[class_N >= 0], minlength=len(self.parts)))
        if self.shots:
            self._draw(number_NA[:, self._drawn_by], class_N)

    def _add(self, entries: Sequence[Attribute], count_C: Ints) -> None:
        """Put the combinations into the dictionary, as values of one more attribute."""
        self.attribute, nouns = _joined(self.attributes), [is_noun(entry) for entry in entries]
        values = tuple(
            Value("+".join(v.id for v in each), noun_phrase([v.text for v in each], nouns), count)
            for each, count in zip(self._combined(), count_C.tolist(), strict=True)
        )
        templates = self._templates or NOUN
        entry = Attribute(self.attribute, values, True, selected=False, templates=templates)
        dictionary = self.dictionary
        self._dictionary = replace(dictionary, attributes=(*dictionary.attributes, entry))

    def _draw(self, number_NB: Ints, class_N: Ints) -> None:
        """Draw the shots of each combination of the B attributes that they are drawn by."""
        drawn_by_N = class_numbers(number_NB, shown_classes(number_NB))
        self._annotations, drawn = self.shots.draw(
            self.annotations,
            np.where(class_N < 0, -1, drawn_by_N),
            source=self.source_name,
            drawn_from=self.split_hash,
        )
        self.split_hash = drawn.hash

    def _check_shown(self, split: str, class_N: Ints) -> None:
        members = self.annotations.members(split)
        if (class_N[members] < 0).all():
            raise InputError(
                f"expected images of the split {split!r} with a value of each of "
                f"{', '.join(self.attributes)}, got none of {len(members)}. Choose other "
                "attributes, or annotate more images with a value of each."
            )

    def _combined(self) -> list[list[Value]]:
        """The values of each combination, C lists of A."""
        values = [self.dictionary.attribute(name).values for name in self.attributes]
        return [[values[a][v] for a, v in enumerate(row)] for row in self.parts.tolist()]

    def _labels_of_parts(self) -> list[Labels]:
        return [self.labels(name) for name in self.attributes]


def _joined(attributes: Sequence[str]) -> str:
    return "+".join(attributes)


def _columns(attributes: Sequence[str], chosen: Sequence[str] | None, shots: Shots) -> list[int]:
    """The places of the chosen attributes among all."""
    if chosen is None:
        return list(range(len(attributes)))
    if not shots:
        raise InputError(
            "--data.shots_of says by what to draw shots, expected --data.shots or "
            "--data.validation_shots beside it. Add one of them, or leave --data.shots_of out."
        )
    if not chosen or not set(chosen) <= set(attributes):
        raise InputError(
            f"--data.shots_of is {', '.join(chosen) or 'empty'}, expected some of "
            f"--data.attributes: {', '.join(attributes)}. Leave it out to draw by all of them."
        )
    return [attributes.index(name) for name in dict.fromkeys(chosen)]


def _check_names(attributes: Sequence[str]) -> None:
    if len(attributes) < 2 or len(set(attributes)) < len(attributes):
        raise InputError(
            f"--data.attributes is {', '.join(attributes) or 'empty'}, expected two different ones "
            "or more. Name attributes of the dictionary, such as color and shape."
        )


def _check_exclusive(entries: Sequence[Attribute]) -> None:
    for entry in entries:
        if not entry.exclusive:
            raise InputError(
                f"expected attributes of which an image shows one value each, got {entry.name!r}: "
                "an image may show several of its values, and so has no one combination. Choose "
                "another attribute."
            )
