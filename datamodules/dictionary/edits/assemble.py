"""A dictionary put together again from its changed words: order, groups, kinds, selection."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace

from datamodules.dictionary.edits.finder import Key
from datamodules.dictionary.edits.groups import regrouped, renamed
from datamodules.dictionary.edits.join import DROPPED
from datamodules.dictionary.edits.names import Names
from datamodules.dictionary.edits.record import Edits
from datamodules.dictionary.lookup import Lookup, word_key
from datamodules.dictionary.merit import judged
from datamodules.dictionary.records import (
    AnchorType,
    Attribute,
    Proposal,
    ReadFrom,
    Unassigned,
    Value,
)
from datamodules.dictionary.schema import Dictionary


@dataclass
class Words:
    """The words while they are being changed.

    Attributes:
        values: by attribute and id as they were -> the attribute they are in, and the value.
        loose: the unassigned words.
    """

    values: dict[Key, tuple[str, Value]]
    loose: dict[Key, Unassigned]


def assembled(dictionary: Dictionary, edits: Edits, names: Names, words: Words) -> Dictionary:
    """The dictionary of the changed words.

    Args:
        dictionary: as it was.
        edits: what was changed, for its kinds and its hash.
        names: what is renamed and selected.
        words: the values and unassigned words now.
    """
    kinds = _kinds(dictionary.types, edits)
    edited = replace(
        dictionary,
        attributes=_attributes(dictionary, kinds, names, words),
        unassigned=tuple(
            sorted(
                (
                    replace(each, nearest=names.attribute(each.nearest))
                    for each in words.loose.values()
                ),
                key=lambda each: (-each.count, each.text),
            )
        ),
        edits_hash=edits.hash,
    )
    lookup = Lookup(edited)
    new = {word_key(kind.name) for kind in edits.types}
    return replace(
        edited,
        types=tuple(
            replace(
                kind,
                name=names.attribute(kind.name),
                found=_found(kind, lookup) if word_key(kind.name) in new else kind.found,
            )
            for kind in kinds
        ),
        proposals=tuple(each for each in dictionary.proposals if _open(each, lookup)),
    )


def _kinds(known: tuple[AnchorType, ...], edits: Edits) -> list[AnchorType]:
    """The kinds that were looked for, with the seeds that a person gave them, then the new ones."""
    given = {word_key(kind.name): kind for kind in edits.types}
    kinds = []
    for kind in known:
        own = given.pop(word_key(kind.name), kind)
        kinds.append(replace(kind, seeds=own.seeds, selected=own.selected))
    return [*kinds, *given.values()]


def _found(kind: AnchorType, lookup: Lookup) -> tuple[str, ...]:
    return tuple(seed for seed in kind.seeds if lookup.find(seed) or lookup.unassigned(seed))


def _attributes(
    dictionary: Dictionary, kinds: list[AnchorType], names: Names, words: Words
) -> tuple[Attribute, ...]:
    """The attributes that have values, in the order of the kinds."""
    before = {attribute.name: attribute for attribute in dictionary.attributes}
    for kind in kinds:
        before.setdefault(kind.name, Attribute(kind.name, (), selected=kind.selected))
    of: dict[str, list[Value]] = {name: [] for name in before}
    for name, value in words.values.values():
        of[name].append(value)
    place = {kind.name: number for number, kind in enumerate(kinds)}
    order = sorted(before, key=lambda name: place.get(name, len(place)))
    typing = "captions" if dictionary.read_from == "captions" else "likeness"
    margin = dictionary.settings.get(typing, {}).get("min_margin")
    return tuple(
        _attribute(before[name], of[name], names, margin, dictionary.read_from)
        for name in order
        if of[name]
    )


def _attribute(
    before: Attribute,
    values: list[Value],
    names: Names,
    margin: float | None,
    read_from: ReadFrom,
) -> Attribute:
    name = names.attribute(before.name)
    values = sorted(values, key=lambda value: (-value.count, value.text))
    labels = {
        group: label for (where, group), label in names.groups.items() if where == before.name
    }
    groups = regrouped(before, values, name, labels)
    known = {group.id for group in groups}
    values = [_renamed(value, before.name, name, names.attributes, known) for value in values]
    chosen = before.selected and (len(values) > 1 or len(before.values) == 1)
    if names.select is not None:
        chosen = before.name in names.select
    after = replace(
        before,
        name=name,
        values=tuple(values),
        groups=groups,
        selected=chosen,
    )
    return after if after == before else _judged(after, before, margin, read_from)


def _judged(
    after: Attribute, before: Attribute, margin: float | None, read_from: ReadFrom
) -> Attribute:
    """With the merit that follows from the old one; with none where other words came or left."""
    old = before.merit
    if old is None or margin is None or _words(before.values) != _words(after.values):
        return replace(after, merit=None)
    separable = {}
    if old.separability is not None and {*before.texts} == {*after.texts}:
        separable[after.name] = old.separability
    (found,) = judged(
        [after],
        {after.name: old.coverage},
        min_margin=margin,
        read_from=read_from,
        separability=separable,
    )
    return found


def _words(values: Iterable[Value]) -> set[str]:
    return {word_key(form) for value in values for form in (value.forms or (value.text,))}


def _renamed(value: Value, old: str, new: str, names: Mapping[str, str], groups: set[str]) -> Value:
    group = renamed(value.group, old, new)
    return replace(
        value,
        group=group if group in groups else "",
        second=names.get(value.second, value.second),
        also=tuple(names.get(name, name) for name in value.also),
    )


def _open(proposal: Proposal, lookup: Lookup) -> bool:
    """Whether a proposed merge is still one: two words, and neither of them dropped."""
    hits = [lookup.find(word) for word in proposal.words]
    ids = [{value.id for _, value in hit} for hit in hits]
    together = bool(ids[0]) and all(each == ids[0] for each in ids)
    gone = any(
        not lookup.find(word) and (loose := lookup.unassigned(word)) and loose.reason == DROPPED
        for word in proposal.words
    )
    return not together and not gone
