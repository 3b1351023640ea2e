"""A dictionary against words of known type.

What is asked decides which words count. Plainly, all of the reference do, and one without a type is
not right. Forced, typing alone is measured: a word that abstained counts as the type it is nearest
to, and words that the build never read are left out.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datamodules.dictionary.edits.join import DROPPED
from datamodules.dictionary.records import Unassigned
from datamodules.dictionary.schema import Dictionary
from datamodules.dictionary.scoring.reference import Reference
from datamodules.dictionary.scoring.scores import (
    adjusted_rand,
    noise_as_singletons,
    normalized_information,
    typing_scores,
)
from datamodules.dictionary.words.phrase import merge_key, parse
from datamodules.errors import InputError
from datamodules.normalize import normalize


def reference_scores(
    dictionary: Dictionary,
    reference: Reference | Mapping[str, str],
    *,
    forced: bool = False,
    without_seeds: bool = False,
) -> dict[str, Any]:
    """Compare a dictionary with known types that were not used to build it.

    Values absent from the reference are listed as `extra`: they may be distractors.

    Args:
        dictionary: the dictionary.
        reference: the known types, or plainly word -> type; the names of types need not match the
            dictionary's except for accuracy, precision and recall.
        forced: whether a word that abstained counts as the type it is nearest to; one without a
            vector, or that a person has dropped, stays without. Words that the dictionary does not
            hold at all are left out.
        without_seeds: whether words that stand for a type in the build, its seeds and names, are
            left out: they are told, not found.

    Returns:
        What `typing_scores` returns, and hdbscan_ari and hdbscan_nmi (the same words under HDBSCAN
        alone), extra, missing (words without a type), several (left out: several known types),
        wrong (each a word, the types found and known, and its count in the dictionary; most
        frequent first), forced, seeds_left_out (how many) and unread (left out of forced scores:
        the dictionary does not hold them).

    Raises:
        InputError: if no word is left to score, or the dictionary holds none of them.
    """
    if not isinstance(reference, Reference):
        reference = Reference(reference)
    asked = {normalize(word): kind for word, kind in reference.types.items()}
    if not asked:
        raise InputError("expected a reference of word -> type, got no word.")
    seeds = _seeds(dictionary) if without_seeds else frozenset()
    loose = {_key(each.text): each for each in dictionary.unassigned}
    table = {word: kind for word, kind in asked.items() if _key(word) not in seeds}
    left_out = len(asked) - len(table)
    unread = [w for w in table if dictionary.find(w) is None and _key(w) not in loose]
    if len(unread) == len(table):
        raise InputError(
            f"expected a word of the reference to score, got none of {len(asked):,}: left out are "
            f"{left_out:,} for standing for a type and {len(unread):,} for not being in the "
            "dictionary. Give a reference with other words."
        )
    if forced:
        for word in unread:
            del table[word]
    found = {word: _found(dictionary, loose if forced else {}, word) for word in table}
    names = {word: name for word, (name, _) in found.items() if name}
    kinds = list(table.values())
    alone = noise_as_singletons([dictionary.labels_.get(word, -1) for word in table])
    counts = [reference.counts.get(word, 0) for word in table] if reference.counts else None
    return {
        **typing_scores(kinds, [names.get(word) for word in table], counts=counts),
        "hdbscan_ari": round(adjusted_rand(kinds, alone), 4),
        "hdbscan_nmi": round(normalized_information(kinds, alone), 4),
        "extra": _extra(dictionary, {*asked, *reference.several, *reference.ignored}),
        "missing": sorted(word for word in table if word not in names),
        "several": list(reference.several),
        "wrong": _wrong(found, table),
        "forced": forced,
        "seeds_left_out": left_out,
        "unread": sorted(unread) if forced else [],
    }


def _found(dictionary: Dictionary, loose: Mapping[str, Unassigned], word: str) -> tuple[str, int]:
    """The type given to a word, or the one that it is nearest to, "" for none; and its count."""
    if hit := dictionary.find(word):
        return hit[0].name, hit[1].count
    near = loose.get(_key(word))
    return ("", 0) if near is None or near.reason == DROPPED else (near.nearest, near.count)


def _wrong(
    found: Mapping[str, tuple[str, int]], known: Mapping[str, str]
) -> list[dict[str, str | int]]:
    rows = [
        (-count, word, name)
        for word, (name, count) in found.items()
        if name and name != known[word]
    ]
    return [
        {"word": word, "found": name, "known": known[word], "count": -less}
        for less, word, name in sorted(rows)
    ]


def _seeds(dictionary: Dictionary) -> frozenset[str]:
    """Every spelling of the words that stand for a type: as the types list them, or as was found.

    The types of a build with seed words do not list their further names, but these were typed as
    seeds.
    """
    listed = [word for kind in dictionary.types for word in (kind.name, *kind.seeds)]
    told = [
        form
        for attribute in dictionary.attributes
        for value in attribute.values
        if value.evidence == "seed"
        for form in (value.text, *value.forms)
    ]
    return frozenset(map(_key, (*listed, *told)))


def _extra(dictionary: Dictionary, known: set[str]) -> list[str]:
    """Values of which the reference says nothing."""
    known = set(map(normalize, known))
    return sorted(
        value.text
        for attribute in dictionary.attributes
        for value in attribute.values
        if not known & {normalize(form) for form in (value.text, *value.forms)}
    )


def _key(word: str) -> str:
    """What all spellings of a word share in a build: of words that are no values, one is kept."""
    phrase = parse(word)
    return normalize(word) if phrase is None or phrase.negated else merge_key(phrase.text)
