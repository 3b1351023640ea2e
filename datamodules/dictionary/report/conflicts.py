"""Words that a dictionary does not place in one attribute alone."""

from __future__ import annotations

from typing import NamedTuple

from datamodules.dictionary.records import Value
from datamodules.dictionary.schema import Dictionary
from datamodules.normalize import normalize


class Conflict(NamedTuple):
    """One word that could stand elsewhere, or stands twice.

    Attributes:
        word: the word, or the spelling that two values share.
        rows: numbers of the values it stands for, counted through all attributes.
        others: further attributes that it could be a value of.
    """

    word: str
    rows: tuple[int, ...]
    others: tuple[str, ...]


def conflicts(dictionary: Dictionary) -> list[Conflict]:
    """Spellings under two values, then values in doubt that could be of another attribute too.

    A source that states its types may use one word for several attributes ("blue" for wings and
    for eyes): that is no conflict.
    """
    values = [value for attribute in dictionary.attributes for value in attribute.values]
    return [
        *(
            Conflict(word, rows, ())
            for word, rows in _spelled(values).items()
            if len(rows) > 1 and any(values[row].status != "given" for row in rows)
        ),
        *(
            Conflict(value.text, (row,), value.also)
            for row, value in enumerate(values)
            if value.also and value.status == "auto"
        ),
    ]


def _spelled(values: list[Value]) -> dict[str, tuple[int, ...]]:
    rows: dict[str, dict[int, None]] = {}
    for row, value in enumerate(values):
        for form in (value.text, *value.spellings):
            rows.setdefault(normalize(form) or form, {})[row] = None
    return {word: tuple(found) for word, found in rows.items()}
