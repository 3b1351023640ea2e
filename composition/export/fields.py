"""Records in JSON files: keys and types are checked before anything uses them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import MISSING, fields
from typing import Any, TypeVar

from datamodules.errors import InputError

_CHOICES = {"purpose": ("attributes", "target"), "form": ("exact", "truncated", "none")}
_TYPES: dict[str, type | tuple[type, ...]] = {
    "targets": list,
    "protocol": dict,
    "seed": int,
    "metrics": dict,
    "deltas": list,
    "quick_gelu": bool,
    "adapter": dict,
    "merged": bool,
    "versions": dict,
    "ranks": dict,
    "error": (int, float),
    "errors": dict,
    "chosen": dict,
}
Record = TypeVar("Record")


def read_record(kind: type[Record], content: Any, where: str) -> Record:
    """A dataclass from the object of its fields.

    Raises:
        InputError: if it is no object, or see `check_fields`.
    """
    if not isinstance(content, dict):
        raise InputError(
            f"{where}: expected an object, got {content!r}. Save the composition again instead of "
            "editing it by hand."
        )
    return kind(**check_fields(kind, content, where))


def check_fields(kind: Any, content: Mapping[str, Any], where: str) -> dict[str, Any]:
    """The content, once its keys and their types are those of the dataclass.

    Args:
        kind: the dataclass.
        content: field -> value.
        where: file and place, for the error.

    Raises:
        InputError: if keys are missing, unknown or of a wrong type.
    """
    known = {item.name: item for item in fields(kind)}
    required = {
        name
        for name, item in known.items()
        if item.default is MISSING and item.default_factory is MISSING
    }
    missing, unknown = sorted(required - content.keys()), sorted(content.keys() - known.keys())
    if missing or unknown:
        raise InputError(
            f"{where}: missing keys: {', '.join(missing) or 'none'}; "
            f"unknown keys: {', '.join(unknown) or 'none'}. Expected what save_composition writes."
        )
    for name, value in content.items():
        wanted = _TYPES.get(name, str)
        is_number = isinstance(value, bool) and wanted is not bool  # True is an int to Python
        is_strange = name in _CHOICES and value not in _CHOICES[name]
        if is_number or is_strange or not isinstance(value, wanted):
            raise InputError(
                f"{where}: {name} is {value!r}, which save_composition does not write. Save "
                "the composition again instead of editing it by hand."
            )
    return dict(content)
