"""The seen-unseen curve against predicting every image anew at every bias, ties included."""

import math

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from lightning_modules.metrics import exact_curve, flips
from lightning_modules.metrics.curve import Curve, accuracies_at, harmonic_mean


@st.composite
def small_cases(draw, both=True):
    """Whole scores from -2 to 2 (so ties abound), targets, which columns are seen and allowed."""
    num_images, num_pairs = draw(st.integers(2, 9)), draw(st.integers(2, 6))
    whole = st.integers(-2, 2)
    rows = st.lists(whole, min_size=num_pairs, max_size=num_pairs)
    scores = draw(st.lists(rows, min_size=num_images, max_size=num_images))
    pair = st.integers(0, num_pairs - 1)
    targets = draw(st.lists(pair, min_size=num_images, max_size=num_images))
    mask = st.lists(st.booleans(), min_size=num_pairs, max_size=num_pairs)
    seen = draw(mask)
    allowed = draw(mask.filter(any))
    if both:
        seen[0], seen[1], targets[:2] = True, False, [0, 1]
    return np.array(scores, float), np.array(targets), np.array(seen), np.array(allowed)


def tensors(case):
    scores, targets, seen, allowed = map(torch.from_numpy, case)
    return flips(scores, targets, seen, candidates_P=allowed)


def predicted_at(case, bias):
    """Predictions with a bias, one image after the other: seen columns first, so that they win."""
    scores, _, seen, allowed = case
    columns = [*np.flatnonzero(seen & allowed), *np.flatnonzero(~seen & allowed)]
    biased = scores + np.where(seen, 0.0, bias)
    return np.array([max(columns, key=lambda column, row=row: row[column]) for row in biased])


def accuracies(case, bias, macro=False):
    """Seen and unseen accuracy with a bias, from the predictions."""
    _, targets, seen, _ = case
    right = predicted_at(case, bias) == targets
    found = []
    for group in (seen[targets], ~seen[targets]):
        classes = np.unique(targets[group])
        if macro and len(classes):
            found.append(np.mean([right[targets == each].mean() for each in classes]))
        else:
            found.append(right[group].mean() if group.any() else math.nan)
    return found


# Whole scores from -2 to 2 can only flip at whole biases from -4 to 4; halves lie between them.
EVERY_BIAS = np.arange(-5.5, 6, 0.5)


@settings(deadline=None, max_examples=150)
@given(small_cases(both=False), st.booleans())
def test_accuracies_at_a_bias_are_those_of_predicting_anew(case, macro):
    average = "macro" if macro else "micro"
    seen, unseen = accuracies_at(tensors(case), torch.from_numpy(EVERY_BIAS), average=average)
    expected = np.array([accuracies(case, bias, macro) for bias in EVERY_BIAS])
    np.testing.assert_allclose(np.stack([seen, unseen], 1), expected, atol=1e-12)


@settings(deadline=None, max_examples=150)
@given(small_cases(), st.booleans())
def test_the_exact_curve_is_brute_force_over_every_bias(case, macro):
    curve = exact_curve(tensors(case), average="macro" if macro else "micro")
    points = np.array([accuracies(case, bias, macro) for bias in EVERY_BIAS])
    area = np.sum(np.diff(points[:, 1]) * (points[1:, 0] + points[:-1, 0]) / 2)
    harmonic = [0.0 if not s + u else 2 * s * u / (s + u) for s, u in points]
    assert curve.area().item() == pytest.approx(area, abs=1e-12)
    assert curve.harmonic_K().max().item() == pytest.approx(max(harmonic), abs=1e-12)
    assert curve.seen_K.max().item() == pytest.approx(points[0, 0], abs=1e-12)
    assert curve.unseen_K.max().item() == pytest.approx(points[-1, 1], abs=1e-12)
    assert {(round(s, 9), round(u, 9)) for s, u in points} == {
        (round(s, 9), round(u, 9))
        for s, u in zip(curve.seen_K.tolist(), curve.unseen_K.tolist(), strict=True)
    }
    best = accuracies(case, curve.best_bias(), macro)
    assert harmonic_mean(*torch.tensor(best, dtype=torch.float64)[:, None]).item() == (
        pytest.approx(max(harmonic), abs=1e-12)
    )


@settings(deadline=None, max_examples=50)
@given(small_cases())
def test_the_curve_runs_from_one_axis_to_the_other(case):
    curve = exact_curve(tensors(case))
    assert (curve.bias_K.diff() > 0).all()
    assert curve.bias_K[-1] == torch.inf
    assert (curve.seen_K.diff() <= 0).all()
    assert (curve.unseen_K.diff() >= 0).all()
    _, _, seen, allowed = case
    if (seen & allowed).any() and (~seen & allowed).any():
        assert curve.unseen_K[0] == curve.seen_K[-1] == 0


def test_by_hand_ties_go_to_the_seen_and_to_the_first():
    #                  seen  seen  unseen unseen
    scores = torch.tensor(
        [
            [3.0, 3.0, 1.0, 0.0],  # margin 2, seen, right: the first of two equals
            [3.0, 3.0, 1.0, 0.0],  # margin 2, seen, wrong: its pair is the second
            [1.0, 0.0, 0.0, 1.0],  # margin 0, unseen, right once it flips
            [0.0, 2.0, 1.0, 0.0],  # margin 1, unseen, right once it flips
        ]
    )
    seen = torch.tensor([True, True, False, False])
    images = flips(scores, torch.tensor([0, 1, 3, 2]), seen)
    assert images.margin_B.tolist() == [2, 2, 0, 1]
    assert images.right_B.tolist() == [True, False, True, True]
    curve = exact_curve(images)
    assert curve.bias_K.tolist() == [0, 1, 2, math.inf]
    assert curve.seen_K.tolist() == [0.5, 0.5, 0.5, 0]
    assert curve.unseen_K.tolist() == [0, 0.5, 1, 1]
    assert curve.area().item() == 0.5
    assert curve.best_bias() == 1.5
    assert curve.harmonic_K().max().item() == pytest.approx(2 / 3)


def test_images_that_flip_together_are_joined_by_a_straight_line():
    scores = torch.tensor([[1.0, 0.0], [1.0, 0.0]])
    curve = exact_curve(flips(scores, torch.tensor([0, 1]), torch.tensor([True, False])))
    assert (curve.seen_K.tolist(), curve.unseen_K.tolist()) == ([1, 0], [0, 1])
    assert curve.area().item() == 0.5


def test_a_curve_without_a_right_image_has_no_area_and_asks_for_no_bias():
    scores = torch.tensor([[0.0, 1.0, 0.0, 1.0]] * 2)
    seen = torch.tensor([True, True, False, False])
    curve = exact_curve(flips(scores, torch.tensor([0, 2]), seen))
    assert (curve.area().item(), curve.best_bias(), len(curve.bias_K)) == (0.0, 0.0, 1)


def test_the_best_bias_beyond_the_last_margin_is_one_unit_away():
    curve = Curve(torch.tensor([2.0, math.inf]), torch.tensor([0.5, 0.5]), torch.tensor([0.0, 1.0]))
    assert curve.best_bias() == 3.0
