"""Groups of words: HDBSCAN with its noise, or average linkage, which leaves no word out.

Labels count from 0 in order of first appearance, so the same words in the same order have the same
labels; -1 is noise.

Shape letters: C words, H words of the head, K groups, D features.
"""

from __future__ import annotations

import warnings
from collections import Counter
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.words.evidence import Array
from datamodules.dictionary.words.vectors import unit_rows

Labels = NDArray[np.int64]
_HEAD = 8000


def hdbscan_labels(features_CD: Array, *, pca: int, min_cluster_size: int) -> Labels:
    """Cluster words by density, after PCA: HDBSCAN fades out in many dimensions.

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
    return _in_order(raw)


def linkage_labels(
    features_CD: Array,
    *,
    distance: float | None = None,
    groups: int | None = None,
    head: int = _HEAD,
) -> Labels:
    """Cluster words by average linkage on cosine distance; every known word gets a group.

    Time and memory grow with the square of the head, so words beyond it join the group whose mean
    row is nearest. Words without features are noise.

    Args:
        features_CD: unit rows, the most frequent words first; rows of zeros are unknown words.
        distance: groups are merged while their mean cosine distance, 0 to 2, is at most this.
        groups: or this many groups at most; give one of both.
        head: words that are clustered, the first ones.

    Raises:
        ValueError: if not exactly one of `distance` and `groups` is given.
    """
    from scipy.cluster.hierarchy import fcluster, linkage
    from scipy.spatial.distance import squareform

    if (distance is None) == (groups is None):
        raise ValueError("expected one of distance and groups")
    labels_C = np.full(len(features_CD), -1, dtype=np.int64)
    known = np.flatnonzero(np.linalg.norm(features_CD, axis=1) > 0)
    inside, outside = known[known < head], known[known >= head]
    if len(inside) < 2:
        labels_C[inside] = 0
    else:
        apart_HH = 1 - features_CD[inside] @ features_CD[inside].T
        tree = linkage(squareform(np.maximum(apart_HH, 0.0), checks=False), method="average")
        cut = (distance, "distance") if groups is None else (groups, "maxclust")
        labels_C[inside] = _in_order(fcluster(tree, cut[0], criterion=cut[1]))
    if len(inside) and len(outside):
        sums_KD = np.zeros((int(labels_C.max()) + 1, features_CD.shape[1]))
        np.add.at(sums_KD, labels_C[inside], features_CD[inside])
        labels_C[outside] = (features_CD[outside] @ unit_rows(sums_KD).T).argmax(axis=1)
    return labels_C


def _in_order(raw: NDArray[np.integer[Any]]) -> Labels:
    order = {label: n for n, label in enumerate(dict.fromkeys(x for x in raw.tolist() if x >= 0))}
    return np.array([order.get(label, -1) for label in raw.tolist()], dtype=np.int64)


def principal_components(features_CD: Array, count: int) -> Array:
    """Coordinates along the first `count` principal axes; each axis' largest entry is positive."""
    from scipy.linalg import eigh

    rows = features_CD - features_CD.mean(axis=0)
    size = len(rows)
    # The smaller of both products is taken apart, and only its top eigenvectors are needed.
    if size <= rows.shape[1]:
        values, axes_CP = eigh(rows @ rows.T, subset_by_index=(max(size - count, 0), size - 1))
        axes_CP = axes_CP[:, ::-1] * np.sqrt(np.maximum(values[::-1], 0))
    else:
        width = rows.shape[1]
        _, axes_DP = eigh(rows.T @ rows, subset_by_index=(max(width - count, 0), width - 1))
        axes_CP = rows @ axes_DP[:, ::-1]
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
