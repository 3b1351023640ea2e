"""HDBSCAN over word features: PCA first (few words, many dimensions), noise kept visible as -1."""

from __future__ import annotations

import warnings
from collections import Counter

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.evidence import Array

Labels = NDArray[np.int64]


def hdbscan_labels(features_CD: Array, *, pca: int, min_cluster_size: int) -> Labels:
    """Cluster words; labels count from 0 in order of first appearance, -1 is noise.

    Fewer than two clusters' worth of words are all noise: there is nothing to tell apart.

    Args:
        features_CD: one row a word.
        pca: principal components kept, at most.
        min_cluster_size: smallest cluster, in words.
    """
    if len(features_CD) < 2 * min_cluster_size:
        return np.full(len(features_CD), -1, dtype=np.int64)
    with warnings.catch_warnings():
        # hdbscan 0.8 still passes scikit-learn arguments that newer releases renamed.
        warnings.simplefilter("ignore", FutureWarning)
        from hdbscan import HDBSCAN

        model = HDBSCAN(min_cluster_size=min_cluster_size, min_samples=1, core_dist_n_jobs=1)
        raw = model.fit_predict(principal_components(features_CD, pca))
    order = {
        label: number for number, label in enumerate(dict.fromkeys(int(x) for x in raw if x >= 0))
    }
    return np.array([order.get(int(label), -1) for label in raw], dtype=np.int64)


def principal_components(features_CD: Array, count: int) -> Array:
    """Coordinates along the first `count` principal axes; each axis' largest entry is positive."""
    from scipy.linalg import eigh

    rows = features_CD - features_CD.mean(axis=0)
    size = len(rows)
    # The Gram matrix is smaller than wide features, and only its top eigenvectors are needed.
    values, axes_CP = eigh(rows @ rows.T, subset_by_index=(max(size - count, 0), size - 1))
    axes_CP = axes_CP[:, ::-1] * np.sqrt(np.maximum(values[::-1], 0))
    largest = np.abs(axes_CP).argmax(axis=0)
    projected: Array = axes_CP * np.where(
        axes_CP[largest, np.arange(axes_CP.shape[1])] < 0, -1.0, 1.0
    )
    return projected


def majority_types(labels_C: Labels, types_C: Labels, *, share: float) -> dict[int, int]:
    """Type held by at least `share` of a cluster's typed words, for each cluster that has one."""
    votes: dict[int, Counter[int]] = {}
    for label, kind in zip(labels_C.tolist(), types_C.tolist(), strict=True):
        if label >= 0 and kind >= 0:
            votes.setdefault(label, Counter())[kind] += 1
    best = {
        label: min(counts.items(), key=lambda item: (-item[1], item[0]))
        for label, counts in votes.items()
    }
    return {
        label: kind
        for label, (kind, count) in best.items()
        if count >= share * sum(votes[label].values())
    }
