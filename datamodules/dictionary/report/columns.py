"""The words of a dictionary as columns: what the page's script reads, small enough for 68,000.

A row is a value of an attribute, in the dictionary's order, or after them a word left out. A string
that many rows share stands once in `Strings`; an empty column is written as an empty list.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from datamodules.dictionary.records import Unassigned, Value
from datamodules.dictionary.report.plain import shown_groups
from datamodules.dictionary.schema import Dictionary
from datamodules.normalize import normalize

Point = Sequence[float]  # x, y


def words_of(dictionary: Dictionary) -> list[Value | Unassigned]:
    """The word of each row."""
    values = [value for attribute in dictionary.attributes for value in attribute.values]
    return [*values, *dictionary.unassigned]


class Strings:
    """Strings by number, in order of first use; number 0 is the empty string."""

    def __init__(self) -> None:
        self._numbers = {"": 0}

    def __call__(self, text: str) -> int:
        """The number of `text`."""
        return self._numbers.setdefault(text, len(self._numbers))

    def all(self) -> list[str]:
        """Every string met so far, by number."""
        return list(self._numbers)


def word_columns(
    dictionary: Dictionary, points: Mapping[str, Point], strings: Strings
) -> dict[str, list[Any]]:
    """One list a field, one entry a word; 0 stands for "nothing" where a field is a list.

    Args:
        dictionary: the dictionary.
        points: place on the map by value id or word; words without one are not drawn.
        strings: takes the strings that rows share.

    Returns:
        text; count; attribute (its number, -1 for a word left out); group (its number among the
        attribute's shown groups, -1 for none); why (evidence, or the reason it is left out); next
        (the second attribute, or the nearest); forms, splits and objects as [name, count, ...];
        score, margin, lift; status; also; examples; cluster (under HDBSCAN alone, -1 is noise);
        x, y.
    """
    rows = []
    for number, attribute in enumerate(dictionary.attributes):
        groups = {group.id: place for place, group in enumerate(shown_groups(attribute))}
        rows += [_value_row(value, number, groups, strings) for value in attribute.values]
    rows += [_left_out_row(word, strings) for word in dictionary.unassigned]
    for row, word in zip(rows, words_of(dictionary), strict=True):
        row["cluster"] = _cluster(word, dictionary.labels_)
        place = points.get(word.id, points.get(word.text))
        if place is not None:
            row["x"], row["y"] = (round(float(each), 3) for each in place)
    columns = {name: [row[name] for row in rows] for name in _EMPTY}
    return {
        name: column if any(entry != empty for entry in column) else []
        for (name, empty), column in zip(_EMPTY.items(), columns.values(), strict=True)
    }


_EMPTY: dict[str, Any] = {
    "text": None, "count": None, "attribute": None, "group": -1, "why": 0, "next": 0, "denied": 0,
    "forms": 0, "splits": 0, "objects": 0, "score": 0.0, "margin": 0.0, "lift": None, "status": 0,
    "also": 0, "examples": 0, "cluster": None, "x": None, "y": None,
}  # fmt: skip


def _value_row(
    value: Value, attribute: int, groups: Mapping[str, int], strings: Strings
) -> dict[str, Any]:
    forms = [item for form in value.spellings for item in (form, value.forms[form])]
    return {
        **_EMPTY,
        "text": value.text,
        "count": value.count,
        "attribute": attribute,
        "group": groups.get(value.group, -1),
        "why": strings(value.evidence),
        "next": strings(value.second),
        "denied": value.denied,
        "forms": 0 if forms[::2] in ([], [value.text]) else forms,
        "splits": _pairs(_by_count(value.splits), strings),
        "objects": _pairs(_by_count(value.objects), strings),
        "score": round(value.score, 3),
        "margin": round(value.margin, 3),
        "status": strings(value.status),
        "also": [strings(name) for name in value.also] or 0,
        "examples": list(value.examples) or 0,
    }


def _left_out_row(word: Unassigned, strings: Strings) -> dict[str, Any]:
    return {
        **_EMPTY,
        "text": word.text,
        "count": word.count,
        "attribute": -1,
        "group": word.group,
        "why": strings(word.reason),
        "next": strings(word.nearest),
        "score": round(word.score, 3),
        "margin": round(word.margin, 3),
        "lift": None if word.lift is None else round(word.lift, 3),
    }


def _by_count(counts: Mapping[str, int]) -> dict[str, int]:
    return dict(sorted(counts.items(), key=lambda item: (-item[1], item[0])))


def _pairs(counts: Mapping[str, int], strings: Strings) -> list[int] | int:
    return [number for name, count in counts.items() for number in (strings(name), count)] or 0


def _cluster(word: Value | Unassigned, labels: Mapping[str, int]) -> int | None:
    found = labels.get(word.text)
    return labels.get(normalize(word.text)) if found is None else found
