"""Words -> types by their nearest seed words, with the right to abstain.

    score(w, t) = mean of the k largest cosines of w with the seeds of t, never with itself
    margin(w) = best score - second best

Negatives of a type are words that look like it and are not of it. A word whose nearest negative of
t is nearer than its nearest seed of t is barred from t: its score is -1, the least a cosine can be.

Shape letters: C candidate words, T types, S seeds of all types, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.words.evidence import Array

Rows = Sequence[Sequence[int]]


@dataclass(frozen=True)
class Typed:
    """The outcome for each candidate word.

    Attributes:
        label_C: index of its type; -1 is unassigned.
        best_C: index of the best type, also of words that abstain.
        score_C: its score for that type.
        margin_C: lead over the second type, below 0 where other evidence overrules the scores; the
            score itself when there is only one type.
        evidence_C: "rule:<name>", "seed", "anchor", or "" for unassigned.
        second_C: index of the second type; -1 when there is only one.
        near_C: every type whose score reaches the threshold, but for those that the word's own
            type leads for sure, by twice the margin; best first.
    """

    label_C: NDArray[np.int64]
    best_C: NDArray[np.int64]
    score_C: Array
    margin_C: Array
    evidence_C: tuple[str, ...]
    second_C: NDArray[np.int64]
    near_C: tuple[tuple[int, ...], ...]


def type_words(
    features_CD: Array,
    seeds_T: Rows,
    *,
    nearest: int,
    min_score: float,
    min_margin: float,
    barred_CT: NDArray[np.bool_] | None = None,
) -> Typed:
    """Give each candidate word the type of its nearest seeds, or none.

    Args:
        features_CD: unit rows.
        seeds_T: for each type, the rows of its seed words; at least one each.
        nearest: how many nearest seeds are averaged.
        min_score: smallest score that gives a type.
        min_margin: smallest margin that gives a type.
        barred_CT: types that words do not get, see `barred`; None bars nothing.
    """
    scores_CT = type_scores(features_CD, seeds_T, nearest=nearest)
    if barred_CT is not None:
        scores_CT[barred_CT] = -1.0
    seeds = {row: (number, "seed") for number, rows in enumerate(seeds_T) for row in rows}
    return decide(scores_CT, seeds, min_score=min_score, min_margin=min_margin)


def decide(
    scores_CT: Array,
    settled: Mapping[int, tuple[int, str]],
    *,
    min_score: float,
    min_margin: float,
) -> Typed:
    """The best type of each word, if its score and margin suffice.

    Args:
        scores_CT: score of each word for each type.
        settled: row -> type and evidence of words whose type is known without a score.
        min_score: smallest score that gives a type.
        min_margin: smallest margin that gives a type.
    """
    best_C = scores_CT.argmax(axis=1)
    for row, (number, _) in settled.items():
        best_C[row] = number
    rows = np.arange(len(best_C))
    score_C = scores_CT[rows, best_C]
    others_CT = scores_CT.copy()
    others_CT[rows, best_C] = -np.inf
    single = scores_CT.shape[1] == 1
    second_C = np.full(len(rows), -1) if single else others_CT.argmax(axis=1)
    margin_C = score_C - (0.0 if single else others_CT.max(axis=1))
    accepted_C = (score_C >= min_score) & (margin_C >= min_margin)
    accepted_C[list(settled)] = True
    evidence = tuple(
        settled[row][1] if row in settled else "anchor" if accepted else ""
        for row, accepted in enumerate(accepted_C.tolist())
    )
    label_C = np.where(accepted_C, best_C, -1)
    falling_CT = np.argsort(-scores_CT, axis=1, kind="stable").tolist()
    least_C = np.maximum(score_C - 2 * min_margin, min_score)
    reached_C = (scores_CT >= least_C[:, None]).sum(axis=1).tolist()
    near = tuple(tuple(order[:count]) for order, count in zip(falling_CT, reached_C, strict=True))
    return Typed(label_C, best_C, score_C, margin_C, evidence, second_C, near)


def type_scores(features_CD: Array, seeds_T: Rows, *, nearest: int) -> Array:
    """Mean cosine of each word with its nearest seeds of each type, (C, T).

    A seed never scores itself; alone in its type it gets 0.
    """
    scores_CT = np.zeros((len(features_CD), len(seeds_T)))
    for number, seeds in enumerate(seeds_T):
        cosine_CS = features_CD @ features_CD[seeds].T
        cosine_CS[seeds, np.arange(len(seeds))] = np.nan
        falling_CS = -np.sort(-cosine_CS, axis=1)  # NaN sorts last
        with_self = falling_CS[:, :nearest]
        known = np.isfinite(with_self)
        total = np.where(known, with_self, 0.0).sum(axis=1)
        scores_CT[:, number] = total / np.maximum(known.sum(axis=1), 1)
    return scores_CT


def barred(features_CD: Array, seeds_T: Rows, negatives_T: Rows) -> NDArray[np.bool_]:
    """Which words are nearer to a negative of a type than to any of its seeds, (C, T).

    A word is nearest to itself: a negative is barred, a seed never is.

    Args:
        features_CD: unit rows.
        seeds_T: for each type, the rows of its seed words; at least one each.
        negatives_T: for each type, the rows of its negatives, none of them a seed of it.
    """
    barred_CT = np.zeros((len(features_CD), len(seeds_T)), dtype=bool)
    for number, (seeds, negatives) in enumerate(zip(seeds_T, negatives_T, strict=True)):
        if negatives:
            from_seed_C = (features_CD @ features_CD[seeds].T).max(axis=1)
            from_negative_C = (features_CD @ features_CD[negatives].T).max(axis=1)
            barred_CT[:, number] = from_negative_C > from_seed_C
            barred_CT[seeds, number] = False  # rows of two words may be the same
            barred_CT[negatives, number] = True
    return barred_CT


def leave_one_out(features_CD: Array, seeds_T: Rows, *, nearest: int) -> float | None:
    """Share of seed words typed rightly by the other seeds; None if no type has two seeds."""
    scores_CT = type_scores(features_CD, seeds_T, nearest=nearest)
    checked = [
        (row, number) for number, rows in enumerate(seeds_T) if len(rows) > 1 for row in rows
    ]
    if not checked:
        return None
    return float(np.mean([scores_CT[row].argmax() == number for row, number in checked]))
