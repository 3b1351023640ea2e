"""Compositional scores against the published evaluator written out, closed and open world."""

import math
import time

import numpy as np
import pytest
import torch
from torch.testing import assert_close
from torchmetrics import MetricCollection

from datamodules.errors import InputError
from lightning_modules.metrics import CompositionalAccuracy, exact_curve, flips, literature_sweep


def published(scores, targets, seen):
    """The published sweep, image by image and bias by bias, from a copy of the matrix."""
    is_seen = seen[targets]

    def right(bias):
        order = [*np.flatnonzero(seen), *np.flatnonzero(~seen)]  # the seen win ties
        biased = (scores + bias * ~seen)[:, order]
        return np.array(order)[biased.argmax(1)] == targets

    true_score = scores[np.arange(len(scores)), targets]
    difference = (scores[:, seen].max(1) - true_score)[~is_seen & right(1e3)] - 1e-4
    biases = np.sort(difference)[:: max(len(difference) // 20, 1)]
    points = [(right(bias)[is_seen].mean(), right(bias)[~is_seen].mean()) for bias in biases]
    points.append((right(1e3)[is_seen].mean(), right(1e3)[~is_seen].mean()))
    seen_accuracy, unseen_accuracy = np.array(points).T
    area = np.sum(np.diff(unseen_accuracy) * (seen_accuracy[1:] + seen_accuracy[:-1]) / 2)
    both = seen_accuracy + unseen_accuracy
    harmonic = 2 * seen_accuracy * unseen_accuracy / np.where(both, both, 1)
    return seen_accuracy.max(), unseen_accuracy.max(), harmonic.max(), area, len(points)


def simulated(num_images, num_pairs, seed=0, signal=2.0):
    random = np.random.default_rng(seed)
    seen = random.random(num_pairs) < 0.6
    targets = random.integers(num_pairs, size=num_images)
    scores = random.normal(size=(num_images, num_pairs)) + 0.8 * seen
    scores[np.arange(num_images), targets] += signal
    return scores.astype(np.float32).astype(float), targets, seen


@pytest.mark.parametrize(("num_images", "signal"), [(12, 2), (60, 3), (500, 1), (700, 4)])
def test_the_sweep_is_the_published_one(num_images, signal):
    case = simulated(num_images, 30, seed=num_images, signal=signal)
    curve = literature_sweep(flips(*map(torch.from_numpy, case)))
    *numbers, points = published(*case)
    assert len(curve.bias_K) == points
    found = [curve.seen_K.max(), curve.unseen_K.max(), curve.harmonic_K().max(), curve.area()]
    np.testing.assert_allclose(found, numbers, atol=1e-6)


@pytest.mark.parametrize(("right", "biases"), [(5, 5), (39, 39), (40, 20), (59, 30), (1000, 20)])
def test_a_sweep_of_20_points_has_20_to_39(right, biases):
    margin = torch.arange(right, dtype=torch.float64)
    yes, no = torch.ones(right, dtype=torch.bool), torch.zeros(right, dtype=torch.bool)
    curve = literature_sweep(flips_of(margin, yes, no))
    assert len(curve.bias_K) == biases + 1
    assert (curve.bias_K[0].item(), curve.bias_K[-1].item()) == (-1e-4, 1e3)


def flips_of(margin, right, seen):
    images = flips(torch.zeros(1, 2), torch.zeros(1, dtype=torch.long), torch.tensor([True, False]))
    target = torch.zeros(len(margin), dtype=torch.long)
    return images._replace(margin_B=margin, right_B=right, seen_B=seen, target_B=target)


def test_an_image_that_the_largest_bias_does_not_flip_gives_the_sweep_no_bias():
    margin = torch.tensor([1.0, 2000.0], dtype=torch.float64)
    yes, no = torch.ones(2, dtype=torch.bool), torch.zeros(2, dtype=torch.bool)
    curve = literature_sweep(flips_of(margin, yes, no))
    assert curve.bias_K.tolist() == [1 - 1e-4, 1e3]
    assert curve.unseen_K.tolist() == [0, 0.5]


def test_the_sweep_can_miss_the_best_seen_accuracy_and_the_exact_curve_cannot():
    margin = torch.tensor([0.0, 5.0, 3.0], dtype=torch.float64)
    yes, seen = torch.ones(3, dtype=torch.bool), torch.tensor([True, True, False])
    images = flips_of(margin, yes, seen)
    assert literature_sweep(images).seen_K.max().item() == 0.5
    assert exact_curve(images).seen_K.max().item() == 1.0


def test_batches_give_the_numbers_of_the_whole_matrix():
    scores, targets, seen = map(torch.from_numpy, simulated(300, 40))
    allowed = torch.rand(40, generator=torch.Generator().manual_seed(0)) < 0.7
    metric = CompositionalAccuracy(seen, candidates=allowed)
    for batch in zip(scores.split(64), targets.split(64), strict=True):
        metric.update(*batch)
    images = flips(scores, targets, seen, candidates_P=allowed)
    exact, swept = exact_curve(images), literature_sweep(images)
    found = metric.compute()
    for end, curve in (("", exact), ("_sweep", swept)):
        assert found[f"best_seen{end}"].item() == pytest.approx(curve.seen_K.max().item())
        assert found[f"best_unseen{end}"].item() == pytest.approx(curve.unseen_K.max().item())
        assert found[f"best_harmonic{end}"].item() == pytest.approx(curve.harmonic_K().max().item())
        assert found[f"auc{end}"].item() == pytest.approx(curve.area().item())
    assert len(found) == 8
    assert_close(metric.curve().seen_K, exact.seen_K)


def test_an_infeasible_pair_is_never_predicted_and_its_images_count_as_wrong():
    scores = torch.tensor([[0.0, 5.0, 1.0], [0.0, 5.0, 1.0], [0.0, 5.0, 1.0]])
    seen, target = torch.tensor([True, False, False]), torch.tensor([0, 1, 2])
    world = CompositionalAccuracy(seen)
    world.update(scores, target)
    feasible = CompositionalAccuracy(seen, candidates=torch.tensor([True, False, True]))
    feasible.update(scores, target)
    assert world.flips().right_B.tolist() == [True, True, False]
    assert feasible.flips().right_B.tolist() == [True, False, True]
    assert feasible.compute()["best_unseen"].item() == 0.5


def test_attribute_and_object_are_read_off_the_pair_predicted_without_bias():
    parts = torch.tensor([[0, 0], [0, 1], [1, 0], [1, 1]])
    metric = CompositionalAccuracy(torch.tensor([True, True, False, False]), parts=parts)
    predicted = torch.tensor([0, 0, 2, 3])
    metric.update(torch.eye(4)[predicted], torch.tensor([0, 1, 3, 0]))
    found = metric.compute()
    assert (found["attribute"].item(), found["object"].item()) == (0.75, 0.25)
    metric.reset()
    metric.update(torch.tensor([[0.0, 1.0, 1.0, 0.0]]), torch.tensor([1]))  # a tie: the seen pair
    assert (metric.compute()["attribute"].item(), metric.compute()["object"].item()) == (1, 1)


def test_an_image_whose_pair_is_not_known_is_not_scored():
    scores, targets, seen = map(torch.from_numpy, simulated(50, 10))
    one, other = CompositionalAccuracy(seen), CompositionalAccuracy(seen)
    one.update(scores[10:], targets[10:])
    targets[:10] = -1
    other.update(scores, targets)
    assert one.compute() == other.compute()
    assert_close(flips(scores, targets, seen).margin_B, flips(scores[10:], targets[10:], seen)[0])


def test_closed_and_open_world_in_one_collection_do_not_share_states():
    seen, closed = torch.tensor([True, False, False]), torch.tensor([True, True, False])
    both = MetricCollection(
        {
            "closed": CompositionalAccuracy(seen, candidates=closed),
            "open": CompositionalAccuracy(seen),
        },
    )
    for first in (0.0, 9.0):  # the infeasible pair is never best in the first batch
        both.update(torch.tensor([[1.0, 2.0, first]] * 2), torch.tensor([0, 1]))
    assert both["closed"].compute()["best_unseen"].item() == 1.0
    assert both["open"].compute()["best_unseen"].item() == 0.5


def test_without_unseen_or_without_any_images_scores_are_nan():
    seen = torch.tensor([True, False])
    for number in (0, 3):
        metric = CompositionalAccuracy(seen, parts=torch.zeros(2, 2, dtype=torch.int64))
        target = torch.zeros(number, dtype=torch.int64)
        metric.update(torch.zeros(number, 2), target)
        found = metric.compute()
        assert found["auc"].isnan()
        assert found["auc_sweep"].isnan()
        assert found["best_harmonic"].isnan()
        assert found["best_unseen"].isnan()
        assert found["best_seen"].isnan() == (number == 0)
        assert found["attribute"].isnan() == (number == 0)
        assert math.isnan(metric.curve().best_bias())


def test_c_gqa_takes_seconds_and_keeps_four_numbers_an_image():
    random = torch.Generator().manual_seed(0)
    seen = torch.rand(7767, generator=random) < 0.7
    metric, took = CompositionalAccuracy(seen), 0.0
    for start in range(0, 5098, 128):
        scores = torch.rand(min(128, 5098 - start), 7767, generator=random)
        target = torch.randint(7767, (len(scores),), generator=random)
        begun = time.perf_counter()
        metric.update(scores, target)
        took += time.perf_counter() - begun
    begun = time.perf_counter()
    metric.compute()
    assert took + time.perf_counter() - begun < 5
    kept = {name: len(metric.vector(name)) for name in metric._vector_types}
    assert kept == dict.fromkeys(("best_seen", "best_unseen", "target", "right"), 5098)


def test_scores_that_are_no_numbers_are_refused():
    metric = CompositionalAccuracy(torch.tensor([True, False]))
    metric.update(
        torch.tensor([[0.0, 1.0], [math.nan, 0.0], [math.inf, math.inf]]), torch.zeros(3).long()
    )
    message = (
        "expected a number as best score, got NaN or infinity for 2 of 3 images. Leave columns out "
        "with `candidates`, not with infinity."
    )
    with pytest.raises(InputError) as caught:
        metric.compute()
    assert str(caught.value) == message


@pytest.mark.parametrize(
    ("seen", "allowed", "message"),
    [
        (
            torch.zeros(3),
            None,
            "expected masks of type bool and shape (P,), got torch.float32 (3,) and torch.float32 "
            "(3,). Give one bool a column.",
        ),
        (
            torch.zeros(3, dtype=torch.bool),
            torch.ones(2, dtype=torch.bool),
            "expected candidates among 3 columns, got 2 of 2. Give one bool a column, true for at "
            "least one.",
        ),
        (
            torch.zeros(3, dtype=torch.bool),
            torch.zeros(3, dtype=torch.bool),
            "expected candidates among 3 columns, got 0 of 3. Give one bool a column, true for at "
            "least one.",
        ),
    ],
)
def test_masks_that_do_not_fit_are_refused(seen, allowed, message):
    with pytest.raises(InputError) as caught:
        CompositionalAccuracy(seen, candidates=allowed)
    assert str(caught.value) == message


def test_parts_that_do_not_fit_are_refused():
    with pytest.raises(InputError) as caught:
        CompositionalAccuracy(torch.tensor([True, False]), parts=torch.zeros(3, 2))
    assert str(caught.value) == (
        "expected parts (2, 2), the attribute and object of each pair, got (3, 2). Give one row a "
        "pair."
    )
