"""Which attributes are worth an adapter: numbers, and sentences a person can check.

    score = geometric mean of coverage, purity, values, count a value and, if known, separability

each from 0 to 1. A dictionary's own figures alone are used, so a score compares the attributes of
one dictionary, not dictionaries.

Shape letters: V values of all attributes, D features.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import replace
from statistics import median

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.records import Attribute, Merit, ReadFrom, Value

ENOUGH_VALUES = 5  # more do not make an attribute better
ENOUGH_COUNT = 50  # of a value: what an adapter learns it from with ease
_SURE = ("given", "edit", "seed", "rule:")


def judged(
    attributes: Sequence[Attribute],
    coverage: Mapping[str, float],
    *,
    min_margin: float,
    read_from: ReadFrom,
    separability: Mapping[str, float] | None = None,
) -> tuple[Attribute, ...]:
    """The attributes with their merit, in the given order.

    Args:
        attributes: the attributes.
        coverage: by name, the share of the images (of annotations and lists, of the mentions) that
            speak of it, 0 to 1.
        min_margin: lead over the second attribute at which a word is accepted; twice that is sure.
        read_from: what was counted, for the sentences.
        separability: by name, from `separabilities`; None if no backbone was asked.
    """
    return tuple(
        replace(
            each,
            merit=_merit(
                each,
                coverage[each.name],
                min_margin,
                read_from,
                (separability or {}).get(each.name),
            ),
        )
        for each in attributes
    )


def separabilities(
    attributes: Sequence[Attribute], features_VD: NDArray[np.floating]
) -> dict[str, float]:
    """Mean silhouette (cosine) of each attribute's values among those of all attributes, -1 to 1.

    Near 1, a backbone's text features keep the attribute apart from the others; below 0, its values
    lie nearer to another attribute's.

    Args:
        attributes: the attributes.
        features_VD: text features of the values of the first attribute, then of the second, ...;
            rows of zeros are texts without features and are left out.
    """
    from sklearn.metrics import silhouette_samples

    owner = np.repeat(np.arange(len(attributes)), [len(each.values) for each in attributes])
    known = np.linalg.norm(features_VD, axis=1) > 0
    if len(set(owner[known].tolist())) < 2 or known.sum() < 3:
        return {}
    if len(set(owner[known].tolist())) == known.sum():
        return {}  # one value each: nothing to compare
    silhouette = silhouette_samples(features_VD[known], owner[known], metric="cosine")
    return {
        each.name: round(float(silhouette[owner[known] == number].mean()), 3)
        for number, each in enumerate(attributes)
        if (owner[known] == number).any()
    }


def ranked(attributes: Sequence[Attribute]) -> list[Attribute]:
    """By falling score, then by name."""
    return sorted(attributes, key=lambda a: (-(a.merit.score if a.merit else 0.0), a.name))


def _merit(
    attribute: Attribute,
    coverage: float,
    min_margin: float,
    read_from: ReadFrom,
    separability: float | None,
) -> Merit:
    values = attribute.values
    total = sum(value.count for value in values)
    sure = sum(value.count for value in values if _is_sure(value, min_margin))
    purity = sure / total if total else 0.0
    count = float(median(value.count for value in values)) if values else 0.0
    parts = {
        "coverage": coverage,
        "purity": purity,
        "values": max(0.0, min(1.0, (len(values) - 1) / (ENOUGH_VALUES - 1))),
        "count": min(1.0, count / ENOUGH_COUNT),
    }
    if separability is not None:
        parts["separability"] = (1 + separability) / 2
    score = math.prod(parts.values()) ** (1 / len(parts))
    of_each = _number(count, "caption" if read_from == "captions" else "mention")
    reasons = [
        f"{_percent(coverage)} of {_COVERED[read_from]} it",
        f"{_number(len(values), 'value')}, {of_each} each in the median",
        f"{_percent(purity)} of its mentions are surely of this attribute",
    ]
    if separability is not None:
        reasons.append(f"silhouette of its text features {separability:.2f}")
    weakest = min(parts, key=lambda name: (parts[name], name))
    if parts[weakest] < 0.5:
        few = f"few {_SOURCES[read_from]} it"
        reasons.append(f"held back by {few if weakest == 'coverage' else _WEAK[weakest]}")
    return Merit(
        score=round(score, 3),
        coverage=round(coverage, 4),
        purity=round(purity, 3),
        median_count=count,
        separability=separability,
        reasons=tuple(reasons),
    )


_COVERED = {
    "captions": "the images have captions that speak of",
    "annotations": "the annotated mentions are of",
    "list": "the mentions in the list are of",
}
_SOURCES = {
    "captions": "images whose captions speak of",
    "annotations": "annotated mentions of",
    "list": "mentions in the list of",
}
_WEAK = {
    "purity": "words that could be of another attribute",
    "values": "few values",
    "count": "rare values",
    "separability": "text features that do not tell its values from others",
}


def _is_sure(value: Value, min_margin: float) -> bool:
    return (
        value.status != "auto" or value.evidence.startswith(_SURE) or value.margin >= 2 * min_margin
    )


def _percent(share: float) -> str:
    return f"{100 * share:.0f} %" if share >= 0.01 or not share else "under 1 %"


def _number(count: float, noun: str) -> str:
    return f"{count:,.0f} {noun}{'' if count == 1 else 's'}"
