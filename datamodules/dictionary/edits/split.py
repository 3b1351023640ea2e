"""Spellings that were made one word -> values of their own."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace

from datamodules.dictionary.edits.finder import Finder, Key
from datamodules.dictionary.edits.join import parted
from datamodules.dictionary.edits.record import Edits
from datamodules.dictionary.lookup import word_key
from datamodules.dictionary.records import Attribute, Value
from datamodules.dictionary.schema import Dictionary


def split_values(dictionary: Dictionary, edits: Edits, finder: Finder) -> Dictionary:
    """Take values apart; words that are values of their own already stay so.

    A split that cannot be done is added to the finder's problems.
    """
    apart: dict[Key, dict[str, None]] = {}
    for words in edits.split:
        together = _by_value(words, finder)
        for key, keys in together.items():
            if len(keys) > len(set(keys)):
                finder.problem(
                    "split",
                    words[0],
                    f"{', '.join(map(repr, words))} are one word in two spellings, which labels "
                    "do not tell apart",
                )
            elif len(keys) > 1:
                apart.setdefault(key, {}).update(dict.fromkeys(keys))
    if not apart:
        return dictionary
    return replace(
        dictionary, attributes=tuple(_apart(each, apart) for each in dictionary.attributes)
    )


def _apart(attribute: Attribute, apart: Mapping[Key, Iterable[str]]) -> Attribute:
    values: list[Value] = []
    for value in attribute.values:
        keys = apart.get((attribute.name, value.id))
        values += [value] if keys is None else parted(value, keys)
    return replace(attribute, values=tuple(values))


def _by_value(words: tuple[str, ...], finder: Finder) -> dict[Key, list[str]]:
    """The normalized spellings of a split, by the value that they belong to."""
    together: dict[Key, list[str]] = {}
    for word in words:
        key = finder.word("split", words[0], word)
        if key is not None:
            together.setdefault(key, []).append(word_key(finder.lookup.parts(word)[1]))
    return together
