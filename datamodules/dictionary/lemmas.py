"""Lemmas as proposals: spaCy's rule lemmatizer, with the captions' own vocabulary as its index.

No trained model and no lemma table is needed: the rules below are the regular English inflections,
and two words are proposed when some rule leads both to one form. A proposal is never applied,
because rules merge unlike words ("dried" is not "dry", "closed" is not "close").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations
from typing import TYPE_CHECKING

from datamodules.dictionary.evidence import Array
from datamodules.dictionary.records import Proposal
from datamodules.dictionary.vectors import unit_rows

if TYPE_CHECKING:
    from spacy.tokens import Token

_DOUBLED = "bdgmnprt"


def _ending(ending: str) -> list[list[str]]:
    """SpaCy rules (ending, replacement) for an ending that drops "e" and doubles consonants."""
    doubled = [[letter * 2 + ending, letter] for letter in _DOUBLED]
    return [[ending, ""], [ending, "e"], ["i" + ending, "y"], *doubled]


_RULES = {
    "noun": [["s", ""], ["es", ""], ["ies", "y"], ["ves", "f"], ["ves", "fe"], ["men", "man"]],
    "verb": [["s", ""], ["es", ""], ["ies", "y"], *_ending("ed"), *_ending("ing")],
    "adj": [*_ending("er"), *_ending("est"), *_ending("ish")],
}


def propose_merges(
    words: Sequence[str], counts: Sequence[int], vectors_WD: Array, shared_WW: Array | None
) -> tuple[Proposal, ...]:
    """Pairs of caption words that share a lemma, most frequent first.

    Args:
        words: the vocabulary, by falling count.
        counts: captions that mention each word.
        vectors_WD: word vectors, for the evidence.
        shared_WW: images that mention both words, for the evidence; None when images have one
            caption.
    """
    families: dict[str, set[int]] = {}
    for row, lemma in _rule_lemmas(words):
        families.setdefault(lemma, set()).add(row)
    shared_lemma: dict[tuple[int, int], str] = {}
    # Endings leave several candidates ("strip", "stripe"); the longest keeps most of the words.
    for lemma in sorted(families, key=lambda lemma: (len(lemma), lemma)):
        shared_lemma.update(dict.fromkeys(combinations(sorted(families[lemma]), 2), lemma))
    unit_WD = unit_rows(vectors_WD)
    return tuple(
        Proposal(
            words=(words[left], words[right]),
            counts=(counts[left], counts[right]),
            lemma=lemma,
            cosine=round(float(unit_WD[left] @ unit_WD[right]), 3),
            shared_images=None if shared_WW is None else int(shared_WW[left, right]),
        )
        for (left, right), lemma in sorted(shared_lemma.items())
    )


def _rule_lemmas(words: Sequence[str]) -> list[tuple[int, str]]:
    """(row, lemma) for each single word under each part of speech, itself included."""
    import spacy
    from spacy.lookups import Lookups
    from spacy.tokens import Doc

    singles = {word: row for row, word in enumerate(words) if " " not in word}
    lookups = Lookups()
    lookups.add_table("lemma_rules", _RULES)
    lookups.add_table("lemma_index", dict.fromkeys(_RULES, frozenset(singles)))
    lookups.add_table("lemma_exc", {part: {} for part in _RULES})
    pipeline = spacy.blank("en")
    lemmatizer = pipeline.add_pipe("lemmatizer", config={"mode": "rule"})
    lemmatizer.initialize(lookups=lookups)  # type: ignore[attr-defined]
    rules: Callable[[Token], list[str]] = lemmatizer.rule_lemmatize  # type: ignore[attr-defined]
    found = [(row, word) for word, row in singles.items()]
    for part in _RULES:
        document = Doc(pipeline.vocab, words=list(singles), pos=[part.upper()] * len(singles))
        # One or two letters are what is left of a word that merely ends like an inflection.
        found += [
            (singles[token.text], lemma)
            for token in document
            for lemma in rules(token)
            if len(lemma) > 2
        ]
    return found
