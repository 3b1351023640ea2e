"""Groups of an attribute after its values have changed."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace

from datamodules.dictionary.records import Attribute, Group, Value


def regrouped(
    before: Attribute, values: Sequence[Value], name: str, labels: Mapping[str, str]
) -> tuple[Group, ...]:
    """The groups that still have a member, under the same ids.

    A group whose medoid has left takes its most frequent member in its place. Where an attribute
    has a new name, the ids follow it and the old ones become aliases.

    Args:
        before: the attribute as it was.
        values: its values now, by falling count, with the ids of the groups as they were.
        name: what it is called now.
        labels: id of a group, as it was -> the label a person gave it.

    Returns:
        The groups by falling count.
    """
    words = {value.id: value.text for value in before.values}
    found = []
    for group in before.groups:
        members = [value for value in values if value.group == group.id]
        if not members:
            continue
        middle = next((value for value in members if value.id == group.medoid), members[0])
        label = labels.get(group.id, group.label)
        # The label follows the medoid's word unless it is another one.
        if label == words.get(group.medoid):
            label = middle.text
        new = renamed(group.id, before.name, name)
        aliases = group.aliases if new == group.id else (group.id, *group.aliases)
        count = sum(value.count for value in members)
        found.append(
            (
                count,
                replace(
                    group,
                    id=new,
                    label=label,
                    medoid=middle.id,
                    aliases=tuple(dict.fromkeys(each for each in aliases if each != new)),
                ),
            )
        )
    return tuple(group for _, group in sorted(found, key=lambda item: (-item[0], item[1].id)))


def renamed(group: str, old: str, new: str) -> str:
    """The id of a group of an attribute that has got another name."""
    return f"{new}/{group.removeprefix(f'{old}/')}" if group.startswith(f"{old}/") else group
