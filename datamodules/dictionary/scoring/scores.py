"""How good a typing is: against words of known type, which took no part in it.

    accuracy   share of the words whose type is right; no type is wrong
    ari        adjusted Rand index: pairs of words put together or apart rightly, 0 by chance
    nmi        normalized mutual information with the arithmetic mean: the V measure
    ami        the same, 0 by chance

Words without a type are groups of their own in ari, nmi and ami: leaving out is not grouping.
Intervals are of resampled words (bootstrap), seeded; a word without a type that is drawn twice
makes two groups of one.

Shape letters: N words that have a reference type, R resamplings, C cells (words alike in the type
known and found), K types found, T types known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.words.evidence import Array

Counts = NDArray[np.int64]

_DRAWS = 1000
_INTERVAL = (2.5, 97.5)


def typing_scores(
    known: Sequence[str],
    found: Sequence[str | None],
    *,
    counts: Sequence[int] | None = None,
    seed: int = 0,
) -> dict[str, Any]:
    """Scores of the types found for N words.

    Args:
        known: the right type of each word.
        found: the type given to each; None for none.
        counts: how often each word is used; None leaves `weighted_accuracy` out.
        seed: of the resampling.

    Returns:
        num_words, accuracy, ari, nmi, ami, coverage (share of words with a type), intervals (95 %
        of accuracy, ari and nmi, each [low, high]), types (known type -> words, precision, recall)
        and, with counts, weighted_accuracy. Numbers lie in 0..1, ari and ami from -1; precision is
        None where no word was given the type.
    """
    right_N = np.asarray([a == b for a, b in zip(known, found, strict=True)])
    labels = _singletons(found)
    scores: dict[str, Any] = {
        "num_words": len(known),
        "accuracy": _rounded(right_N.mean()),
        "ari": _rounded(adjusted_rand(known, labels)),
        "nmi": _rounded(normalized_information(known, labels)),
        "ami": _rounded(_adjusted_information(known, labels)),
        "coverage": _rounded(np.mean([each is not None for each in found])),
        "intervals": _intervals(known, found, seed),
        "types": {kind: _of_type(kind, known, found) for kind in dict.fromkeys(known)},
    }
    if counts is not None and any(counts):
        scores["weighted_accuracy"] = _rounded(np.average(right_N, weights=counts))
    return scores


def adjusted_rand(left: Sequence[Any], right: Sequence[Any]) -> float:
    """Adjusted Rand index of two labelings: 1 is the same partition, 0 is chance."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(_codes(left), _codes(right)))


def normalized_information(left: Sequence[Any], right: Sequence[Any]) -> float:
    """Normalized mutual information (arithmetic mean), equal to the V measure."""
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(_codes(left), _codes(right)))


def noise_as_singletons(labels: Sequence[int]) -> list[int]:
    """Labels where every -1 becomes a cluster of its own, as ARI must see noise."""
    return [label if label >= 0 else -1 - row for row, label in enumerate(labels)]


def _adjusted_information(left: Sequence[Any], right: Sequence[Any]) -> float:
    from sklearn.metrics import adjusted_mutual_info_score

    return float(adjusted_mutual_info_score(_codes(left), _codes(right)))


def _singletons(found: Sequence[str | None]) -> list[str]:
    return [f"\0{row}" if kind is None else kind for row, kind in enumerate(found)]


def _of_type(
    kind: str, known: Sequence[str], found: Sequence[str | None]
) -> dict[str, int | float | None]:
    hits = sum((a, b) == (kind, kind) for a, b in zip(known, found, strict=True))
    given = sum(each == kind for each in found)
    words = sum(each == kind for each in known)
    return {
        "words": words,
        "precision": _rounded(hits / given) if given else None,
        "recall": _rounded(hits / words),
    }


def _intervals(
    known: Sequence[str], found: Sequence[str | None], seed: int
) -> dict[str, list[float]]:
    """Percentiles over resampled words; words alike in both types are drawn together."""
    pairs = list(zip(known, found, strict=True))
    cells = list(dict.fromkeys(pairs))
    share_C = np.bincount(_codes(pairs)) / len(pairs)
    drawn_RC = np.random.default_rng(seed).multinomial(len(pairs), share_C, size=_DRAWS)
    right_C = np.array([left == right for left, right in cells], dtype=np.float64)
    # Words without a type share a cell, but no group: none of them is in the last two tables.
    typed_C = np.array([right is not None for _, right in cells])
    type_RT = _summed(drawn_RC, [left for left, _ in cells])
    cell_RC = drawn_RC[:, typed_C]
    group_RK = _summed(cell_RC, [right for _, right in cells if right is not None])
    return {
        name: [_rounded(end) for end in np.percentile(values_R, _INTERVAL)]
        for name, values_R in (
            ("accuracy", drawn_RC @ right_C / len(pairs)),
            ("ari", _rand_index(cell_RC, type_RT, group_RK)),
            ("nmi", _information(cell_RC, type_RT, group_RK)),
        )
    }


def _summed(drawn_RC: Counts, labels: Sequence[str]) -> Counts:
    """Words drawn of each label."""
    codes = _codes(labels)
    one_hot = np.eye(len(set(codes)), dtype=np.int64)[codes]
    total: Counts = drawn_RC @ one_hot
    return total


def _rand_index(cell_RC: Counts, type_RT: Counts, group_RK: Counts) -> Array:
    """Adjusted Rand index from the sizes; a group of one holds no pair, and is not needed here."""

    def pairs(sizes: Counts) -> Array:
        total: Array = (sizes * (sizes - 1) / 2).sum(axis=1)
        return total

    both, types, groups = pairs(cell_RC), pairs(type_RT), pairs(group_RK)
    words = type_RT.sum(axis=1)
    expected = types * groups / np.maximum(words * (words - 1) / 2, 1)
    room = (types + groups) / 2 - expected
    return np.where(room == 0, 1.0, (both - expected) / np.where(room == 0, 1.0, room))


def _information(cell_RC: Counts, type_RT: Counts, group_RK: Counts) -> Array:
    """Normalized mutual information from the sizes; words in no group are groups of one."""
    words = type_RT.sum(axis=1)

    def entropy(sizes: Counts) -> Array:
        share = sizes / words[:, None]
        total: Array = -(share * np.log(np.where(share > 0, share, 1.0))).sum(axis=1)
        return total

    alone = (words - group_RK.sum(axis=1)) * np.log(words) / words
    of_types, of_groups = entropy(type_RT), entropy(group_RK) + alone
    mean = (of_types + of_groups) / 2
    shared = of_types + of_groups - (entropy(cell_RC) + alone)
    return np.where(mean == 0, 1.0, shared / np.where(mean == 0, 1.0, mean))


def _rounded(value: float | np.floating[Any]) -> float:
    return round(float(value), 4)


def _codes(labels: Sequence[Any]) -> list[int]:
    order = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return [order[label] for label in labels]
