"""Ids of groups that survive a rebuild: what an earlier build called them becomes an alias."""

from __future__ import annotations

from dataclasses import replace

from datamodules.dictionary.records import Attribute, Group
from datamodules.dictionary.schema import Dictionary


def carry_aliases(old: Dictionary, new: Dictionary) -> Dictionary:
    """The new dictionary, whose groups know the ids that the old one gave them.

    An old id that no group has any more goes to the new group of that attribute that shares most
    members with it; of several, to the one with the fewest other members, then to the first id.
    The aliases of the old group go with it.

    Args:
        old: the dictionary before.
        new: the dictionary of the same source, built anew.
    """
    taken = {group.id for attribute in new.attributes for group in attribute.groups}
    earlier: dict[str, list[str]] = {}
    same = counterparts(old, new)
    for attribute in new.attributes:
        before = same.get(attribute.name)
        if before is None:
            continue
        now, then = _members(attribute), _members(before)
        for group in before.groups:
            ids = [each for each in (group.id, *group.aliases) if each not in taken]
            heir = group.id if group.id in now else _heir(then[group.id], now)
            if heir and ids:
                earlier.setdefault(heir, []).extend(ids)
                taken.update(ids)
    if not earlier:
        return new
    return replace(
        new,
        attributes=tuple(
            replace(
                attribute,
                groups=tuple(
                    _known_as(group, earlier.get(group.id, [])) for group in attribute.groups
                ),
            )
            for attribute in new.attributes
        ),
    )


def _known_as(group: Group, ids: list[str]) -> Group:
    return replace(group, aliases=tuple(dict.fromkeys((*group.aliases, *ids))))


def counterparts(old: Dictionary, new: Dictionary) -> dict[str, Attribute]:
    """Attribute of the new dictionary -> what it was in the old one.

    That is the one of the same name; for a name that is new, one whose name is gone and that has
    half of its values there or more.
    """
    found = {each.name: each for each in old.attributes}
    kept = {each.name for each in new.attributes}
    gone = [each for each in old.attributes if each.name not in kept]
    same = {}
    for attribute in new.attributes:
        before = found.get(attribute.name)
        if before is None:
            ids = {value.id for value in attribute.values}
            shares = [_share(each, ids) for each in gone]
            best = max(shares, default=0.0)
            before = gone.pop(shares.index(best)) if best >= 0.5 else None
        if before is not None:
            same[attribute.name] = before
    return same


def _share(attribute: Attribute, ids: set[str]) -> float:
    return sum(value.id in ids for value in attribute.values) / max(1, len(attribute.values))


def _members(attribute: Attribute) -> dict[str, set[str]]:
    """Ids of the values of each group."""
    found: dict[str, set[str]] = {group.id: set() for group in attribute.groups}
    for value in attribute.values:
        if value.group in found:
            found[value.group].add(value.id)
    return found


def _heir(members: set[str], groups: dict[str, set[str]]) -> str:
    """The group that shares most members; "" if none shares any."""
    shared = {name: len(members & each) for name, each in groups.items()}
    best = min(shared, key=lambda name: (-shared[name], len(groups[name]), name), default="")
    return best if shared.get(best) else ""
