"""Merges to propose: words of one base form, and words that look like slips of the pen.

Base forms come from spaCy's rule lemmatizer, with the vocabulary's own words as its index. No
trained model and no lemma table is needed: the rules below are the regular English inflections, and
two phrases are proposed when some rule leads their last words to one form. A proposal is never
applied, because rules merge unlike words ("dried" is not "dry", "closed" is not "close").
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from itertools import combinations, permutations
from typing import TYPE_CHECKING

from datamodules.dictionary.records import Proposal
from datamodules.dictionary.words.evidence import Array
from datamodules.dictionary.words.vectors import unit_rows

if TYPE_CHECKING:
    from spacy.tokens import Token

_DOUBLED = "bdgmnprt"
_LEAST_LETTERS, _TIMES = 5, 20


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
    unit_WD = unit_rows(vectors_WD)
    return tuple(
        Proposal(
            words=(words[left], words[right]),
            counts=(counts[left], counts[right]),
            lemma=lemma,
            cosine=round(float(unit_WD[left] @ unit_WD[right]), 3),
            shared_images=None if shared_WW is None else int(shared_WW[left, right]),
        )
        for (left, right), lemma in lemma_pairs(words).items()
    )


def lemma_pairs(phrases: Sequence[str]) -> dict[tuple[int, int], str]:
    """Pairs of phrases that a rule leads to one base form of the last word, with that form.

    "striped" and "stripes" share "stripe", "wearing glasses" and "wearing glass" share "wearing
    glass".

    Args:
        phrases: different phrases, their words between single blanks.

    Returns:
        The numbers of the two phrases, the lower one first, ascending.
    """
    ends = [phrase.rpartition(" ") for phrase in phrases]
    lemmas_of = _rule_lemmas(list(dict.fromkeys(last for *_, last in ends)))
    families: dict[str, list[int]] = {}
    for number, (before, blank, last) in enumerate(ends):
        for lemma in lemmas_of[last]:
            families.setdefault(f"{before}{blank}{lemma}", []).append(number)
    shared: dict[tuple[int, int], str] = {}
    # Endings leave several candidates ("strip", "stripe"); the longest keeps most of the words.
    for lemma in sorted(families, key=lambda lemma: (len(lemma), lemma)):
        shared.update(dict.fromkeys(combinations(families[lemma], 2), lemma))
    return dict(sorted(shared.items()))


def slip_pairs(phrases: Sequence[str], counts: Sequence[int]) -> list[tuple[int, int]]:
    """Pairs of phrases of which the second may be the first with a slip: "yelow" for "yellow".

    A slip is one letter too many, too few or wrong, or two letters in the wrong order, in a phrase
    of five letters or more, after its first letter, which is seldom wrong. What is meant is at
    least twenty times as frequent. Phrases with digits have no slips.

    Args:
        phrases: different phrases.
        counts: how often each is mentioned.

    Returns:
        The numbers of the two, the more frequent one first; by the number of the first.
    """
    near: dict[str, list[int]] = {}
    for number, phrase in enumerate(phrases):
        if len(phrase) >= _LEAST_LETTERS and not any(map(str.isdigit, phrase)):
            for rest in {phrase[:at] + phrase[at + 1 :] for at in range(1, len(phrase))} | {phrase}:
                near.setdefault(rest, []).append(number)
    found = {
        (left, right)
        for numbers in near.values()
        for left, right in permutations(numbers, 2)
        if counts[left] >= _TIMES * counts[right] and _one_slip(phrases[left], phrases[right])
    }
    return sorted(found)


def _one_slip(left: str, right: str) -> bool:
    """Whether one letter more, less or other, or two letters swapped, lead from one to the other.

    Given that the two are different, and equal after at most one letter of each is taken away.
    """
    if len(left) != len(right):
        return True
    wrong = [at for at, (one, other) in enumerate(zip(left, right, strict=True)) if one != other]
    if len(wrong) == 1:
        return True
    first, last = wrong[0], wrong[-1]
    swapped = left[last] + left[first] == right[first] + right[last]
    return len(wrong) == 2 and last == first + 1 and swapped


def _rule_lemmas(words: Sequence[str]) -> dict[str, list[str]]:
    """The base forms of each word under each part of speech, itself first, each once."""
    import spacy
    from spacy.lookups import Lookups
    from spacy.tokens import Doc

    lookups = Lookups()
    lookups.add_table("lemma_rules", _RULES)
    lookups.add_table("lemma_index", dict.fromkeys(_RULES, frozenset(words)))
    lookups.add_table("lemma_exc", {part: {} for part in _RULES})
    pipeline = spacy.blank("en")
    lemmatizer = pipeline.add_pipe("lemmatizer", config={"mode": "rule"})
    lemmatizer.initialize(lookups=lookups)  # type: ignore[attr-defined]
    rules: Callable[[Token], list[str]] = lemmatizer.rule_lemmatize  # type: ignore[attr-defined]
    found = {word: {word: None} for word in words}
    for part in _RULES:
        document = Doc(pipeline.vocab, words=list(words), pos=[part.upper()] * len(words))
        for token in document:
            # One or two letters are what is left of a word that merely ends like an inflection.
            found[token.text].update((lemma, None) for lemma in rules(token) if len(lemma) > 2)
    return {word: list(lemmas) for word, lemmas in found.items()}
