"""The values of two dictionaries side by side: added, removed, moved, merged, split, counted."""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

from datamodules.dictionary.lookup import spellings, word_key
from datamodules.dictionary.records import Value
from datamodules.dictionary.schema import Dictionary

_Key = tuple[str, str]  # attribute and id


class Word(NamedTuple):
    """A value that one of the dictionaries lacks.

    Attributes:
        name: attribute and word, "color/navy".
        shown: how often, in its own dictionary.
        other: what the word is in the other dictionary: why it is unassigned there, or "".
    """

    name: str
    shown: int
    other: str = ""


class Moved(NamedTuple):
    """A value that has another attribute."""

    word: str
    shown: int
    old: str
    new: str


class Merged(NamedTuple):
    """Values that became one."""

    old: tuple[str, ...]
    new: str


class Split(NamedTuple):
    """A value that became several."""

    old: str
    new: tuple[str, ...]


class Renamed(NamedTuple):
    """A value that is displayed otherwise, or a group that has another id."""

    old: str
    new: str


class Recounted(NamedTuple):
    """A value that is shown more or less often."""

    name: str
    old: int
    new: int


@dataclass(frozen=True)
class Compared:
    """What `Diff` says of values."""

    added: tuple[Word, ...]
    removed: tuple[Word, ...]
    moved: tuple[Moved, ...]
    merged: tuple[Merged, ...]
    split: tuple[Split, ...]
    renamed: tuple[Renamed, ...]
    counts: tuple[Recounted, ...]


def compare(a: Dictionary, b: Dictionary) -> Compared:
    """From the values of `a` to those of `b`."""
    old, new = _values(a), _values(b)
    into = _covering(old, new)
    out_of = _covering(new, old)
    merged = {key: keys for key, keys in into.items() if len(keys) > 1}
    split = {key: keys for key, keys in out_of.items() if len(keys) > 1}
    parts_old = {key for keys in merged.values() for key in keys} | set(split)
    parts_new = {key for keys in split.values() for key in keys} | set(merged)
    gone = {key: value for key, value in old.items() if key not in new and key not in parts_old}
    come = {key: value for key, value in new.items() if key not in old and key not in parts_new}
    moves = _moves(gone, come)
    loose_a = {word_key(each.text): each.reason for each in a.unassigned}
    loose_b = {word_key(each.text): each.reason for each in b.unassigned}
    left = {key: value for key, value in gone.items() if key not in moves}
    arrived = {key: value for key, value in come.items() if key not in moves.values()}
    return Compared(
        added=_words(arrived, loose_a),
        removed=_words(left, loose_b),
        moved=tuple(
            Moved(new[after].text, new[after].count, before[0], after[0])
            for before, after in moves.items()
        ),
        merged=tuple(
            Merged(tuple(_name(each, old) for each in keys), _name(key, new))
            for key, keys in merged.items()
        ),
        split=tuple(
            Split(_name(key, old), tuple(_name(each, new) for each in keys))
            for key, keys in split.items()
        ),
        renamed=tuple(
            Renamed(_name(key, old), _name(key, new))
            for key in old
            if key in new and old[key].text != new[key].text
        ),
        counts=_counts(old, new, parts_old | parts_new),
    )


def _values(dictionary: Dictionary) -> dict[_Key, Value]:
    return {
        (attribute.name, value.id): value
        for attribute in dictionary.attributes
        for value in attribute.values
    }


def _covering(parts: dict[_Key, Value], whole: dict[_Key, Value]) -> dict[_Key, list[_Key]]:
    """Value of `whole` -> the values of `parts` whose word is one of its spellings.

    A word of the same attribute comes before the same word of another one.
    """
    owner: dict[_Key, _Key] = {}
    anywhere: dict[str, list[_Key]] = {}
    for key, value in whole.items():
        for word in spellings(value):
            owner.setdefault((key[0], word), key)
            anywhere.setdefault(word, []).append(key)
    found: dict[_Key, list[_Key]] = {}
    for key, value in parts.items():
        words = spellings(value)
        here = (owner[key[0], word] for word in words if (key[0], word) in owner)
        # One word may well be a value of several attributes: this does not make it a part of them.
        there = (
            anywhere[word][0]
            for word in words
            if len(anywhere.get(word, ())) == 1 and anywhere[word][0][1] != key[1]
        )
        host = next(here, None) or next(there, None)
        if host is not None:
            found.setdefault(host, []).append(key)
    return found


def _moves(gone: dict[_Key, Value], come: dict[_Key, Value]) -> dict[_Key, _Key]:
    """Pairs of the same id, where each side has it once."""
    left: dict[str, list[_Key]] = {}
    arrived: dict[str, list[_Key]] = {}
    for side, keys in ((left, gone), (arrived, come)):
        for key in keys:
            side.setdefault(key[1], []).append(key)
    return {
        keys[0]: arrived[each][0]
        for each, keys in left.items()
        if len(keys) == 1 and len(arrived.get(each, ())) == 1
    }


def _words(values: dict[_Key, Value], other: dict[str, str]) -> tuple[Word, ...]:
    found = [
        Word(_name(key, values), value.count, other.get(word_key(value.text), ""))
        for key, value in values.items()
    ]
    return tuple(sorted(found, key=lambda word: (-word.shown, word.name)))


def _counts(
    old: dict[_Key, Value], new: dict[_Key, Value], parts: set[_Key]
) -> tuple[Recounted, ...]:
    found = [
        Recounted(_name(key, new), value.count, new[key].count)
        for key, value in old.items()
        if key in new and key not in parts and new[key].count != value.count
    ]
    return tuple(sorted(found, key=lambda each: (-abs(each.new - each.old), each.name)))


def _name(key: _Key, values: dict[_Key, Value]) -> str:
    return f"{key[0]}/{values[key].text}"
