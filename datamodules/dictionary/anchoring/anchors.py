"""Words -> types by their likeness to seed words, with the right to abstain.

Two ways to score a word w for a type t, both from products of unit rows:

    nearest   mean of the k largest cosines of w with the seeds of t, never with itself
    ridge     k(w, seeds) (K + r I)^-1 (Y - mean Y): regression on "is of type t" over all seeds, so
              that what seeds of several types share counts for none of them

    margin(w) = best score - second best

Negatives of a type are words that look like it and are not of it. Under "ridge" they are regressed
to -1. Under "nearest" a word whose nearest negative of t is nearer than its nearest seed of t is
barred from t: its score is -1, the least a cosine can be.

Shape letters: C candidate words, T types, S seeds of all types, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.words.evidence import Array

Rows = Sequence[Sequence[int]]
_BLOCK = 1024  # rows of a product held at once
_STEPS = 20  # of smoothing: the error left is below `share` ** 20


@dataclass(frozen=True)
class Typed:
    """The outcome for each candidate word.

    Attributes:
        label_C: index of its type; -1 is unassigned.
        best_C: index of the best type, also of words that abstain.
        score_C: its score for that type.
        margin_C: lead over the second type, below 0 where other evidence overrules the scores; the
            score itself when there is only one type.
        evidence_C: "given", "rule:<name>", "seed", "anchor", or "" for unassigned.
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


def ridge_scores(
    features_CD: Array, seeds_T: Rows, *, ridge: float, negatives_T: Rows | None = None
) -> Array:
    """Regression of "is of this type" on the seeds, (C, T): near 1 like a seed, near 0 unlike all.

    Args:
        features_CD: unit rows; a row of zeros scores 0.
        seeds_T: for each type, the rows of its seed words; one type needs one.
        ridge: strength of the penalty, above 0, in units of a squared unit row.
        negatives_T: for each type, rows of words that are not of it though they look like it.
    """
    pairs = [(row, t, 1.0) for t, rows in enumerate(seeds_T) for row in rows]
    pairs += [(row, t, -1.0) for t, rows in enumerate(negatives_T or ()) for row in rows]
    place = {row: number for number, row in enumerate(dict.fromkeys(row for row, _, _ in pairs))}
    target_ST = np.zeros((len(place), len(seeds_T)))
    for row, number, value in pairs:
        target_ST[place[row], number] = value
    if len(seeds_T) > 1:
        target_ST -= target_ST.mean(axis=0)
    seeds_SD = features_CD[list(place)]
    gram_SS = seeds_SD @ seeds_SD.T + ridge * np.eye(len(place))
    scores_CT: Array = features_CD @ (seeds_SD.T @ np.linalg.solve(gram_SS, target_ST))
    return scores_CT


def smoothed(
    scores_CT: Array, features_CD: Array, *, neighbors: int, share: float, head: int
) -> Array:
    """Scores in which those of a word's nearest words take part, and of theirs, and so on, (C, T).

        smooth = (1 - share) score + share * weighted mean over neighbors of smooth

    with the squared cosine as weight. A word without a positive cosine keeps its own.

    Args:
        scores_CT: score of each word for each type.
        features_CD: unit rows.
        neighbors: how many.
        share: of the neighbors, 0..1.
        head: neighbors are looked for among this many first words; the time grows with it.
    """
    near_CN, weight_CN = _neighbors(features_CD, min(neighbors, len(features_CD) - 1), head)
    total_C = weight_CN.sum(axis=1)
    alone_C = total_C <= 0
    weight_CN /= np.where(alone_C, 1.0, total_C)[:, None]
    result_CT = scores_CT
    for _ in range(_STEPS):
        around_CT = np.einsum("cn,cnt->ct", weight_CN, result_CT[near_CN])
        result_CT = (1 - share) * scores_CT + share * around_CT
        result_CT[alone_C] = scores_CT[alone_C]
    return result_CT


def _neighbors(features_CD: Array, count: int, head: int) -> tuple[NDArray[np.int64], Array]:
    """Each word's nearest others among the first `head`, and their squared positive cosines."""
    count = max(min(count, head - 1), 0)
    near_CN = np.zeros((len(features_CD), count), dtype=np.int64)
    weight_CN = np.zeros((len(features_CD), count))
    if not count:
        return near_CN, weight_CN
    # Half the bits: which words are near does not hang on the last digits, but the time does.
    features_CD = features_CD.astype(np.float32)
    head_DH = features_CD[:head].T
    for start in range(0, len(features_CD), _BLOCK):
        cosine_BH = features_CD[start : start + _BLOCK] @ head_DH
        rows = np.arange(len(cosine_BH))
        own = rows + start < cosine_BH.shape[1]
        cosine_BH[rows[own], rows[own] + start] = -np.inf
        near_BN = np.argpartition(-cosine_BH, count - 1, axis=1)[:, :count]
        near_CN[start : start + _BLOCK] = near_BN
        near_cosine_BN = np.take_along_axis(cosine_BH, near_BN, axis=1)
        weight_CN[start : start + _BLOCK] = np.maximum(near_cosine_BN, 0.0) ** 2
    return near_CN, weight_CN


def leave_one_out(features_CD: Array, seeds_T: Rows, *, nearest: int) -> float | None:
    """Share of seed words typed rightly by the other seeds; None if no type has two seeds."""
    scores_CT = type_scores(features_CD, seeds_T, nearest=nearest)
    checked = [
        (row, number) for number, rows in enumerate(seeds_T) if len(rows) > 1 for row in rows
    ]
    if not checked:
        return None
    return float(np.mean([scores_CT[row].argmax() == number for row, number in checked]))
