"""Typed words -> attributes with values: names, order, exclusivity, HDBSCAN groups.

Shape letters: C candidate words, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np

from datamodules.dictionary.anchors import Typed
from datamodules.dictionary.clusters import Labels, hdbscan_labels, majority_types
from datamodules.dictionary.collect import Corpus
from datamodules.dictionary.evidence import Array, overlap
from datamodules.dictionary.grouping import grouped
from datamodules.dictionary.records import AnchorType, Attribute, Unassigned, Value
from datamodules.dictionary.settings import Settings
from datamodules.dictionary.word_id import word_id


@dataclass(frozen=True)
class Candidates:
    """Words that describe the images, with their evidence.

    Attributes:
        rows: their positions in the corpus' vocabulary.
        features_CD: unit rows, both views joined.
        vectors_CD: unit rows, word vectors alone.
        exclusion_CC: unit rows, exclusion alone.
        weight: weight of exclusion against the word vectors, 0..1.
        shared_CC: images that mention both words.
    """

    rows: list[int]
    features_CD: Array
    vectors_CD: Array
    exclusion_CC: Array
    weight: float
    shared_CC: Array

    def words(self, corpus: Corpus) -> list[str]:
        """The candidates themselves."""
        return [corpus.words[row] for row in self.rows]


def adopt_by_cluster(typed: Typed, labels_C: Labels) -> Typed:
    """Give words that abstained the type of their HDBSCAN cluster, where two thirds of it agree."""
    majority = majority_types(labels_C, typed.label_C, share=2 / 3)
    label_C = typed.label_C.copy()
    evidence = list(typed.evidence_C)
    for row, label in enumerate(labels_C.tolist()):
        if label_C[row] < 0 and label in majority:
            label_C[row], evidence[row] = majority[label], "cluster"
    return replace(typed, label_C=label_C, evidence_C=tuple(evidence))


def by_cluster_alone(labels_C: Labels, seeds_T: list[list[int]]) -> Typed:
    """Pure HDBSCAN: a cluster is an attribute, named by the seed words that happen to lie in it.

    Clusters without seeds, or beyond the first of a type, get labels from T upwards.
    """
    kind_C = np.full(len(labels_C), -1, dtype=np.int64)
    for number, rows in enumerate(seeds_T):
        kind_C[rows] = number
    named = majority_types(labels_C, kind_C, share=0.5)
    label_C = np.full(len(labels_C), -1, dtype=np.int64)
    taken: set[int] = set()
    for label in range(max(labels_C.tolist(), default=-1) + 1):
        kind = named.get(label, -1)
        kind = kind if kind >= 0 and kind not in taken else len(seeds_T) + label
        taken.add(kind)
        label_C[labels_C == label] = kind
    zeros = np.zeros(len(labels_C))
    return Typed(
        label_C, label_C, zeros, zeros, tuple("cluster" if x >= 0 else "" for x in label_C)
    )


def attributes(
    corpus: Corpus,
    candidates: Candidates,
    typed: Typed,
    kinds: Sequence[AnchorType],
    settings: Settings,
) -> tuple[Attribute, ...]:
    """Assemble the attributes in the order of `kinds`; unnamed clusters follow, not selected."""
    found = []
    for label in range(max(typed.label_C.tolist(), default=-1) + 1):
        members = np.flatnonzero(typed.label_C == label).tolist()
        if not members:
            continue
        values = _values(corpus, candidates, typed, members)
        shared_VV = candidates.shared_CC[np.ix_(members, members)]
        ratio, expected = overlap(shared_VV, images=len(corpus.captions_I))
        kind = (
            kinds[label]
            if label < len(kinds)
            else AnchorType(f"like {values[0].text}", (), selected=False)
        )
        attribute = Attribute(
            name=kind.name,
            values=values,
            # Fewer than 5 expected meetings cannot show that two values never meet.
            exclusive=expected >= 5 and ratio <= settings.exclusive_overlap,
            selected=kind.selected and len(values) > 1,
            overlap=round(ratio, 4),
        )
        features_VD = candidates.features_CD[members]
        labels_V = hdbscan_labels(
            features_VD, pca=settings.pca, min_cluster_size=settings.min_cluster_size
        )
        found.append(grouped(attribute, features_VD, labels_V))
    return tuple(found)


def _values(
    corpus: Corpus,
    candidates: Candidates,
    typed: Typed,
    members: list[int],
) -> tuple[Value, ...]:
    values = []
    for member in members:
        word = corpus.words[candidates.rows[member]]
        values.append(
            Value(
                id=word_id(word),
                text=next(iter(corpus.forms[word])),
                count=corpus.counts[candidates.rows[member]],
                forms=corpus.forms[word],
                score=round(float(typed.score_C[member]), 3),
                margin=round(float(typed.margin_C[member]), 3),
                evidence=typed.evidence_C[member],
                examples=corpus.examples[word],
            )
        )
    return tuple(values)


def unassigned(
    corpus: Corpus,
    candidates: Candidates,
    typed: Typed,
    kinds: Sequence[AnchorType],
    settings: Settings,
    *,
    lift_W: Array | None,
) -> tuple[Unassigned, ...]:
    """Every other frequent word with the reason it was left out, and HDBSCAN groups among them."""
    place = {row: number for number, row in enumerate(candidates.rows)}
    loose = [number for number in range(len(candidates.rows)) if typed.label_C[number] < 0]
    groups = hdbscan_labels(
        candidates.features_CD[loose], pca=settings.pca, min_cluster_size=settings.min_cluster_size
    )
    group = dict(zip(loose, groups.tolist(), strict=True))
    found = []
    for row, word in enumerate(corpus.words):
        number = place.get(row)
        if number is not None and number not in group:
            continue
        lift = None if lift_W is None else round(float(lift_W[row]), 3)
        if number is None:
            reason, nearest = "says nothing about the image", ""
        else:
            reason, nearest = _reason(typed, number, kinds, settings)
        found.append(
            Unassigned(
                next(iter(corpus.forms[word])),
                corpus.counts[row],
                reason,
                word_id(word),
                lift,
                nearest,
                0.0 if number is None else round(float(typed.score_C[number]), 3),
                0.0 if number is None else round(float(typed.margin_C[number]), 3),
                -1 if number is None else group[number],
            )
        )
    return tuple(found)


def _reason(
    typed: Typed, number: int, kinds: Sequence[AnchorType], settings: Settings
) -> tuple[str, str]:
    if settings.mode == "hdbscan":
        return "noise", ""
    nearest = kinds[int(typed.best_C[number])].name
    if typed.score_C[number] < settings.min_score:
        return "far from every seed", nearest
    return "between two attributes", nearest
