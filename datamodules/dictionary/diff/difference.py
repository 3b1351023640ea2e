"""What differs between two dictionaries, for people and for programs.

Values are the same if their ids are: these depend on the normalized word alone, so a rebuild keeps
them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from datamodules.dictionary.aliases import counterparts
from datamodules.dictionary.diff.values import (
    Merged,
    Moved,
    Recounted,
    Renamed,
    Split,
    Word,
    compare,
)
from datamodules.dictionary.schema import Dictionary

_LINES = 12  # entries of one kind that people are shown


class Changed(NamedTuple):
    """A setting, version or hash before and after; None where it is not there."""

    name: str
    old: Any
    new: Any


@dataclass(frozen=True)
class Diff:
    """From an old dictionary to a new one; what is equal is left out.

    Attributes:
        attributes_added: attributes that are new.
        attributes_removed: attributes that are gone.
        attributes_renamed: attributes that have another name and mostly the same values.
        values_added: words that are values now, and what they were before.
        values_removed: words that are none any more, and what they are now.
        values_moved: values of another attribute than before.
        values_merged: values that became one.
        values_split: values that became several.
        values_renamed: values that are displayed as another word.
        counts: values whose count changed, the largest change first.
        groups_renamed: groups that have another id.
        selected: attributes that are selected now and were not.
        deselected: attributes that are not selected now and were.
        settings: settings, versions, embedder, hashes of data and edits that differ.
    """

    attributes_added: tuple[str, ...] = ()
    attributes_removed: tuple[str, ...] = ()
    attributes_renamed: tuple[Renamed, ...] = ()
    values_added: tuple[Word, ...] = ()
    values_removed: tuple[Word, ...] = ()
    values_moved: tuple[Moved, ...] = ()
    values_merged: tuple[Merged, ...] = ()
    values_split: tuple[Split, ...] = ()
    values_renamed: tuple[Renamed, ...] = ()
    counts: tuple[Recounted, ...] = ()
    groups_renamed: tuple[Renamed, ...] = ()
    selected: tuple[str, ...] = ()
    deselected: tuple[str, ...] = ()
    settings: tuple[Changed, ...] = ()

    def __bool__(self) -> bool:
        return any(getattr(self, each.name) for each in fields(self))

    def lines(self) -> list[str]:
        """Sentences for people: each kind of change with its number and its first entries."""
        found = []
        for each in fields(self):
            entries = getattr(self, each.name)
            if entries:
                found.append(f"{each.name.replace('_', ' ')}: {len(entries)}")
                found += [f"  {_sentence(entry)}" for entry in entries[:_LINES]]
                if len(entries) > _LINES:
                    found.append(f"  ... and {len(entries) - _LINES} more")
        return found or ["no difference"]

    def as_json(self) -> dict[str, Any]:
        """Every change as plain lists and dicts, by the names of the attributes above."""
        return {
            name: [each._asdict() if hasattr(each, "_asdict") else each for each in entries]
            for name, entries in ((each.name, getattr(self, each.name)) for each in fields(self))
        }


def diff(a: Dictionary, b: Dictionary) -> Diff:
    """What changes from one dictionary to the other.

    Args:
        a: the old one.
        b: the new one.
    """
    old = {before.name: name for name, before in counterparts(a, b).items()}
    a = _called(a, old)
    names_a = [attribute.name for attribute in a.attributes]
    names_b = [attribute.name for attribute in b.attributes]
    values = compare(a, b)
    return Diff(
        attributes_added=tuple(name for name in names_b if name not in names_a),
        attributes_removed=tuple(name for name in names_a if name not in names_b),
        attributes_renamed=tuple(Renamed(*pair) for pair in old.items() if pair[0] != pair[1]),
        values_added=values.added,
        values_removed=values.removed,
        values_moved=values.moved,
        values_merged=values.merged,
        values_split=values.split,
        values_renamed=values.renamed,
        counts=values.counts,
        groups_renamed=_renamed(a, b),
        selected=tuple(name for name in b.names if name not in a.names),
        deselected=tuple(name for name in a.names if name not in b.names),
        settings=_settings(a, b),
    )


def _called(dictionary: Dictionary, names: Mapping[str, str]) -> Dictionary:
    """A dictionary whose attributes are called otherwise."""
    return replace(
        dictionary,
        attributes=tuple(
            replace(each, name=names.get(each.name, each.name)) for each in dictionary.attributes
        ),
        types=tuple(
            replace(each, name=names.get(each.name, each.name)) for each in dictionary.types
        ),
    )


def _renamed(a: Dictionary, b: Dictionary) -> tuple[Renamed, ...]:
    known = {group.id for attribute in a.attributes for group in attribute.groups}
    kept = {group.id for attribute in b.attributes for group in attribute.groups}
    return tuple(
        Renamed(old, group.id)
        for attribute in b.attributes
        for group in attribute.groups
        for old in group.aliases
        if old in known and old not in kept
    )


def _settings(a: Dictionary, b: Dictionary) -> tuple[Changed, ...]:
    before, after = _all_settings(a), _all_settings(b)
    return tuple(
        Changed(name, before.get(name), after.get(name))
        for name in sorted(before.keys() | after.keys())
        if before.get(name) != after.get(name)
    )


def _all_settings(dictionary: Dictionary) -> Mapping[str, Any]:
    names = ("source", "data_hash", "embedder", "embedder_hash", "edits_hash", "schema")
    return {
        **{name: getattr(dictionary, name) for name in names},
        **_leaves("settings", dictionary.settings),
        **{f"versions.{name}": value for name, value in dictionary.versions.items()},
        **{f"types.{kind.name}": list(kind.seeds) for kind in dictionary.types},
    }


def _leaves(name: str, tree: Any) -> dict[str, Any]:
    """What nested mappings hold, by dotted names."""
    if not isinstance(tree, Mapping):
        return {name: tree}
    found = [_leaves(f"{name}.{key}", value) for key, value in tree.items()]
    return {path: value for part in found for path, value in part.items()}


def _sentence(entry: Any) -> str:
    if isinstance(entry, Word):
        return f"{entry.name} ({entry.shown:,}){f', {entry.other}' if entry.other else ''}"
    if isinstance(entry, Moved):
        return f"{entry.word} ({entry.shown:,}): {entry.old} -> {entry.new}"
    if isinstance(entry, Recounted | Changed):
        return f"{entry.name}: {_short(entry.old)} -> {_short(entry.new)}"
    if isinstance(entry, Merged | Split | Renamed):
        return f"{_short(entry.old)} -> {_short(entry.new)}"
    return str(entry)


def _short(value: Any) -> str:
    if value is None or value == "":
        return "none"
    if isinstance(value, list | tuple):
        return ", ".join(map(str, value))
    if isinstance(value, int) and not isinstance(value, bool):
        return f"{value:,}"
    text = str(value)
    # Of a hash, as much as tells it from others.
    return text[:12] if len(text) == 64 else text
