"""Groups of words: HDBSCAN with noise, average linkage without."""

import numpy as np
import pytest
from scipy.cluster.hierarchy import fcluster, linkage
from sklearn.metrics import adjusted_rand_score

from datamodules.dictionary.grouping.clusters import (
    hdbscan_labels,
    linkage_labels,
    majority_types,
    principal_components,
)
from datamodules.dictionary.words.vectors import unit_rows


def clouds(seed=0, sizes=(6, 6, 6), width=8, spread=0.1):
    rng = np.random.default_rng(seed)
    centers = np.eye(width)[: len(sizes)]
    return unit_rows(
        np.concatenate(
            [rng.normal(c, spread, (n, width)) for c, n in zip(centers, sizes, strict=True)]
        )
    )


def test_hdbscan_finds_two_clouds_and_leaves_the_outlier_as_noise():
    rng = np.random.default_rng(0)
    points = [rng.normal(center, 0.05, (6, 8)) for center in (0, 3)]
    points = np.concatenate([*points, np.full((1, 8), 40.0)])
    labels = hdbscan_labels(points, pca=4, min_cluster_size=3)
    assert labels.tolist() == [0] * 6 + [1] * 6 + [-1]
    assert hdbscan_labels(points[:5], pca=4, min_cluster_size=3).tolist() == [-1] * 5


@pytest.mark.parametrize("shape", [(12, 5), (12, 40)])
def test_principal_components_match_scikit_learn(shape):
    from sklearn.decomposition import PCA

    points = np.random.default_rng(0).normal(size=shape)
    ours, theirs = principal_components(points, 3), PCA(3).fit_transform(points)
    np.testing.assert_allclose(np.abs(ours), np.abs(theirs), atol=1e-10)


def test_a_cluster_has_the_type_that_enough_of_its_typed_words_have():
    labels, types = np.array([0, 0, 0, 1, 1, -1, 2]), np.array([4, 4, 7, 7, 4, 4, -1])
    assert majority_types(labels, types, share=2 / 3) == {0: 4}
    assert majority_types(labels, types, share=0.5) == {0: 4, 1: 4}  # a tie: the smaller type


def test_linkage_finds_the_clouds_by_distance_and_by_number():
    rows = clouds()
    expected = [0] * 6 + [1] * 6 + [2] * 6
    assert linkage_labels(rows, distance=0.5).tolist() == expected
    assert linkage_labels(rows, groups=3).tolist() == expected
    assert linkage_labels(rows, distance=2.0).tolist() == [0] * 18
    assert linkage_labels(rows, distance=0.0).tolist() == list(range(18))


@pytest.mark.parametrize("groups", [2, 5, 9])
def test_linkage_equals_scipy_on_cosines(groups):
    rows = unit_rows(np.random.default_rng(3).normal(size=(60, 12)))
    theirs = fcluster(linkage(rows, "average", "cosine"), groups, "maxclust")
    ours = linkage_labels(rows, groups=groups)
    assert adjusted_rand_score(theirs, ours) == 1.0
    first = [ours.tolist().index(label) for label in range(groups)]
    assert first == sorted(first)  # numbered by first appearance


def test_words_beyond_the_head_join_the_nearest_group():
    rows = clouds()
    order = [0, 1, 2, 6, 7, 8, 12, 13, 14, 3, 9, 15]
    labels = linkage_labels(rows[order], distance=0.5, head=9)
    assert labels.tolist() == [0, 0, 0, 1, 1, 1, 2, 2, 2, 0, 1, 2]
    far = linkage_labels(np.vstack([rows[:3], -rows[:1]]), distance=0.5, head=3)
    assert far.tolist() == [0, 0, 0, 0]  # the nearest group, however far


def test_unknown_words_are_noise_and_few_words_do_no_harm():
    rows = clouds(sizes=(2,))
    nothing = np.zeros((1, 8))
    assert linkage_labels(np.vstack([nothing, rows]), distance=0.5).tolist() == [-1, 0, 0]
    assert linkage_labels(rows[:1], distance=0.5).tolist() == [0]
    assert linkage_labels(nothing, groups=2).tolist() == [-1]
    assert linkage_labels(np.zeros((0, 8)), groups=2).tolist() == []


def test_one_of_distance_and_groups_is_needed():
    for arguments in ({}, {"distance": 0.5, "groups": 3}):
        with pytest.raises(ValueError, match="expected one of distance and groups"):
            linkage_labels(clouds(), **arguments)
