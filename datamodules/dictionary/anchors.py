"""Words -> types by their nearest seed words, with the right to abstain.

    score(w, t) = mean of the `nearest` largest cosines of w with the seeds of t other than w
    margin(w)   = best score - second best

Shape letters: C candidate words, T types, D features.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.evidence import Array


@dataclass(frozen=True)
class Typed:
    """The outcome for each candidate word.

    Attributes:
        label_C: index of its type; -1 is unassigned.
        best_C: index of the best type, also of words that abstain.
        score_C: its score for that type.
        margin_C: lead over the second type; the score itself when there is only one type.
        evidence_C: "seed", "anchor", or "" for unassigned.
    """

    label_C: NDArray[np.int64]
    best_C: NDArray[np.int64]
    score_C: Array
    margin_C: Array
    evidence_C: tuple[str, ...]


def type_words(
    features_CD: Array,
    seeds_T: list[list[int]],
    *,
    nearest: int,
    min_score: float,
    min_margin: float,
) -> Typed:
    """Give each candidate word the type of its nearest seeds, or none.

    Args:
        features_CD: unit rows.
        seeds_T: for each type, the rows of its seed words; at least one each.
        nearest: how many nearest seeds are averaged.
        min_score: smallest score that gives a type.
        min_margin: smallest margin that gives a type.
    """
    scores_CT = type_scores(features_CD, seeds_T, nearest=nearest)
    best_C = scores_CT.argmax(axis=1)
    given = {row: number for number, rows in enumerate(seeds_T) for row in rows}
    for row, number in given.items():
        best_C[row] = number
    rows = np.arange(len(best_C))
    score_C = scores_CT[rows, best_C]
    others_CT = scores_CT.copy()
    others_CT[rows, best_C] = -np.inf
    second_C = others_CT.max(axis=1) if scores_CT.shape[1] > 1 else np.zeros(len(rows))
    margin_C = score_C - second_C
    accepted_C = (score_C >= min_score) & (margin_C >= min_margin)
    accepted_C[list(given)] = True
    evidence = tuple(
        "seed" if row in given else "anchor" if accepted_C[row] else "" for row in rows
    )
    return Typed(np.where(accepted_C, best_C, -1), best_C, score_C, margin_C, evidence)


def type_scores(features_CD: Array, seeds_T: list[list[int]], *, nearest: int) -> Array:
    """Score of each word for each type, (C, T).

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


def leave_one_out(features_CD: Array, seeds_T: list[list[int]], *, nearest: int) -> float | None:
    """Share of seed words typed rightly by the other seeds; None if no type has two seeds."""
    scores_CT = type_scores(features_CD, seeds_T, nearest=nearest)
    checked = [
        (row, number) for number, rows in enumerate(seeds_T) if len(rows) > 1 for row in rows
    ]
    if not checked:
        return None
    return float(np.mean([scores_CT[row].argmax() == number for row, number in checked]))
