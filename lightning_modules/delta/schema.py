"""delta.json: what a delta was trained for, on what, how, and how good it is."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import MISSING, asdict, dataclass, field, fields
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import Any, Literal

from datamodules.errors import InputError

SCHEMA = "aspectra.delta/1"
_PACKAGES = ("torch", "peft", "open_clip_torch", "lightning", "safetensors")
_TYPES: dict[str, type | tuple[type, ...]] = {
    "values": list,
    "templates": list,
    "quick_gelu": bool,
    "scale": (int, float, dict),
    "protocol": dict,
    "seed": int,
    "versions": dict,
    "metrics": dict,
}


@dataclass(frozen=True, kw_only=True)
class DeltaCard:
    """The metadata of a delta; each field is a key of delta.json.

    Args:
        attribute: display name, such as "color" or "a.b".
        values: names of the attribute's values in the order of the logits.
        templates: prompt templates with `{}` where the value goes.
        backbone: architecture or folder of the base model.
        pretrained: tag or file of the base model.
        fingerprint: SHA-256 of the base weights, see `lightning_modules.tensors.fingerprint`.
        quick_gelu: whether the base model's activation is QuickGELU.
        kind: "lora" (factors) or "dense" (fine-tuned minus base).
        scale: what multiplies B A, one number or one for each module.
        source: name of the data set.
        dictionary_hash: SHA-256 of the dictionary of attributes.
        data_hash: SHA-256 of the data.
        protocol: which split selected, which is reported, and the class of information used.
        seed: of the run.
        versions: of the packages that made it.
        metrics: {split: {"base" | "adapted": {name: value}}}.
        command: makes this delta again.
        schema: version of this layout.
    """

    attribute: str
    values: tuple[str, ...]
    templates: tuple[str, ...]
    backbone: str
    pretrained: str
    fingerprint: str
    quick_gelu: bool
    kind: Literal["lora", "dense"] = "lora"
    scale: float | dict[str, float] = 1.0
    source: str = ""
    dictionary_hash: str = ""
    data_hash: str = ""
    protocol: dict[str, Any] = field(default_factory=dict)
    seed: int = 0
    versions: dict[str, str] = field(default_factory=lambda: current_versions())
    metrics: dict[str, dict[str, dict[str, float | None]]] = field(default_factory=dict)
    command: str = ""
    schema: str = SCHEMA

    def to_json(self) -> dict[str, Any]:
        """The content of delta.json; numbers that are not finite become null."""
        plain: dict[str, Any] = finite(asdict(self))
        return plain

    @classmethod
    def from_json(cls, content: Any, path: Path) -> DeltaCard:
        """Check and read the content of delta.json.

        Raises:
            InputError: if it is of another schema, or keys are missing, unknown or of a wrong type.
        """
        if not isinstance(content, dict) or content.get("schema") != SCHEMA:
            got = content.get("schema") if isinstance(content, dict) else type(content).__name__
            raise InputError(
                f"{path} has schema {got!r}, expected {SCHEMA!r}. "
                "Use the version of this project that wrote it, or train the delta again."
            )
        known = {item.name: item for item in fields(cls)}
        required = {
            name
            for name, item in known.items()
            if item.default is MISSING and item.default_factory is MISSING
        }
        missing, unknown = sorted(required - content.keys()), sorted(content.keys() - known.keys())
        if missing or unknown:
            raise InputError(
                f"{path}: missing keys: {', '.join(missing) or 'none'}; "
                f"unknown keys: {', '.join(unknown) or 'none'}. Expected the keys of {SCHEMA}."
            )
        for name, value in content.items():
            wanted = _TYPES.get(name, str)
            is_number = isinstance(value, bool) and wanted is not bool  # True is an int to Python
            if is_number or not isinstance(value, wanted):
                raise InputError(
                    f"{path}: {name} is {value!r}, which is of a wrong type. Write the delta again "
                    "with save_delta instead of editing it by hand."
                )
        tuples = {name: tuple(content[name]) for name in ("values", "templates")}
        return cls(**(content | tuples))


def current_versions() -> dict[str, str]:
    """Versions of the packages that decide what a delta contains."""
    return {package: found for package in _PACKAGES if (found := _version(package))}


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return ""


def finite(value: Any) -> Any:
    """A tree of plain values in which NaN and infinity, which JSON lacks, are None."""
    if isinstance(value, Mapping):
        return {key: finite(item) for key, item in value.items()}
    if isinstance(value, list | tuple):
        return [finite(item) for item in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
