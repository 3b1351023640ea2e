"""Scores of an attribute against scikit-learn, with unknown labels, and shared by two processes."""

import copy

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, average_precision_score, balanced_accuracy_score
from torchmetrics.utilities import dim_zero_cat

from datamodules.errors import InputError
from lightning_modules.metrics import (
    ValueAccuracy,
    attribute_metrics,
    average_precision,
    is_correct,
    mean_average_precision,
    true_and_predicted,
)

NUM_IMAGES, NUM_VALUES = 300, 7


@pytest.fixture
def exclusive():
    """Logits, one true value an image, all known but for the first 20 images."""
    random = torch.Generator().manual_seed(0)
    true = torch.randint(NUM_VALUES - 1, (NUM_IMAGES,), generator=random)  # the last never occurs
    label = torch.nn.functional.one_hot(true, NUM_VALUES).to(torch.int8)
    logits = torch.randn(NUM_IMAGES, NUM_VALUES, generator=random) + 2 * label
    known = torch.ones(NUM_IMAGES, NUM_VALUES, dtype=torch.bool)
    known[:20] = False
    return logits, label, known


@pytest.fixture
def several():
    """Logits with many ties, any number of true values, a third of the labels unknown."""
    random = torch.Generator().manual_seed(1)
    label = (torch.rand(NUM_IMAGES, NUM_VALUES, generator=random) < 0.3).to(torch.int8)
    logits = (torch.randn(NUM_IMAGES, NUM_VALUES, generator=random) + label).mul(4).round() / 4
    known = torch.rand(NUM_IMAGES, NUM_VALUES, generator=random) < 0.67
    known[:10] = False
    label[known[:, 5], 5], label[known[:, 6], 6] = 0, 1  # no known positive; no known negative
    return logits, label, known


def each_value(function, logits, label, known):
    """A scikit-learn score of each value over the images where it is known."""
    return [
        function(label[known[:, v], v].numpy(), logits[known[:, v], v].numpy())
        for v in range(label.shape[1])
    ]


def in_batches(metrics, arrays, size=64):
    for batch in zip(*(each.split(size) for each in arrays), strict=True):
        metrics.update(*batch)
    return metrics


def numbers(metrics):
    return {name: value.item() for name, value in metrics.compute().items()}


def test_accuracy_is_scikit_learns_over_images_with_a_known_value(exclusive):
    metrics = in_batches(attribute_metrics(NUM_VALUES, "softmax"), exclusive).compute()
    logits, label, _ = exclusive
    true, predicted = label[20:].argmax(1), logits[20:].argmax(1)
    assert metrics["accuracy"].item() == pytest.approx(accuracy_score(true, predicted))
    # scikit-learn averages recall over the classes that occur, as macro accuracy does.
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        reference = balanced_accuracy_score(true, predicted)
    assert metrics["accuracy_macro"].item() == pytest.approx(reference)
    assert set(metrics) == {"accuracy", "accuracy_macro"}


def test_map_is_scikit_learns_over_known_labels_ties_included(several):
    reference = each_value(average_precision_score, *[each[:, :5] for each in several])
    found = average_precision(*several)
    np.testing.assert_allclose(found[:5], reference, rtol=1e-5)
    assert found[5:].isnan().all()
    for objective in ("sigmoid", "contrastive"):
        metrics = in_batches(attribute_metrics(NUM_VALUES, objective), several).compute()
        assert metrics["map"].item() == pytest.approx(np.mean(reference), rel=1e-5)
        assert set(metrics) == {"map", "balanced_accuracy"}


def test_balanced_accuracy_is_scikit_learns_at_zero(several):
    metrics = in_batches(attribute_metrics(NUM_VALUES, "sigmoid"), several).compute()
    logits, label, known = (each[:, :5] for each in several)
    reference = each_value(balanced_accuracy_score, logits > 0, label, known)
    assert metrics["balanced_accuracy"].item() == pytest.approx(np.mean(reference))


def test_contrastive_balanced_accuracy_asks_for_more_than_chance(several):
    metrics = in_batches(attribute_metrics(NUM_VALUES, "contrastive"), several).compute()
    logits, label, known = several
    predicted = logits.softmax(1) > 1 / NUM_VALUES
    reference = each_value(balanced_accuracy_score, predicted[:, :5], label[:, :5], known[:, :5])
    assert metrics["balanced_accuracy"].item() == pytest.approx(np.mean(reference))
    shifted = in_batches(
        attribute_metrics(NUM_VALUES, "contrastive"), (logits + 25, label, known)
    ).compute()
    assert shifted["balanced_accuracy"] == metrics["balanced_accuracy"]


@pytest.mark.parametrize("objective", ["softmax", "sigmoid", "contrastive"])
def test_what_unknown_labels_say_never_matters(objective, exclusive, several):
    logits, label, known = exclusive if objective == "softmax" else several
    one = attribute_metrics(NUM_VALUES, objective)
    other = one.clone()
    one.update(logits, label, known)
    other.update(logits, torch.where(known, label, 1 - label), known)
    assert one.compute() == other.compute()


@pytest.mark.parametrize("objective", ["softmax", "sigmoid", "contrastive"])
def test_a_score_of_nothing_is_nan(objective):
    metrics = attribute_metrics(3, objective)
    nothing = torch.zeros(4, 3), torch.ones(4, 3), torch.zeros(4, 3, dtype=torch.bool)
    metrics.update(*nothing)
    metrics.update(*(each[:0] for each in nothing))
    assert all(value.isnan() for value in metrics.compute().values())
    assert mean_average_precision(*(each[:0] for each in nothing)).isnan()


def gathered(metrics):
    """The metrics of several processes after Lightning has gathered their states."""
    one, *others = metrics
    for name, metric in one.items(keep_base=True, copy_state=False):
        for state, reduction in metric._reductions.items():
            parts = [getattr(each[name], state) for each in (one, *others)]
            if isinstance(parts[0], list):
                setattr(metric, state, reduction([dim_zero_cat(each) for each in parts]))
            else:
                setattr(metric, state, reduction(torch.stack(parts)))
        metric._computed = None
    return one


@pytest.mark.parametrize("objective", ["softmax", "sigmoid", "contrastive"])
def test_two_processes_score_as_one(objective, exclusive, several):
    arrays = exclusive if objective == "softmax" else several
    alone = numbers(in_batches(attribute_metrics(NUM_VALUES, objective), arrays))
    halves = [
        in_batches(attribute_metrics(NUM_VALUES, objective), [each[rank::2] for each in arrays])
        for rank in range(2)
    ]
    together = numbers(gathered(copy.deepcopy(halves)))
    assert together == pytest.approx(alone)
    assert numbers(halves[0]) != pytest.approx(alone)


def test_accuracy_keeps_two_counts_a_value_and_no_logits(exclusive):
    metric = ValueAccuracy(NUM_VALUES)
    metric.update(*exclusive)
    states = {name: getattr(metric, name) for name in metric._defaults}
    assert {name: tuple(each.shape) for name, each in states.items()} == {
        "hits": (NUM_VALUES,),
        "totals": (NUM_VALUES,),
    }


def test_splits_have_metrics_of_their_own(exclusive):
    seen = attribute_metrics(NUM_VALUES, "softmax").clone(prefix="seen_")
    unseen = attribute_metrics(NUM_VALUES, "softmax").clone(prefix="unseen_")
    seen.update(*exclusive)
    unseen.update(-exclusive[0], *exclusive[1:])
    assert seen.compute()["seen_accuracy"] > unseen.compute()["unseen_accuracy"]


def test_an_image_of_several_values_is_right_if_the_top_one_is_among_them():
    logits = torch.tensor([[0.0, 3.0, 1.0], [3.0, 0.0, 1.0], [3.0, 0.0, 1.0]])
    label = torch.tensor([[1, 1, 0], [0, 1, 1], [1, 0, 0]])
    known = torch.ones(3, 3, dtype=torch.bool)
    known[2, 0] = False
    true, predicted = true_and_predicted(logits, label, known)
    assert (true.tolist(), predicted.tolist()) == ([1, 1, -1], [1, 0, 0])
    torch.testing.assert_close(
        is_correct(logits, label, known), torch.tensor([1.0, 0.0, torch.nan]), equal_nan=True
    )


def test_half_precision_logits_are_scored_in_full(several):
    metrics = attribute_metrics(NUM_VALUES, "sigmoid")
    metrics.update(several[0].bfloat16(), *several[1:])
    assert metrics["map"].scores[0].dtype == torch.float32


def test_an_unknown_objective_is_refused():
    with pytest.raises(
        InputError,
        match="expected an objective among softmax, sigmoid, contrastive, got 'hinge'",
    ):
        attribute_metrics(3, "hinge")
