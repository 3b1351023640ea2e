"""Regression on seeds, what it says of a seed that it has not seen, and smoothing."""

import numpy as np
import pytest

from datamodules.dictionary.anchoring.phrase_types import anchor_words, seed_accuracy
from datamodules.dictionary.anchoring.regression import held_out_ridge_scores, ridge_scores
from datamodules.dictionary.anchoring.smoothing import neighbors_of, smoothed
from datamodules.dictionary.settings import LikenessSettings, TypeSpec
from datamodules.dictionary.words.vectors import unit_rows


def fan(*degrees):
    """Rows on the unit circle."""
    angles = np.radians(degrees)
    return np.stack([np.cos(angles), np.sin(angles)], axis=1)


def test_ridge_scores_are_those_of_scikit_learn():
    from sklearn.linear_model import Ridge

    rng = np.random.default_rng(0)
    features_CD = unit_rows(rng.normal(size=(30, 8)))
    seeds_T = [[0, 1, 2], [3, 4], [5, 6, 7, 8]]
    target = np.zeros((9, 3))
    for number, rows in enumerate(seeds_T):
        target[rows, number] = 1
    model = Ridge(alpha=0.5, fit_intercept=False).fit(features_CD[:9], target - target.mean(axis=0))
    ours = ridge_scores(features_CD, seeds_T, ridge=0.5)
    np.testing.assert_allclose(ours, model.predict(features_CD), atol=1e-10)


@pytest.mark.parametrize("seeds_T", [[[0, 1, 2], [3, 4], [5]], [[4, 2, 6, 5]]])
@pytest.mark.parametrize("negatives_T", [None, [[7, 3], [], [0]]])
def test_held_out_scores_are_those_of_a_regression_without_the_word(seeds_T, negatives_T):
    features_CD = unit_rows(np.random.default_rng(1).normal(size=(9, 4)))
    against = negatives_T and negatives_T[: len(seeds_T)]
    rows, ours = held_out_ridge_scores(features_CD, seeds_T, ridge=0.3, negatives_T=against)
    assert sorted(rows) == sorted({row for each in (*seeds_T, *(against or ())) for row in each})
    for row, scores in zip(rows, ours, strict=True):
        refit = ridge_scores(
            features_CD,
            [[r for r in each if r != row] for each in seeds_T],
            ridge=0.3,
            negatives_T=against and [[r for r in each if r != row] for each in against],
        )
        np.testing.assert_allclose(scores, refit[row], atol=1e-12)
        seen = ridge_scores(features_CD, seeds_T, ridge=0.3, negatives_T=against)
        assert np.abs(scores - seen[row]).max() > 0.01  # a word that is not held out says so itself


@pytest.mark.parametrize("ridge", [0.01, 0.5])
def test_seed_accuracy_is_that_of_refitting_without_each_seed(ridge):
    rng = np.random.default_rng(5)
    kinds = [TypeSpec(k, (f"kind {k}",), tuple(f"{k}{n}" for n in range(7))) for k in "abc"]
    kinds += [TypeSpec("d", (), ("d0",)), TypeSpec("e", ("kind e", "sort e"))]
    texts = ["other", *anchor_words(kinds)]
    axis = np.array(["oabcde".index(text.removeprefix("kind ")[0]) if text != "sort e" else 5
                     for text in texts])  # fmt: skip
    features_WD = unit_rows(np.eye(6)[axis] + rng.normal(scale=0.5, size=(len(texts), 6)))
    seeds_T = [[texts.index(word) for word in each.anchors] for each in kinds]
    right = []
    for number, kind in enumerate(kinds[:3]):  # "d0" is alone in its type, and "e" has names only
        for seed in map(texts.index, kind.seeds):
            others = [[row for row in rows if row != seed] for rows in seeds_T]
            scores = ridge_scores(features_WD, others, ridge=ridge)
            right.append(scores[seed].argmax() == number)
    assert 0.5 < np.mean(right) < 1  # neither all nor none
    asked = LikenessSettings(ridge=ridge)
    found = seed_accuracy(texts, features_WD, kinds, settings=asked)
    assert found == pytest.approx(np.mean(right))
    assert seed_accuracy(texts, features_WD, kinds[3:]) is None


def test_a_negative_pushes_its_likes_out_of_the_type():
    features_CD = fan(0, 90, 20, 25)  # a seed of each type, a negative of the first, a word by it
    plain = ridge_scores(features_CD, [[0], [1]], ridge=0.5)
    pushed = ridge_scores(features_CD, [[0], [1]], ridge=0.5, negatives_T=[[2], []])
    assert pushed[3, 0] < plain[3, 0] - 0.2
    assert pushed[3, 0] - pushed[3, 1] < (plain[3, 0] - plain[3, 1]) / 2


def test_smoothing_solves_its_equation_over_the_nearest_words():
    rng = np.random.default_rng(0)
    features_CD = unit_rows(rng.normal(size=(20, 6)))
    features_CD[7] = 0  # unknown
    scores_CT = rng.random((20, 3))
    weights = np.zeros((20, 20))
    for row in range(20):
        cosine = features_CD[row] @ features_CD.T
        cosine[row] = -np.inf
        for near in np.argsort(-cosine)[:4]:
            weights[row, near] = max(cosine[near], 0) ** 2
    weights /= np.maximum(weights.sum(axis=1, keepdims=True), 1e-300)
    weights[7] = np.eye(20)[7]
    expected = np.linalg.solve(np.eye(20) - 0.5 * weights, 0.5 * scores_CT)
    ours = smoothed(scores_CT, neighbors_of(features_CD, count=4, head=20), share=0.5)
    np.testing.assert_allclose(ours, expected, atol=1e-5)
    np.testing.assert_array_equal(ours[7], scores_CT[7])
    near_two = smoothed(scores_CT, neighbors_of(features_CD, count=4, head=2), share=0.5)
    assert np.abs(near_two - ours).max() > 0.01  # only the first two words are neighbors
    alone = neighbors_of(features_CD[:1], count=4, head=9)
    np.testing.assert_array_equal(smoothed(scores_CT[:1], alone, share=0.5), scores_CT[:1])
