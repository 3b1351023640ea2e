"""JSON <-> frozen dataclasses, strictly: every field present, none unknown, types as declared.

A dictionary may hold tens of thousands of records, so what a class asks for is worked out once.
"""

from __future__ import annotations

import types
from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from functools import cache
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")
_Read = Callable[[Any, str], Any]  # what JSON gave and its place -> the value
_LEAVES = frozenset({str, int, float, bool, type(None)})


def decode(cls: type[T], raw: Any, where: str = "") -> T:
    """Rebuild a dataclass from the JSON of `encode`.

    Args:
        cls: a dataclass of str, int, float, bool, None, tuples, mappings and dataclasses.
        raw: the parsed JSON object.
        where: place in the file, for messages.

    Raises:
        ValueError: if a field is missing, unknown or of another type; the message names its place.
    """
    found: T = _reader(cls)(raw, where)  # type: ignore[arg-type]
    return found


def encode(value: Any) -> Any:
    """A dataclass as what `json.dumps` takes; the parts of it are not copied."""
    if type(value) in _LEAVES:
        return value
    if isinstance(value, tuple | list):
        return [encode(item) for item in value]
    if isinstance(value, Mapping):
        return {key: encode(item) for key, item in value.items()}
    return {name: encode(getattr(value, name)) for name in _names(type(value))}  # type: ignore[arg-type]


@cache
def _names(cls: Any) -> tuple[str, ...]:
    return tuple(entry.name for entry in fields(cls))


@cache
def _reader(hint: Any) -> _Read:
    """What reads a value of this type."""
    origin = get_origin(hint)
    if origin is tuple:
        return _tuple_of(_reader(get_args(hint)[0]), hint)
    if origin in (Union, types.UnionType):
        inner = _reader(get_args(hint)[0])
        return lambda raw, where: None if raw is None else inner(raw, where)
    if origin is Literal:
        return _one_of(get_args(hint))
    if is_dataclass(hint) and isinstance(hint, type):
        return _record_of(hint)
    if hint is float:
        return _number
    return _plain(hint, dict if Mapping in (origin, hint) else origin or hint)


def _record_of(cls: type[Any]) -> _Read:
    hints = get_type_hints(cls)
    readers = [(name, _reader(hints[name])) for name in _names(cls)]  # type: ignore[arg-type]
    known = {name for name, _ in readers}

    def read(raw: Any, where: str) -> Any:
        if not isinstance(raw, dict):
            raise ValueError(
                f"expected an object at {where or 'the top'}, got {type(raw).__name__}"
            )
        if raw.keys() != known:
            missing = [name for name, _ in readers if name not in raw]
            unknown = [name for name in raw if name not in known]
            parts = [
                f"{kind} {', '.join(found)}"
                for kind, found in (("missing", missing), ("unknown", unknown))
                if found
            ]
            raise ValueError(f"fields at {where or 'the top'}: {'; '.join(parts)}")
        before = f"{where}." if where else ""
        return cls(**{name: reader(raw[name], before + name) for name, reader in readers})

    return read


def _tuple_of(inner: _Read, hint: Any) -> _Read:
    def read(raw: Any, where: str) -> Any:
        if not isinstance(raw, list):
            raise _unlike(hint, raw, where)
        return tuple(inner(item, f"{where}[{number}]") for number, item in enumerate(raw))

    return read


def _one_of(choices: tuple[Any, ...]) -> _Read:
    def read(raw: Any, where: str) -> Any:
        if raw not in choices:
            raise ValueError(f"expected one of {', '.join(choices)} at {where}, got {raw!r}")
        return raw

    return read


def _plain(hint: Any, wanted: Any) -> _Read:
    def read(raw: Any, where: str) -> Any:
        # bool is an int to Python, but a true count is a mistake in the file.
        if wanted is not Any and (
            not isinstance(raw, wanted) or (isinstance(raw, bool) and hint is not bool)
        ):
            raise _unlike(hint, raw, where)
        return raw

    return read


def _number(raw: Any, where: str) -> float:
    if isinstance(raw, bool) or not isinstance(raw, int | float):
        raise _unlike(float, raw, where)
    return float(raw)


def _unlike(hint: Any, raw: Any, where: str) -> ValueError:
    return ValueError(f"expected {getattr(hint, '__name__', hint)} at {where}, got {raw!r}")
