"""Joined sources and features, beside the formulas written out with NumPy."""

import numpy as np
import pytest

from datamodules.dictionary.embed import JoinedVectors, features
from datamodules.errors import InputError


class Table:
    """Rows from a dict; a text that is not in it is unknown."""

    def __init__(self, name, rows):
        self.name, self.rows = name, rows
        self.content_hash = name * 8
        self.width = len(next(iter(rows.values())))

    def encode(self, texts):
        rows = [self.rows.get(text, [0] * self.width) for text in texts]
        return np.float32(rows).reshape(-1, self.width)

    def known(self, texts):
        return np.array([text in self.rows for text in texts], dtype=bool)


LEFT = Table("left", {"red": [3, 4], "blue": [0, 2], "round": [1, 0]})
RIGHT = Table("right", {"red": [0, 0, 5], "round": [2, 2, 1], "far": [1, 1, 1]})
TEXTS = ["red", "blue", "round", "far", "none"]


def unit(rows):
    length = np.linalg.norm(rows, axis=-1, keepdims=True)
    return np.divide(rows, length, out=np.zeros_like(rows), where=length > 0)


def test_rows_are_weighted_side_by_side():
    joined = JoinedVectors([(1, LEFT), (0.5, RIGHT)])
    rows = joined.encode(TEXTS)
    np.testing.assert_allclose(rows[0], np.array([0.6, 0.8, 0, 0, 0.5]) / 1.25**0.5, rtol=1e-6)
    np.testing.assert_allclose(rows[1], [0, 1, 0, 0, 0], rtol=1e-6)  # only the left one knows it
    np.testing.assert_allclose(rows[3], [0, 0, *[3**-0.5] * 3], rtol=1e-6)
    assert rows.dtype == np.float32
    assert not rows[4].any()
    assert joined.known(TEXTS).tolist() == [True, True, True, True, False]


def test_products_are_cosines_weighted_by_the_squares():
    rows = JoinedVectors([(1, LEFT), (0.5, RIGHT)]).encode(["red", "round"])
    assert rows[0] @ rows[1] == pytest.approx((0.6 + 0.25 * (1 / 3)) / 1.25, rel=1e-6)


def test_name_and_hash_are_made_of_the_parts():
    joined = JoinedVectors([(1, LEFT), (0.5, RIGHT)])
    assert joined.name == "left+0.5*right"
    hashes = {
        JoinedVectors(parts).content_hash
        for parts in ([(1, LEFT)], [(1, LEFT), (0.5, RIGHT)], [(1, LEFT), (0.6, RIGHT)],
                      [(0.5, RIGHT), (1, LEFT)])
    }  # fmt: skip
    assert len(hashes) == 4
    assert joined.content_hash == JoinedVectors([(1.0, LEFT), (0.5, RIGHT)]).content_hash


def test_features_are_centered_over_known_texts():
    known = np.array([[3, 4], [0, 2], [1, 0]], dtype=float)
    rows = features(LEFT, TEXTS)
    np.testing.assert_allclose(rows[:3], unit(known - known.mean(axis=0)), rtol=1e-6)
    np.testing.assert_allclose(np.linalg.norm(rows, axis=1), [1, 1, 1, 0, 0], rtol=1e-6)


def test_joined_features_center_each_part_over_what_it_knows():
    left = unit(np.array([[3, 4], [0, 2], [1, 0]]) - np.array([4 / 3, 2]))
    right = unit(np.array([[0, 0, 5], [2, 2, 1], [1, 1, 1]]) - np.array([1, 1, 7 / 3]))
    zeros = np.zeros
    expected = unit(
        np.array(
            [
                [*left[0], *0.5 * right[0]],
                [*left[1], *zeros(3)],
                [*left[2], *0.5 * right[1]],
                [*zeros(2), *0.5 * right[2]],
                zeros(5),
            ]
        )
    )
    rows = features(JoinedVectors([(1, LEFT), (0.5, RIGHT)]), TEXTS)
    np.testing.assert_allclose(rows, expected, atol=1e-7)


def test_features_of_nothing_known():
    assert not features(LEFT, ["none", "nothing"]).any()
    assert features(LEFT, []).shape == (0, 2)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan"), float("inf")])
def test_a_weight_is_a_number_above_zero(weight):
    with pytest.raises(InputError) as caught:
        JoinedVectors([(1, LEFT), (weight, RIGHT)])
    assert str(caught.value) == (
        f"expected a weight above 0 for right, got {weight:g}. Correct it or leave that source out."
    )
    with pytest.raises(InputError, match=r"^expected vectors to join, got none"):
        JoinedVectors([])
