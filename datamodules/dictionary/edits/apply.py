"""Edits applied: a dictionary in, another one out, or an error and nothing changed."""

from __future__ import annotations

from dataclasses import replace

from datamodules.dictionary.edits.assemble import Words, assembled
from datamodules.dictionary.edits.finder import Finder, Key, key_of, loose_by_key
from datamodules.dictionary.edits.join import DROPPED, dropped, from_unassigned, joined, moved
from datamodules.dictionary.edits.plan import Plan, make_plan
from datamodules.dictionary.edits.record import Edits
from datamodules.dictionary.edits.split import split_values
from datamodules.dictionary.lookup import Lookup, word_key
from datamodules.dictionary.schema import Dictionary
from datamodules.errors import InputError


def apply_edits(dictionary: Dictionary, edits: Edits) -> Dictionary:
    """A dictionary as a person wants it. Applying the same edits again changes nothing.

    Counts, spellings, splits and objects of merged values add up. Moved values have the evidence
    "edit" and the status "reviewed". An attribute that got or lost a word has no merit, since how
    much of the data it covers is not known. Types that the data set states are never overruled.

    Args:
        dictionary: as it was built, or with edits applied before.
        edits: what to change.

    Raises:
        InputError: if an entry matches nothing or cannot hold; the message lists all of these, with
            near spellings, and nothing is applied.
    """
    if edits.hash in ("", dictionary.edits_hash):
        return dictionary
    finder = Finder(dictionary, edits)
    apart = split_values(dictionary, edits, finder)
    if apart is not dictionary:
        finder = Finder(apart, edits, finder.problems)
    plan = make_plan(apart, edits, finder)
    problems = list(dict.fromkeys(finder.problems))
    if not problems:
        edited = assembled(apart, edits, plan.names, _carried_out(apart, plan))
        problems = _clashes(edited, edits, plan)
    if problems:
        raise InputError(
            f"expected edits that fit the {dictionary.source} dictionary, got {len(problems)} that "
            f"do not, so none was applied. {'. '.join(problems)}."
        )
    return edited


def _carried_out(dictionary: Dictionary, plan: Plan) -> Words:
    words = Words(
        values={
            (attribute.name, value.id): (attribute.name, value)
            for attribute in dictionary.attributes
            for value in attribute.values
        },
        loose=loose_by_key(dictionary),
    )
    for key in {**plan.move, **plan.into}:
        if key in words.loose:
            words.values[key] = ("", from_unassigned(words.loose.pop(key)))
    for key, name in plan.move.items():
        where, value = words.values[key]
        words.values[key] = (name, moved(value, where, name))
    _merge(words, plan)
    for key in map(plan.end, plan.keep):
        name, value = words.values[key]
        if value.status != "given":
            words.values[key] = (name, replace(value, status="reviewed"))
    for key in plan.drop:
        _drop(words, key)
    for key, text in plan.names.values.items():
        name, value = words.values[plan.end(key)]
        words.values[plan.end(key)] = (name, replace(value, text=text))
    return words


def _merge(words: Words, plan: Plan) -> None:
    families: dict[Key, list[Key]] = {}
    for key in plan.into:
        families.setdefault(plan.end(key), []).append(key)
    for end, keys in families.items():
        name, first = words.values[end]
        others = [words.values.pop(key) for key in keys]
        # The group of another attribute would mean nothing here.
        parts = [each if where == name else replace(each, group="") for where, each in others]
        parts.sort(key=lambda value: (-value.count, value.text))
        words.values[end] = (name, joined([first, *parts]))
    for key, text in plan.texts.items():
        if key in words.values:
            name, value = words.values[key]
            words.values[key] = (name, replace(value, text=text))


def _drop(words: Words, key: Key) -> None:
    if key in words.loose:
        words.loose[key] = replace(words.loose[key], reason=DROPPED)
        return
    name, value = words.values.pop(key)
    loose = dropped(value, name)
    # The word may have been dropped from another attribute too.
    before = words.loose.get(key_of(loose))
    count = loose.count + (before.count if before else 0)
    words.loose[key_of(loose)] = replace(loose, count=count)


def _clashes(edited: Dictionary, edits: Edits, plan: Plan) -> list[str]:
    """Renamed values that are called as another value of their attribute is."""
    found: list[str] = []
    if not plan.names.values:
        return found
    lookup = Lookup(edited)
    for text in plan.names.values.values():
        for attribute in edited.attributes:
            ids = {value.id for _, value in lookup.within(attribute.name, [word_key(text)])}
            if len(ids) > 1:
                entry = next(word for word, name in edits.rename.items() if name == text)
                found.append(
                    f"{edits.place('rename', entry)}: {attribute.name!r} has a value {text!r} "
                    "already: merge them instead"
                )
    return found
