"""Words -> scores of types, by ridge regression of "is of this type" on the seeds.

    score(w) = k(w, seeds) (K + r I)^-1 (Y - mean Y)

from products of unit rows. What seeds of several types share counts for none of them. Negatives of
a type, words that look like it and are not of it, are regressed to -1.

Shape letters: C candidate words, T types, S seeds and negatives of all types, D features.
"""

from __future__ import annotations

import numpy as np

from datamodules.dictionary.anchoring.anchors import Rows
from datamodules.dictionary.words.evidence import Array


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
    rows, target_ST = _targets(seeds_T, negatives_T)
    if len(seeds_T) > 1:
        target_ST -= target_ST.mean(axis=0)
    seeds_SD = features_CD[rows]
    gram_SS = seeds_SD @ seeds_SD.T + ridge * np.eye(len(rows))
    scores_CT: Array = features_CD @ (seeds_SD.T @ np.linalg.solve(gram_SS, target_ST))
    return scores_CT


def held_out_ridge_scores(
    features_CD: Array, seeds_T: Rows, *, ridge: float, negatives_T: Rows | None = None
) -> tuple[list[int], Array]:
    """What `ridge_scores` gives each seed and negative if it is left out of the regression.

    No regression is repeated. With H = K (K + r I)^-1, a target that does not change is foretold as

        y_i - (y - H y)_i / (1 - H_ii)

    (Allen's PRESS, 1974). The mean that is taken off the targets does change, by the word that is
    left out; since what is foretold is linear in the target, it is taken off afterwards.

    Args:
        features_CD: see `ridge_scores`, as of all arguments.
        seeds_T: at least one.
        ridge: strength of the penalty.
        negatives_T: words that are not of a type.

    Returns:
        The S rows, and their scores, (S, T); of a word that is alone, zeros.
    """
    rows, target_ST = _targets(seeds_T, negatives_T)
    count, kinds = target_ST.shape
    if count < 2:
        return rows, np.zeros_like(target_ST)
    seeds_SD = features_CD[rows]
    gram_SS = seeds_SD @ seeds_SD.T
    hat_SS = np.linalg.solve(gram_SS + ridge * np.eye(count), gram_SS)
    free_S = 1 - np.diag(hat_SS)
    scores_ST: Array = target_ST - (target_ST - hat_SS @ target_ST) / free_S[:, None]
    if kinds > 1:
        of_ones_S = 1 - (1 - hat_SS.sum(axis=1)) / free_S
        mean_of_others_ST = (target_ST.sum(axis=0) - target_ST) / (count - 1)
        scores_ST -= of_ones_S[:, None] * mean_of_others_ST
    return rows, scores_ST


def _targets(seeds_T: Rows, negatives_T: Rows | None) -> tuple[list[int], Array]:
    """The rows that a regression is made on, and what they should score, (S, T)."""
    pairs = [(row, t, 1.0) for t, rows in enumerate(seeds_T) for row in rows]
    pairs += [(row, t, -1.0) for t, rows in enumerate(negatives_T or ()) for row in rows]
    place = {row: number for number, row in enumerate(dict.fromkeys(row for row, _, _ in pairs))}
    target_ST = np.zeros((len(place), len(seeds_T)))
    for row, number, value in pairs:
        target_ST[place[row], number] = value
    return list(place), target_ST
