"""Where the page draws each word: near words near, and the same place on every run."""

import numpy as np
import pytest
from sklearn.neighbors import NearestNeighbors

from datamodules.dictionary.report import map as word_map
from datamodules.dictionary.report.map import map_points


def clouds(count, size, width=12, seed=0):
    rng = np.random.default_rng(seed)
    centers_CD = rng.normal(size=(count, width)) * 3
    owner_W = np.repeat(np.arange(count), size)
    features_WD = centers_CD[owner_W] + rng.normal(size=(count * size, width)) * 0.4
    return [f"w{row}" for row in range(len(owner_W))], features_WD, owner_W


def test_words_of_one_cloud_are_drawn_together():
    texts, features_WD, owner_W = clouds(6, 20)
    points_WP = map_points(texts, features_WD)
    _, near_WK = NearestNeighbors(n_neighbors=6).fit(points_WP).kneighbors(points_WP)
    assert (owner_W[near_WK[:, 1:]] == owner_W[:, None]).mean() > 0.98


@pytest.mark.parametrize("size", [2, 9, 60])
def test_points_do_not_depend_on_the_order_of_the_words(size):
    rng = np.random.default_rng(1)
    features_WD, texts = rng.normal(size=(size, 8)), [f"w{row}" for row in range(size)]
    points_WP = map_points(texts, features_WD)
    order = rng.permutation(size)
    again_WP = map_points([texts[row] for row in order], features_WD[order])
    np.testing.assert_array_equal(again_WP, points_WP[order])
    np.testing.assert_array_equal(points_WP, np.round(points_WP, 3))
    assert np.abs(points_WP).max() == 10


def test_many_words_stay_at_their_principal_components(monkeypatch):
    monkeypatch.setattr(word_map, "MAX_TSNE", 50)
    rng = np.random.default_rng(2)
    features_WD = rng.normal(size=(51, 6)) * [9, 5, 1, 1, 1, 1]
    points_WP = map_points([str(row) for row in range(51)], features_WD)
    centered_WD = features_WD - features_WD.mean(axis=0)
    axes_2D = np.linalg.svd(centered_WD, full_matrices=False)[2][:2]
    for axis, found_W in zip(axes_2D, points_WP.T, strict=True):
        assert abs(np.corrcoef(centered_WD @ axis, found_W)[0, 1]) > 0.999999
    spread = np.ptp(points_WP, axis=0) / np.ptp(centered_WD @ axes_2D.T, axis=0)
    assert spread[0] == pytest.approx(spread[1], rel=1e-3)  # one scale for both axes


@pytest.mark.parametrize(("size", "width"), [(0, 4), (1, 4), (12, 4), (5, 0)])
def test_words_that_nothing_tells_apart_stand_at_the_center(size, width):
    points_WP = map_points(["same"] * size, np.ones((size, width)))
    np.testing.assert_array_equal(points_WP, np.zeros((size, 2)))


def test_one_feature_gives_a_line():
    points_WP = map_points(["a", "b", "c"], np.array([[0.0], [1.0], [3.0]]))
    np.testing.assert_array_equal(np.abs(points_WP), [[10, 0], [3.333, 0], [10, 0]])


@pytest.mark.parametrize("features", [np.ones((2, 3)), np.full((3, 2), np.nan), np.ones(3)])
def test_features_that_are_not_one_finite_row_a_word_are_refused(features):
    with pytest.raises(ValueError, match="expected 3 finite rows of features, got"):
        map_points(["a", "b", "c"], features)
