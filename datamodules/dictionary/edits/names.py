"""Edits of what is displayed and of which attributes are selected."""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass, field

from datamodules.dictionary.edits.finder import GROUP, Finder, Key
from datamodules.dictionary.edits.record import Edits
from datamodules.dictionary.lookup import word_key
from datamodules.dictionary.schema import Dictionary


@dataclass
class Names:
    """New display names, by what the dictionary calls things so far.

    Attributes:
        attributes: attribute -> its name.
        values: value -> its word.
        groups: attribute and id of a group -> its label.
        select: the attributes that are selected; None leaves that as it is.
    """

    attributes: dict[str, str] = field(default_factory=dict)
    values: dict[Key, str] = field(default_factory=dict)
    groups: dict[tuple[str, str], str] = field(default_factory=dict)
    select: frozenset[str] | None = None

    def attribute(self, name: str) -> str:
        """What an attribute is called from now on."""
        return self.attributes.get(name, name)


def plan_names(
    dictionary: Dictionary,
    edits: Edits,
    finder: Finder,
    *,
    gone: Mapping[Key, str],
    moved: Collection[Key],
) -> Names:
    """Find what is renamed and selected; what cannot be is added to the finder's problems.

    Args:
        dictionary: the dictionary.
        edits: the edits.
        finder: what their words mean.
        gone: values that are merged away or dropped, and which of these.
        moved: values and unassigned words that get an attribute.
    """
    names = Names()
    for entry, name in edits.rename.items():
        if entry.startswith(GROUP):
            _group(dictionary, finder, names, entry, name)
        elif attribute := finder.lookup.attribute(entry):
            _attribute(dictionary, edits, finder, names, (entry, attribute), name)
        elif not finder.hits(entry) and _groups(dictionary, entry):
            _group(dictionary, finder, names, entry, name)
        elif (key := finder.word("rename", entry, entry)) is not None:
            if how := gone.get(key) or ("no value" if not key[0] and key not in moved else ""):
                finder.problem("rename", entry, f"{entry!r} is {how}, so it has no display name")
            names.values[key] = name
    if edits.select:
        chosen = [finder.attribute("select", name, name) for name in edits.select]
        names.select = frozenset(name for name in chosen if name)
    return names


def _attribute(
    dictionary: Dictionary,
    edits: Edits,
    finder: Finder,
    names: Names,
    old: tuple[str, str],
    new: str,
) -> None:
    entry, name = old
    if name == new:
        return
    known = [each.name for each in dictionary.attributes]
    known += [each.name for each in (*dictionary.types, *edits.types)]
    taken = {word_key(each) for each in known if each != name} | {
        word_key(each) for old, each in names.attributes.items() if old != name
    }
    stated = any(
        value.evidence == "given"
        for attribute in dictionary.attributes
        if attribute.name == name
        for value in attribute.values
    )
    if stated:
        finder.problem(
            "rename",
            entry,
            f"the data set itself calls it {name!r}, and its labels are looked up by that: rename "
            "its values or groups only",
        )
    elif word_key(new) in taken:
        finder.problem(
            "rename", entry, f"there is another attribute {new!r}: move the words there instead"
        )
    names.attributes[name] = new


def _group(dictionary: Dictionary, finder: Finder, names: Names, entry: str, name: str) -> None:
    found = _groups(dictionary, entry.removeprefix(GROUP))
    if len(found) != 1:
        known = [group.id for attribute in dictionary.attributes for group in attribute.groups]
        some = ", ".join(known[:8]) + (", ..." if len(known) > 8 else "")
        what = "several groups have" if found else "no group has"
        finder.problem("rename", entry, f"{what} that id; ids are: {some or 'none'}")
    else:
        names.groups[found[0]] = name


def _groups(dictionary: Dictionary, text: str) -> list[tuple[str, str]]:
    """Attribute and id of the groups that are called so, or were by an earlier build."""
    groups = [
        (attribute.name, group) for attribute in dictionary.attributes for group in attribute.groups
    ]
    now = [(name, group.id) for name, group in groups if word_key(group.id) == word_key(text)]
    return now or [
        (name, group.id) for name, group in groups if word_key(text) in map(word_key, group.aliases)
    ]
