"""JSON -> frozen dataclasses, strictly: every field present, none unknown, types as declared."""

from __future__ import annotations

import types
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


def decode(cls: type[T], raw: Any, where: str = "") -> T:
    """Rebuild a dataclass from `json.loads(canonical_json(asdict(value)))`.

    Args:
        cls: a dataclass of str, int, float, bool, None, tuples, mappings and dataclasses.
        raw: the parsed JSON object.
        where: place in the file, for messages.

    Raises:
        ValueError: if a field is missing, unknown or of another type; the message names its place.
    """
    if not isinstance(raw, dict):
        raise ValueError(f"expected an object at {where or 'the top'}, got {type(raw).__name__}")
    hints = get_type_hints(cls)
    names = [entry.name for entry in fields(cls)]  # type: ignore[arg-type]
    missing = [name for name in names if name not in raw]
    unknown = [name for name in raw if name not in hints]
    if missing or unknown:
        parts = [
            f"{kind} {', '.join(found)}"
            for kind, found in (("missing", missing), ("unknown", unknown))
            if found
        ]
        raise ValueError(f"fields at {where or 'the top'}: {'; '.join(parts)}")
    return cls(
        **{name: _value(hints[name], raw[name], f"{where}.{name}".lstrip(".")) for name in names}
    )


def _value(hint: Any, raw: Any, where: str) -> Any:
    origin = get_origin(hint)
    if origin is tuple and isinstance(raw, list):
        inner = get_args(hint)[0]
        return tuple(_value(inner, item, f"{where}[{number}]") for number, item in enumerate(raw))
    if origin in (Union, types.UnionType):
        return None if raw is None else _value(get_args(hint)[0], raw, where)
    if origin is Literal:
        if raw not in get_args(hint):
            raise ValueError(f"expected one of {', '.join(get_args(hint))} at {where}, got {raw!r}")
        return raw
    if is_dataclass(hint) and isinstance(hint, type):
        return decode(hint, raw, where)
    if origin is Mapping or hint is Mapping:
        wanted: Any = dict
    else:
        wanted = (int, float) if hint is float else (origin or hint)
    # bool is an int to Python, but a true count is a mistake in the file.
    if not isinstance(raw, wanted) or (isinstance(raw, bool) and hint is not bool):
        raise ValueError(f"expected {getattr(hint, '__name__', hint)} at {where}, got {raw!r}")
    return float(raw) if hint is float else raw
