"""A split: which images train, select and test, with all that it takes to make it again.

On disk it is canonical JSON, so equal splits are equal bytes:

    {"hash": "5f3c...", "members": {"test": ["b.jpg"], "train": ["a.jpg"]}, "protocol": "by-hash",
     "schema": "aspectra.split/1", "seed": 0, "settings": {...}, "source": "folder"}
"""

from __future__ import annotations

import json
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, TypeVar

from datamodules.errors import InputError
from datamodules.files import canonical_json, read_json, sha256_json, write_json

SCHEMA = "aspectra.split/1"
Identifier = str | int
Label = TypeVar("Label", bound=Hashable)
_FIELDS: dict[str, type | tuple[type, ...]] = {
    "protocol": str,
    "seed": (int, type(None)),
    "members": dict,
    "source": str,
    "settings": dict,
}


@dataclass(frozen=True)
class Split:
    """Identifiers of images by part; no identifier is in two parts.

    Attributes:
        protocol: the rule that made it, such as "few-shot" or "zero-shot".
        seed: what its random draws depend on; None where nothing is drawn.
        members: for each part, such as "train", its identifiers in the order of the rule.
        source: name of the data set, or of the file the parts were read from.
        settings: everything else the rule depends on, and what it found; plain JSON.
    """

    protocol: str
    seed: int | None
    members: Mapping[str, tuple[Identifier, ...]]
    source: str
    settings: Mapping[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        members = {part: tuple(identifiers) for part, identifiers in self.members.items()}
        check_disjoint(members)
        object.__setattr__(self, "members", members)
        # As a file gives them back (lists, not tuples), so that a loaded split equals the saved.
        object.__setattr__(self, "settings", json.loads(canonical_json(self.settings)))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of all the fields, as canonical JSON: 64 hexadecimal digits."""
        return sha256_json(self._fields())

    def save(self, path: Path) -> None:
        """Write the split atomically.

        Raises:
            InputError: if `path` cannot be written.
        """
        write_json(path, {"schema": SCHEMA, "hash": self.hash, **self._fields()})

    @classmethod
    def load(cls, path: Path) -> Split:
        """Read a split back.

        Raises:
            InputError: if the file is missing, broken, of another version or changed by hand.
        """
        raw = read_json(path)
        schema = raw.get("schema") if isinstance(raw, dict) else None
        if schema != SCHEMA:
            raise InputError(
                f"expected a split with schema {SCHEMA} in {path}, got {_short(schema)}. "
                "Make the split again with this version."
            )
        found = raw.pop("hash", None)
        del raw["schema"]
        split = cls(**_checked(raw, path))
        if found != split.hash:
            raise InputError(
                f"expected hash {split.hash} in {path}, got {_short(found)}: the file was changed "
                "after it was made. Make the split again, or write the changed one under its own "
                "protocol name with Split.save."
            )
        return split

    def _fields(self) -> dict[str, Any]:
        return {name: getattr(self, name) for name in _FIELDS}


def check_disjoint(
    members: Mapping[str, Iterable[Identifier]],
    *,
    of: Mapping[Identifier, Hashable] | None = None,
    what: str = "image",
) -> None:
    """Refuse parts that share an image.

    Args:
        members: identifiers by part.
        of: what each identifier belongs to, such as its image where the identifiers are regions,
            or its person; then parts must not share one of those. None compares the identifiers.
        what: the name of it, for the message.

    Raises:
        InputError: if two parts share an image, or one part names an identifier twice.
    """
    part_of: dict[Hashable, str] = {}
    for part, identifiers in members.items():
        seen: set[Identifier] = set()
        for identifier in identifiers:
            if identifier in seen:
                raise InputError(
                    f"{identifier!r} is in {part!r} twice; expected every identifier once. "
                    "Remove one of them."
                )
            seen.add(identifier)
            thing = identifier if of is None else of[identifier]
            if part_of.setdefault(thing, part) != part:
                raise InputError(
                    f"{what} {thing!r} is in {part_of[thing]!r} and {part!r}; expected every "
                    f"{what} in one part, else the same {what} trains and tests. Remove it from "
                    "one of them."
                )


def positions_by(labels: Iterable[Label]) -> dict[Label, list[int]]:
    """Positions of each label, ascending; labels in order of first appearance.

    Example:
        >>> positions_by(["b", "a", "b"])
        {'b': [0, 2], 'a': [1]}
    """
    positions: dict[Label, list[int]] = {}
    for position, label in enumerate(labels):
        positions.setdefault(label, []).append(position)
    return positions


def check_lengths(what: str, first: Sequence[Any], second: Sequence[Any]) -> None:
    """Refuse two sequences that should go side by side and do not.

    Raises:
        InputError: if their lengths differ.
    """
    if len(first) != len(second):
        raise InputError(
            f"expected as many {what}, got {len(first)} and {len(second)}. "
            "Give one for each, in the same order."
        )


def check_seed(seed: int) -> None:
    """Refuse seeds that are not whole numbers from 0: Python draws the same for -1 as for 1.

    Raises:
        InputError: if the seed is negative or not an int.
    """
    if not isinstance(seed, int) or isinstance(seed, bool) or seed < 0:
        raise InputError(f"expected a seed of 0 or more, got {seed!r}. Choose another.")


def _checked(raw: dict[str, Any], path: Path) -> dict[str, Any]:
    """The fields of a file with their types as declared; members as tuples."""
    if raw.keys() != _FIELDS.keys():
        raise InputError(
            f"expected the fields {', '.join(_FIELDS)} in {path}, got {', '.join(raw) or 'none'}. "
            "Make the split again."
        )
    for name, wanted in _FIELDS.items():
        if not isinstance(raw[name], wanted) or isinstance(raw[name], bool):
            raise InputError(
                f"expected another type of {name} in {path}, got {_short(raw[name])}. "
                "Make the split again."
            )
    for part, identifiers in raw["members"].items():
        if not isinstance(identifiers, list) or not all(type(x) in (str, int) for x in identifiers):
            raise InputError(
                f"expected a list of names or numbers as members of {part!r} in {path}, got "
                f"{_short(identifiers)}. Make the split again."
            )
    members = {part: tuple(identifiers) for part, identifiers in raw["members"].items()}
    return {**raw, "members": members}


def _short(value: Any) -> str:
    return "none" if value is None else repr(value)[:80]
