"""Where does this word come from? Everything the dictionary knows of it, as sentences."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from datamodules.dictionary.edits.join import DROPPED
from datamodules.dictionary.lookup import Lookup, spellings, word_key
from datamodules.dictionary.records import Attribute, Unassigned, Value
from datamodules.dictionary.schema import Dictionary
from datamodules.errors import InputError


def explain(dictionary: Dictionary, word: str) -> list[str]:
    """Sentences on each value that a word stands for, or on why it is none.

    Args:
        dictionary: the dictionary.
        word: in any spelling; "attribute/value" asks for one of several values.

    Raises:
        InputError: if the dictionary does not know the word; the message names near spellings.
    """
    lookup = Lookup(dictionary)
    lines = [
        line
        for attribute, value in lookup.find(word)
        for line in (
            *_value(dictionary, attribute, value),
            *_proposals(dictionary, spellings(value)),
        )
    ]
    if not lines and (loose := lookup.unassigned(word)):
        lines = [*_loose(dictionary, loose), *_proposals(dictionary, (word_key(loose.text),))]
    if not lines:
        near = ", ".join(lookup.near(word)) or "none"
        raise InputError(
            f"expected a word of the {dictionary.source} dictionary, got {word!r}. Near spellings: "
            f"{near}.{_RARE if dictionary.read_from == 'captions' else ''}"
        )
    return lines


def _value(dictionary: Dictionary, attribute: Attribute, value: Value) -> Iterator[str]:
    denied = f", denied {_times(value.denied)}" if value.denied else ""
    seen = f"{_SEEN[dictionary.read_from]} {_times(value.count)}"
    yield f"{value.text!r} is a value of {attribute.name}, {seen}{denied}"
    yield f"  why: {_evidence(dictionary, attribute, value)}"
    if value.forms:
        forms = {form: value.forms[form] for form in value.spellings}
        yield f"  spellings: {_counted(forms)}"
    if value.denials:
        yield f"  denied as: {_counted(value.denials)}"
    if value.splits:
        yield f"  splits: {_counted(value.splits)}"
    if value.objects:
        yield f"  carried by: {_counted(value.objects)}"
    if value.group:
        yield f"  group: {_group(attribute, value)}"
    if value.also:
        yield f"  could also be a value of {' or '.join(value.also)}: its score is high enough"
    yield f"  status: {_STATUS[value.status]}"
    for text in value.examples:
        yield f"  example: {text}"


_SEEN = {"captions": "said", "annotations": "shown", "list": "listed"}
_RARE = " A rarer word is left out by the build's min_count."
_STATUS = {
    "given": "given by the data set",
    "auto": "found by the build, no person has looked at it",
    "reviewed": "reviewed by a person",
}


def _evidence(dictionary: Dictionary, attribute: Attribute, value: Value) -> str:
    seeds = next((kind.found for kind in dictionary.types if kind.name == attribute.name), ())
    some = ", ".join(seeds[:4]) + (", ..." if len(seeds) > 4 else "")
    lead = f", lead {value.margin:.2f} over {value.second}" if value.second else ""
    kind, _, rule = value.evidence.partition(":")
    sentences = {
        "given": "the data set says so",
        "edit": "a person says so" + (f"; before, it was {value.second}" if value.second else ""),
        "rule": f"by the spelling rule {rule!r}",
        "seed": f"it is a seed word of {attribute.name}",
        "anchor": f"near the seeds {some} (score {value.score:.2f}{lead})",
        "cluster": f"in an HDBSCAN cluster with words of {attribute.name}",
    }
    return sentences.get(kind, value.evidence)


def _group(attribute: Attribute, value: Value) -> str:
    members = [each.text for each in attribute.values if each.group == value.group]
    label = next((each.label for each in attribute.groups if each.id == value.group), value.group)
    more = ", ..." if len(members) > 8 else ""
    return f"{label} ({value.group}): {', '.join(members[:8])}{more}"


def _loose(dictionary: Dictionary, loose: Unassigned) -> Iterator[str]:
    yield f"{loose.text!r} is no value, {_SEEN[dictionary.read_from]} {_times(loose.count)}"
    near = (
        f"; nearest is {loose.nearest} (score {loose.score:.2f}, lead {loose.margin:.2f})"
        if loose.nearest and loose.reason != DROPPED
        else ""
    )
    yield f"  why: {loose.reason}{near}"
    if loose.lift is not None:
        yield f"  another caption of its image repeats it {loose.lift:.2f} times as often as chance"


def _proposals(dictionary: Dictionary, keys: tuple[str, ...]) -> Iterator[str]:
    for proposal in dictionary.proposals:
        words = proposal.words
        if any(word_key(word) in keys for word in words):
            why = (
                f"both are forms of {proposal.lemma!r}" if proposal.lemma else "they mean the same"
            )
            yield (
                f"  proposed merge: {' = '.join(words)} ({why}, cosine {proposal.cosine:.2f}); not "
                "applied"
            )


def _counted(counts: Mapping[str, int]) -> str:
    return ", ".join(f"{name} ({count:,})" for name, count in counts.items())


def _times(count: int) -> str:
    return "once" if count == 1 else f"{count:,} times"
