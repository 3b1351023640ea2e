"""What of a dictionary is worth showing: groups that tell values apart, counts that differ."""

from __future__ import annotations

from collections import Counter

from datamodules.dictionary.records import Attribute, Group
from datamodules.dictionary.schema import Dictionary

FEW = 12  # values: a group of so few may well hold most of a small attribute


def catch_all(attribute: Attribute) -> Group | None:
    """The group of more than half of the values and more than 12: it tells nothing apart."""
    sizes = Counter(value.group for value in attribute.values)
    return next(
        (g for g in attribute.groups if sizes[g.id] > max(FEW, len(attribute.values) / 2)), None
    )


def shown_groups(attribute: Attribute) -> tuple[Group, ...]:
    """The groups that the page shows: all but a catch-all, whose values it shows as not grouped."""
    hidden = catch_all(attribute)
    return tuple(group for group in attribute.groups if group is not hidden)


def is_counted(dictionary: Dictionary) -> bool:
    """Whether any word was met more than once; each word of a plain list is met once."""
    values = (value.count for each in dictionary.attributes for value in each.values)
    return max((*values, *(word.count for word in dictionary.unassigned)), default=0) > 1
