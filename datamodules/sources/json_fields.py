"""Fields of the JSON objects that annotation files hold: of the expected kind, or a clear error."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datamodules.errors import InputError

_PLURALS: dict[type, str] = {str: "texts", dict: "objects", list: "lists"}
_FAR = 1e6  # pixels, wider than any picture


def list_of(kind: type, entry: Mapping[str, Any], key: str, place: str) -> list[Any]:
    """A list whose members are of this kind; empty if the entry has none.

    Raises:
        InputError: if it is anything else.
    """
    values = entry.get(key)
    if values is None:
        return []
    if not isinstance(values, list) or not all(isinstance(value, kind) for value in values):
        raise wrong(place, f"a list of {_PLURALS[kind]} as {key!r}", values)
    return values


def text_of(entry: Mapping[str, Any], key: str, place: str) -> str:
    """A text.

    Raises:
        InputError: if it is missing or anything else.
    """
    value = entry.get(key)
    if not isinstance(value, str):
        raise wrong(place, f"a text as {key!r}", value)
    return value


def whole_of(entry: Mapping[str, Any], key: str, place: str) -> int:
    """A whole number of 0 or more.

    Raises:
        InputError: if it is missing or anything else.
    """
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, int) or value < 0:
        raise wrong(place, f"a whole number as {key!r}", value)
    return value


def pixels_of(entry: Mapping[str, Any], key: str, place: str) -> float:
    """A number of pixels, maybe below 0.

    Raises:
        InputError: if it is missing, anything else, or larger than any picture.
    """
    value = entry.get(key)
    if isinstance(value, bool) or not isinstance(value, (int, float)) or not -_FAR < value < _FAR:
        raise wrong(place, f"a number of pixels as {key!r}", value)
    return float(value)


def wrong(place: str, expected: str, got: object) -> InputError:
    """The message for a field that is not what it should be."""
    shown = "none" if got is None else repr(got)[:80]
    return InputError(f"{place}: expected {expected}, got {shown}. Correct the file.")
