"""A front's candidates -> types in both modes, with what they say of each other.

Shape letters: C candidate words, H the frequent ones among them, T types, A anchor words, D
features.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.anchoring.anchors import Typed, barred, leave_one_out, type_words
from datamodules.dictionary.anchoring.phrase_types import seed_accuracy, type_phrases
from datamodules.dictionary.build.adopt import adopt_by_cluster, by_cluster_alone
from datamodules.dictionary.fronts import Front
from datamodules.dictionary.grouping.clusters import Labels, hdbscan_labels
from datamodules.dictionary.records import AnchorType
from datamodules.dictionary.scoring.scores import adjusted_rand, noise_as_singletons
from datamodules.dictionary.settings import Settings
from datamodules.errors import InputError

Checks = dict[str, float | None]  # share of seeds typed rightly by the others, by what types them


@dataclass(frozen=True)
class Outcome:
    """What typing gave.

    Attributes:
        typed: the chosen mode's outcome.
        kinds: the types that its labels number.
        pure: HDBSCAN alone, over the head.
        scores: both modes' self-checks.
    """

    typed: Typed
    kinds: list[AnchorType]
    pure: Labels
    scores: dict[str, Any]


def all_kinds(front: Front, types: tuple[Any, ...]) -> tuple[AnchorType, ...]:
    """All types, with those of their words that the source uses."""
    known = set(front.keys())
    return tuple(
        AnchorType(
            each.name,
            each.seeds or each.names,
            tuple(word for word in each.seeds or each.names if word in known),
            each.selected,
        )
        for each in types
    )


def typed_words(front: Front, settings: Settings) -> Outcome:
    """Type the candidates in both modes.

    Raises:
        InputError: if no type's seed word is among the words, or a rule is unknown.
    """
    kinds = list(all_kinds(front, settings.types))
    place = {key: number for number, key in enumerate(front.keys())}
    pure_H = _clusters(front.vectors_CD[: front.head], settings)
    if not front.anchors:
        kinds = [kind for kind in kinds if kind.found]
    seeds_T = [[place[word] for word in kind.found if word in place] for kind in kinds]
    anchored = (
        _by_likeness(front, settings)
        if front.anchors
        else _by_seeds(front, kinds, seeds_T, settings)
    )
    head_T = [[row for row in rows if row < front.head] for rows in seeds_T]
    scores: dict[str, Any] = {"hdbscan": _pure_scores(pure_H, head_T)}
    typed = None
    if anchored is not None:
        typed, checks = anchored
        scores["anchored"] = {
            "coverage": _share(typed.label_C >= 0),
            # Seeds typed by the other seeds: the only labels there are, each judged without itself.
            "seed_accuracy": {name: _rounded(check) for name, check in checks.items()},
        }
        scores["agreement_ari"] = _agreement(typed.label_C[: front.head], pure_H)
    if typed is None or settings.mode == "hdbscan":
        all_C = np.full(len(front.rows), -1, dtype=np.int64)
        all_C[: front.head] = pure_H
        typed = by_cluster_alone(all_C, seeds_T)
    return Outcome(typed, kinds, pure_H, scores)


def _by_seeds(
    front: Front, kinds: list[AnchorType], seeds_T: list[list[int]], settings: Settings
) -> tuple[Typed, Checks] | None:
    """By the seeds among the words themselves; None where there is none and none is needed."""
    if not seeds_T:
        if settings.mode == "hdbscan":
            return None
        raise InputError(
            f"expected a seed word of {', '.join(each.name for each in settings.types)} among the "
            f"words that describe the images, got none. Frequent words: "
            f"{', '.join(front.keys()[:8])}. Add seed words in a YAML and pass it with --types."
        )
    asked = settings.captions
    place = {key: number for number, key in enumerate(front.keys())}
    against = {each.name: each.negatives for each in settings.types}
    negatives_T = [[place[word] for word in against[kind.name] if word in place] for kind in kinds]
    barred_CT = barred(front.features_CD, seeds_T, negatives_T)
    typed = type_words(
        front.features_CD, seeds_T, nearest=asked.nearest, min_score=asked.min_score,
        min_margin=asked.min_margin, barred_CT=barred_CT,
    )  # fmt: skip
    checks = {
        name: leave_one_out(view, seeds_T, nearest=asked.nearest)
        for name, view in front.views.items()
    }
    return adopt_by_cluster(typed, _clusters(front.features_CD, settings), barred_CT), checks


def _by_likeness(front: Front, settings: Settings) -> tuple[Typed, Checks]:
    """By rules, and likeness to anchor words that were embedded beside the words."""
    assert front.anchor_rows_AD is not None
    known = set(front.keys())
    extra = [number for number, word in enumerate(front.anchors) if word not in known]
    texts = [*front.keys(), *(front.anchors[number] for number in extra)]
    rows_WD = np.vstack([front.features_CD, front.anchor_rows_AD[extra]])
    typed = type_phrases(texts, rows_WD, settings.types, settings=settings.likeness)
    check = seed_accuracy(texts, rows_WD, settings.types, settings=settings.likeness)
    count = len(front.rows)
    of_words = Typed(
        typed.label_C[:count], typed.best_C[:count], typed.score_C[:count],
        typed.margin_C[:count], typed.evidence_C[:count], typed.second_C[:count],
        typed.near_C[:count],
    )  # fmt: skip
    return of_words, {"regression": check}


def _clusters(features_CD: NDArray[np.float64], settings: Settings) -> Labels:
    cut = settings.grouping
    return hdbscan_labels(features_CD, pca=cut.pca, min_cluster_size=cut.min_cluster_size)


def _pure_scores(labels_H: Labels, seeds_T: list[list[int]]) -> dict[str, Any]:
    rows = [row for seeds in seeds_T for row in seeds]
    kinds = [number for number, seeds in enumerate(seeds_T) for _ in seeds]
    return {
        "num_clusters": max(labels_H.tolist(), default=-1) + 1,
        "coverage": _share(labels_H >= 0),
        "seed_ari": _rounded(adjusted_rand(kinds, noise_as_singletons(labels_H[rows].tolist())))
        if rows
        else None,
    }


def _agreement(label_H: Labels, pure_H: Labels) -> float:
    one, other = (noise_as_singletons(each.tolist()) for each in (label_H, pure_H))
    return round(adjusted_rand(one, other), 3)


def _share(mask: NDArray[np.bool_]) -> float:
    return round(float(mask.mean()), 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
