"""Phrases with their rows -> types.

    given by the data set  >  a seed word or name of a type  >  a lexical rule  >  likeness to seeds

The first of these that speaks decides.
Likeness is ridge regression on the seeds, then smoothed over each word's nearest words. Where types
have names only, they first adopt the words that are most clearly theirs as seeds.

Shape letters: W texts, D features, T types.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass

import numpy as np

from datamodules.dictionary.anchoring.anchors import Typed, decide, ridge_scores, smoothed
from datamodules.dictionary.anchoring.rules import Lexicon, rule_type
from datamodules.dictionary.settings import TypeSpec
from datamodules.dictionary.words.evidence import Array
from datamodules.errors import InputError

_ADOPTIONS = 2  # rounds in which types without seeds take words as seeds


@dataclass(frozen=True)
class TypingSettings:
    """How likeness to seeds becomes a type.

    Args:
        min_score: smallest score that gives a type: about 1 is like a seed, 0 like no seed.
        min_margin: smallest lead of the best type over the second.
        ridge: strength of the penalty of the regression, above 0.
        neighbors: how many nearest words a word's score is smoothed over.
        smoothing: share of the neighbors in a word's score, 0..1.
        adopted: words that a type without seeds takes as seeds, in each of two rounds.
        head: words that may be neighbors: the first, so the most frequent.
    """

    min_score: float = 0.25
    min_margin: float = 0.1
    ridge: float = 0.5
    neighbors: int = 8
    smoothing: float = 0.5
    adopted: int = 10
    head: int = 2000


def anchor_words(types: Sequence[TypeSpec]) -> tuple[str, ...]:
    """Every word that stands for a type or against it: embed these beside the vocabulary."""
    return tuple(dict.fromkeys(w for each in types for w in (*each.anchors, *each.negatives)))


def type_phrases(
    texts: Sequence[str],
    features_WD: Array,
    types: Sequence[TypeSpec],
    *,
    given: Mapping[str, str] | None = None,
    rules: Collection[str] | None = None,
    settings: TypingSettings | None = None,
) -> Typed:
    """Give each phrase a type, or none.

    Args:
        texts: normalized phrases, by falling count, then the `anchor_words` that are not among
            them: words of the types that are missing here cannot help.
        features_WD: unit rows, such as `embed.features` makes; rows of zeros are unknown texts.
        types: the kinds of attribute.
        given: text -> name of the type that the data set states.
        rules: names of the lexical rules to ask; None asks all.
        settings: None takes the defaults.

    Returns:
        The outcome, with the position in `types` as label.

    Raises:
        InputError: if a type is given that is not among `types`, a rule is unknown, or no word of
            any type is among the texts.
    """
    settings = settings or TypingSettings()
    position = {text: row for row, text in enumerate(texts)}
    seeds_T = [_rows(each.anchors, position) for each in types]
    negatives_T = [_rows(each.negatives, position) for each in types]
    settled = _settled(texts, types, given or {}, rules)
    if not any(seeds_T):
        raise InputError(
            f"expected a seed word of {', '.join(each.name for each in types)} among "
            f"{len(texts)} texts, got none. Embed `anchor_words` beside the vocabulary."
        )
    scores_WT = _scores(features_WD, seeds_T, negatives_T, settings)
    if nameless := [number for number, each in enumerate(types) if not each.seeds]:
        for round_ in range(_ADOPTIONS):
            count = (round_ + 1) * settings.adopted
            more_T = _adopted(scores_WT, settled, seeds_T, count)
            wider_T = [
                [*seeds, *more_T[number]] if number in nameless else list(seeds)
                for number, seeds in enumerate(seeds_T)
            ]
            scores_WT = _scores(features_WD, wider_T, negatives_T, settings)
    return decide(scores_WT, settled, min_score=settings.min_score, min_margin=settings.min_margin)


def _scores(
    features_WD: Array,
    seeds_T: Sequence[Sequence[int]],
    negatives_T: Sequence[Sequence[int]],
    settings: TypingSettings,
) -> Array:
    scores_WT = ridge_scores(features_WD, seeds_T, ridge=settings.ridge, negatives_T=negatives_T)
    return smoothed(
        scores_WT,
        features_WD,
        neighbors=settings.neighbors,
        share=settings.smoothing,
        head=settings.head,
    )


def _settled(
    texts: Sequence[str],
    types: Sequence[TypeSpec],
    given: Mapping[str, str],
    rules: Collection[str] | None,
) -> dict[int, tuple[int, str]]:
    """Row -> type and evidence of the texts that need no likeness."""
    number = {each.name: place for place, each in enumerate(types)}
    if unknown := sorted(set(given.values()) - set(number)):
        raise InputError(
            f"expected types among {', '.join(number)}, got {', '.join(unknown)} as given."
        )
    owner = {word: place for place, each in enumerate(types) for word in each.anchors}
    lexicon = Lexicon.of(types)
    settled: dict[int, tuple[int, str]] = {}
    for row, text in enumerate(texts):
        if text in given:
            settled[row] = (number[given[text]], "given")
        elif text in owner:
            settled[row] = (owner[text], "seed")
        elif found := rule_type(text.split(), lexicon, on=rules):
            settled[row] = (number[found[0]], f"rule:{found[1]}")
    return settled


def _adopted(
    scores_WT: Array,
    settled: Mapping[int, tuple[int, str]],
    seeds_T: Sequence[Sequence[int]],
    count: int,
) -> list[list[int]]:
    """For each type, the `count` words with the largest lead that are no seeds of any type."""
    typed = decide(scores_WT, settled, min_score=0.0, min_margin=0.0)
    order = np.lexsort((np.arange(len(typed.best_C)), -typed.margin_C)).tolist()
    taken = {row for rows in seeds_T for row in rows}
    return [
        [row for row in order if typed.best_C[row] == number and row not in taken][:count]
        for number in range(scores_WT.shape[1])
    ]


def _rows(words: Sequence[str], position: Mapping[str, int]) -> list[int]:
    return [position[word] for word in words if word in position]
