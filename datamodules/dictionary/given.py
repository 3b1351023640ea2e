"""A dictionary of what a data set states itself: its attributes, their values, and nothing guessed.

Where the annotations say that "red" is a color, no word vector is asked.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Literal

import numpy as np

from datamodules.annotations.table import spelling
from datamodules.dictionary.records import AnchorType, Attribute, Value
from datamodules.dictionary.schema import Dictionary
from datamodules.dictionary.word_id import word_id
from datamodules.errors import InputError
from datamodules.files import sha256_json

if TYPE_CHECKING:
    from datamodules.annotations import Annotations
    from datamodules.dictionary.words.vocabulary import Vocabulary
    from datamodules.sources import Source

_SPLIT = "train"
_MAX_SHARED = 0.02  # items with two values of an attribute, of those with one: slips of annotators


def words_of(source: Source) -> Literal["captions", "annotations"]:
    """Where the words of a source that does not state all types are found."""
    return "annotations" if "" in source.annotations.attributes else "captions"


def words_hash(source: Source) -> str:
    """SHA-256 of what this source's dictionary is built from: its captions or its annotations."""
    if source.states_types:
        table = source.annotations
        return sha256_json({name: table.shown(name, _SPLIT) for name in table.attributes})
    if words_of(source) == "captions":
        return sha256_json(source.captions(_SPLIT))
    table = source.annotations
    counts = {
        split: {name: table.shown(name, split) for name in table.attributes}
        for split in table.splits
    }
    return sha256_json([counts, source.captions(_SPLIT)])


def stated(source: Source, *, min_count: int = 1) -> Dictionary:
    """The attributes of a source that states their types, from its training split.

    Args:
        source: the data set.
        min_count: training items that must show a value.

    Raises:
        InputError: if no attribute has a value that often.
    """
    table = source.annotations
    attributes = stated_attributes(source, min_count=min_count)
    if not attributes:
        raise InputError(
            f"expected values that at least {min_count} training images of {source.name} show, got "
            f"none. Its splits are: {', '.join(table.splits) or 'none'}."
        )
    return Dictionary(
        source=source.name,
        data_hash=words_hash(source),
        attributes=attributes,
        types=tuple(AnchorType(each.name, (), selected=each.selected) for each in attributes),
        settings={"mode": "given", "min_count": min_count},
        scores={"num_images": len(table.images_of(_SPLIT)), "num_captions": 0},
    )


def stated_attributes(source: Source, *, min_count: int = 1) -> tuple[Attribute, ...]:
    """The attributes whose types the annotations of a source state; see `stated`.

    None of a source whose types are to be found in its captions.
    """
    if not source.states_types and words_of(source) == "captions":
        return ()
    return tuple(
        attribute
        for name in source.annotations.attributes
        if name and (attribute := _attribute(source, name, min_count)).values
    )


def listed_attributes(vocabulary: Vocabulary) -> tuple[Attribute, ...]:
    """The attributes whose types a list of words states itself, by falling count.

    Whether values exclude each other is not known: a list has no images.
    """
    values: dict[str, list[Value]] = {}
    for entry, name in enumerate(vocabulary.types):
        if name and vocabulary.counts_W[entry]:
            text = vocabulary.texts[entry]
            values.setdefault(name, []).append(
                Value(
                    id=word_id(text), text=text, count=int(vocabulary.counts_W[entry]),
                    denied=int(vocabulary.denied_W[entry]), forms=vocabulary.forms[entry],
                    denials=vocabulary.denials[entry], objects=vocabulary.objects[entry],
                    score=1.0, margin=1.0, evidence="given", status="given",
                )
            )  # fmt: skip
    total = {name: sum(value.count for value in each) for name, each in values.items()}
    return tuple(
        Attribute(name=name, values=tuple(values[name]), exclusive=None, overlap=None)
        for name in sorted(values, key=lambda name: (-total[name], name))
    )


def listed(name: str, attributes: tuple[Attribute, ...], data_hash: str) -> Dictionary:
    """The dictionary of a list that states the type of every word."""
    return Dictionary(
        source=name,
        data_hash=data_hash,
        attributes=attributes,
        read_from="list",
        types=tuple(AnchorType(each.name, ()) for each in attributes),
        settings={"mode": "given"},
    )


def _attribute(source: Source, name: str, min_count: int) -> Attribute:
    table = source.annotations
    spellings = _merged(table.shown(name, _SPLIT))
    values = tuple(
        Value(
            id=word_id(word), text=next(iter(forms)), count=sum(forms.values()),
            forms=forms, score=1.0, margin=1.0, evidence="given", status="given",
        )
        for word, forms in spellings.items()
        if sum(forms.values()) >= min_count
    )  # fmt: skip
    values = tuple(sorted(values, key=lambda value: (-value.count, value.text)))
    shared = _shared(table, name, [value.text for value in values])
    return Attribute(
        name=name,
        values=values,
        exclusive=len(values) > 1 and shared <= _MAX_SHARED,
        selected=bool(values),
        overlap=round(shared, 4),
        templates=tuple(source.templates.get(name, ())),
    )


def _merged(counts: Mapping[str, int]) -> dict[str, dict[str, int]]:
    """Spellings of one word together, the commonest first."""
    words: dict[str, dict[str, int]] = {}
    for text, count in counts.items():
        words.setdefault(spelling(text), {})[text] = count
    return words


def _shared(table: Annotations, name: str, values: list[str]) -> float:
    """Share of the training items with a value that have another one too."""
    labels = table.labels(name, values, exclusive=False)
    count = labels.label[table.members(_SPLIT)].sum(axis=1, dtype=np.int64)
    return float((count > 1).sum() / max(1, (count > 0).sum()))
