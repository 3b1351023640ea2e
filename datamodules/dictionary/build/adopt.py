"""What clusters add to types: words that abstained join the types of their clusters.

Shape letters: C candidate words, T types.
"""

from __future__ import annotations

from dataclasses import replace

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.anchoring.anchors import Typed
from datamodules.dictionary.grouping.clusters import Labels, majority_types


def adopt_by_cluster(typed: Typed, labels_C: Labels, barred_CT: NDArray[np.bool_]) -> Typed:
    """Give words that abstained the type of their HDBSCAN cluster, where two thirds of it agree.

    Args:
        typed: what the seeds gave.
        labels_C: clusters of the words.
        barred_CT: types that words do not get, see `anchors.barred`.
    """
    majority = majority_types(labels_C, typed.label_C, share=2 / 3)
    label_C = typed.label_C.copy()
    evidence = list(typed.evidence_C)
    for row, label in enumerate(labels_C.tolist()):
        kind = majority.get(label, -1)
        if label_C[row] < 0 <= kind and not barred_CT[row, kind]:
            label_C[row], evidence[row] = kind, "cluster"
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
    zeros, none = np.zeros(len(labels_C)), np.full(len(labels_C), -1)
    evidence = tuple("cluster" if label >= 0 else "" for label in label_C)
    return Typed(label_C, label_C, zeros, zeros, evidence, none, ((),) * len(labels_C))
