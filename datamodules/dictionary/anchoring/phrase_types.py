"""Phrases with their rows -> types.

    a seed word or name of a type  >  a lexical rule  >  likeness to seeds

The first of these that speaks decides.
Likeness is ridge regression on the seeds, then smoothed over each word's nearest words. Where types
have names only, they first adopt the words that are most clearly theirs as seeds.

Shape letters: W texts, D features, T types.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence

import numpy as np

from datamodules.dictionary.anchoring.anchors import Typed, decide
from datamodules.dictionary.anchoring.regression import held_out_ridge_scores, ridge_scores
from datamodules.dictionary.anchoring.rules import Lexicon, rule_type
from datamodules.dictionary.anchoring.smoothing import neighbors_of, smoothed
from datamodules.dictionary.settings import LikenessSettings, TypeSpec
from datamodules.dictionary.words.evidence import Array
from datamodules.errors import InputError

_ADOPTIONS = 2  # rounds in which types without seeds take words as seeds


def anchor_words(types: Sequence[TypeSpec]) -> tuple[str, ...]:
    """Every word that stands for a type or against it: embed these beside the vocabulary."""
    return tuple(dict.fromkeys(w for each in types for w in (*each.anchors, *each.negatives)))


def type_phrases(
    texts: Sequence[str],
    features_WD: Array,
    types: Sequence[TypeSpec],
    *,
    settings: LikenessSettings | None = None,
) -> Typed:
    """Give each phrase a type, or none.

    Args:
        texts: normalized phrases, by falling count, then the `anchor_words` that are not among
            them: words of the types that are missing here cannot help.
        features_WD: unit rows, such as `embed.features` makes; rows of zeros are unknown texts.
        types: the kinds of attribute.
        settings: None takes the defaults.

    Returns:
        The outcome, with the position in `types` as label.

    Raises:
        InputError: if a rule is unknown, or no word of any type is among the texts.
    """
    settings = settings or LikenessSettings()
    seeds_T, negatives_T = _anchor_rows(texts, types)
    settled = _settled(texts, types, settings.rules)
    if not any(seeds_T):
        raise InputError(
            f"expected a seed word of {', '.join(each.name for each in types)} among "
            f"{len(texts)} texts, got none. Embed `anchor_words` beside the vocabulary."
        )
    around = neighbors_of(features_WD, count=settings.neighbors, head=settings.head)

    def scores(rows_T: Sequence[Sequence[int]]) -> Array:
        plain_WT = ridge_scores(features_WD, rows_T, ridge=settings.ridge, negatives_T=negatives_T)
        return smoothed(plain_WT, around, share=settings.smoothing)

    scores_WT = scores(seeds_T)
    if nameless := [number for number, each in enumerate(types) if not each.seeds]:
        for round_ in range(_ADOPTIONS):
            count = (round_ + 1) * settings.adopted
            more_T = _adopted(scores_WT, settled, seeds_T, count)
            scores_WT = scores(
                [
                    [*seeds, *more_T[number]] if number in nameless else list(seeds)
                    for number, seeds in enumerate(seeds_T)
                ]
            )
    return decide(scores_WT, settled, min_score=settings.min_score, min_margin=settings.min_margin)


def seed_accuracy(
    texts: Sequence[str],
    features_WD: Array,
    types: Sequence[TypeSpec],
    *,
    settings: LikenessSettings | None = None,
) -> float | None:
    """Share of seed words that regression on all other anchor words gives their type, 0 to 1.

    It is of the regression alone: smoothing and rules could only let a seed speak for itself. A
    type with one anchor word is not asked; it has none left.

    Args:
        texts: as in `type_phrases`.
        features_WD: their unit rows.
        types: the kinds of attribute.
        settings: None takes the defaults.

    Returns:
        The share; None if no seed word is among the texts whose type has another anchor word.
    """
    settings = settings or LikenessSettings()
    seeds_T, negatives_T = _anchor_rows(texts, types)
    rows, scores_ST = held_out_ridge_scores(
        features_WD, seeds_T, ridge=settings.ridge, negatives_T=negatives_T
    )
    best = dict(zip(rows, scores_ST.argmax(axis=1).tolist(), strict=True))
    right = [
        best[row] == number
        for number, each in enumerate(types)
        for row in seeds_T[number]
        if texts[row] in each.seeds and len(seeds_T[number]) > 1
    ]
    return sum(right) / len(right) if right else None


def _anchor_rows(
    texts: Sequence[str], types: Sequence[TypeSpec]
) -> tuple[list[list[int]], list[list[int]]]:
    """The rows of each type's anchor words, and of its negatives, as far as they are there."""
    position = {text: row for row, text in enumerate(texts)}
    return (
        [_rows(each.anchors, position) for each in types],
        [_rows(each.negatives, position) for each in types],
    )


def _settled(
    texts: Sequence[str], types: Sequence[TypeSpec], rules: Collection[str] | None
) -> dict[int, tuple[int, str]]:
    """Row -> type and evidence of the texts that need no likeness."""
    number = {each.name: place for place, each in enumerate(types)}
    owner = {word: place for place, each in enumerate(types) for word in each.anchors}
    lexicon = Lexicon.of(types)
    settled: dict[int, tuple[int, str]] = {}
    for row, text in enumerate(texts):
        if text in owner:
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
