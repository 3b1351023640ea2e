"""Typed words -> attributes with values, and the words that are none with the reason.

Shape letters: C candidate words, T types.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from datamodules.dictionary.anchoring.anchors import Typed
from datamodules.dictionary.embed import Embedder
from datamodules.dictionary.fronts import Front, Word
from datamodules.dictionary.grouping.clusters import Labels, hdbscan_labels, linkage_labels
from datamodules.dictionary.grouping.groups import grouped
from datamodules.dictionary.merit import judged, separabilities
from datamodules.dictionary.records import AnchorType, Attribute, Unassigned, Value
from datamodules.dictionary.settings import Settings
from datamodules.dictionary.word_id import word_id
from datamodules.dictionary.words.evidence import Array

_MOST_APART = 300  # values of an attribute whose text features are compared


def attributes(
    front: Front, typed: Typed, kinds: Sequence[AnchorType], settings: Settings
) -> tuple[Attribute, ...]:
    """The attributes in the order of `kinds`, with groups; unnamed clusters come last."""
    found = []
    for label in range(max(typed.label_C.tolist(), default=-1) + 1):
        members = np.flatnonzero(typed.label_C == label).tolist()
        if not members:
            continue
        values = tuple(_value(front, typed, member, kinds) for member in members)
        kind = (
            kinds[label]
            if label < len(kinds)
            else AnchorType(f"like {values[0].text}", (), selected=False)
        )
        attribute = Attribute(
            name=kind.name, values=values, selected=kind.selected and len(values) > 1
        )
        features_VD = front.features_CD[members]
        head = [number for number, member in enumerate(members) if member < front.head]
        found.append(grouped(attribute, features_VD, _groups(features_VD, head, settings)))
    return tuple(found)


def measured(
    attributes: Sequence[Attribute],
    front: Front,
    settings: Settings,
    backbone: Embedder | None = None,
) -> tuple[Attribute, ...]:
    """The attributes with what the source says of their values.

    That is whether they exclude each other, how much they cover, and the merit that follows.
    """
    exclusive = {each.name: each.exclusive for each in settings.types}
    found, coverage = [], {}
    for attribute in attributes:
        rows_V = [front.rows_of(value) for value in attribute.values]
        ratio, expected = front.together(rows_V) if front.together else (None, 0.0)
        coverage[attribute.name] = front.coverage(sorted({r for rows in rows_V for r in rows}))
        found.append(
            replace(
                attribute,
                exclusive=_exclusive(exclusive.get(attribute.name), ratio, expected, settings),
                overlap=None if ratio is None else round(ratio, 4),
            )
        )
    apart = _separability(found, backbone) if backbone is not None else None
    return judged(
        found,
        coverage,
        min_margin=settings.typing(front.read_from).min_margin,
        read_from=front.read_from,
        separability=apart,
    )


def _exclusive(
    stated: bool | None, ratio: float | None, expected: float, settings: Settings
) -> bool | None:
    """What a person says of the kind, else what is measured; None where nothing can be.

    Fewer than 5 expected meetings cannot show that two values never meet.
    """
    if stated is not None or ratio is None:
        return stated
    return expected >= 5 and ratio <= settings.exclusive_overlap


def _separability(attributes: Sequence[Attribute], backbone: Embedder) -> dict[str, float]:
    """Silhouettes of the most frequent values of each attribute."""
    shown = [replace(each, values=each.values[:_MOST_APART]) for each in attributes]
    texts = [value.text for each in shown for value in each.values]
    return separabilities(shown, backbone.encode(texts))


def unassigned(
    front: Front, typed: Typed, kinds: Sequence[AnchorType], settings: Settings
) -> tuple[Unassigned, ...]:
    """Every other word with the reason it was left out, and the groups of the frequent ones."""
    number_of = {row: number for number, row in enumerate(front.rows)}
    loose = [n for n in range(min(front.head, len(front.rows))) if typed.label_C[n] < 0]
    labels = _clusters(front.features_CD[loose], settings)
    group = dict(zip(loose, labels.tolist(), strict=True))
    silent = set(front.unknown)
    found = []
    for row, word in enumerate(front.words):
        number = number_of.get(row)
        if number is not None and typed.label_C[number] >= 0:
            continue
        lift = None if front.lift_W is None else round(float(front.lift_W[row]), 3)
        if number is None:
            found.append(
                Unassigned(word.text, word.count, front.reasons[row], word_id(word.key), lift)
            )
            continue
        reason, nearest = _reason(typed, number, kinds, settings)
        if word.key in silent:
            reason, nearest = "no vector", ""
        found.append(
            Unassigned(
                word.text, word.count, reason, word_id(word.key), lift, nearest,
                round(float(typed.score_C[number]), 3), round(float(typed.margin_C[number]), 3),
                group.get(number, -1),
            )
        )  # fmt: skip
    return tuple(found)


def _value(front: Front, typed: Typed, member: int, kinds: Sequence[AnchorType]) -> Value:
    word: Word = front.words[front.rows[member]]
    second = int(typed.second_C[member])
    return Value(
        id=word_id(word.key),
        text=word.text,
        count=word.count,
        denied=word.denied,
        forms=word.forms,
        denials=word.denials,
        splits=word.splits,
        objects=word.objects,
        score=round(float(typed.score_C[member]), 3),
        margin=round(float(typed.margin_C[member]), 3),
        also=tuple(
            kinds[number].name for number in typed.near_C[member] if number != typed.label_C[member]
        ),
        second=kinds[second].name if second >= 0 else "",
        evidence=typed.evidence_C[member],
        examples=word.examples,
    )


def _groups(features_VD: Array, head: Sequence[int], settings: Settings) -> Labels:
    """Groups of values; under HDBSCAN a rare one joins none, under linkage the nearest."""
    if settings.grouping.groups == "linkage":
        return linkage_labels(features_VD, distance=settings.grouping.distance, head=len(head))
    labels_V = np.full(len(features_VD), -1, dtype=np.int64)
    labels_V[list(head)] = _clusters(features_VD[list(head)], settings)
    return labels_V


def _clusters(features_VD: Array, settings: Settings) -> Labels:
    cut = settings.grouping
    return hdbscan_labels(features_VD, pca=cut.pca, min_cluster_size=cut.min_cluster_size)


def _reason(
    typed: Typed, number: int, kinds: Sequence[AnchorType], settings: Settings
) -> tuple[str, str]:
    if settings.mode == "hdbscan":
        return "noise", ""
    nearest = kinds[int(typed.best_C[number])].name
    if not typed.near_C[number]:
        return "far from every seed", nearest
    return "between two attributes", nearest
