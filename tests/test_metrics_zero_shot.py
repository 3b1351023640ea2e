"""Per-class and generalised zero-shot accuracy against scikit-learn and a sweep of biases."""

import numpy as np
import pytest
import torch
from sklearn.metrics import balanced_accuracy_score, recall_score

from datamodules.errors import InputError
from lightning_modules.metrics import (
    GeneralizedZeroShot,
    PerClassAccuracy,
    calibrated_stacking,
    exact_curve,
    flips,
)
from lightning_modules.metrics.per_class import class_counts

NUM_IMAGES, NUM_CLASSES = 400, 12
SEEN = torch.arange(NUM_CLASSES) < 8


@pytest.fixture
def classified():
    """Scores and classes, very uneven; class 3 never occurs, class 7 has one image."""
    random = np.random.default_rng(0)
    share = np.array([8, 1, 4, 0, 2, 1, 1, 0, 6, 1, 2, 3.0])
    target = random.choice(NUM_CLASSES, NUM_IMAGES, p=share / share.sum())
    target[0] = 7
    scores = random.normal(size=(NUM_IMAGES, NUM_CLASSES)) + 0.7 * SEEN.numpy()
    scores[np.arange(NUM_IMAGES), target] += 2
    return torch.from_numpy(scores).float(), torch.from_numpy(target)


def in_batches(metric, arrays, size=64):
    for batch in zip(*(each.split(size) for each in arrays), strict=True):
        metric.update(*batch)
    return metric.compute()


def recall(target, predicted):
    """Mean recall over the classes that occur, by scikit-learn."""
    return recall_score(target, predicted, labels=np.unique(target), average="macro")


def test_per_class_accuracy_is_the_mean_recall_of_classes_that_occur(classified):
    scores, target = classified
    found = in_batches(PerClassAccuracy(NUM_CLASSES), classified)
    with pytest.warns(UserWarning, match="y_pred contains classes not in y_true"):
        expected = balanced_accuracy_score(target, scores.argmax(1))
    assert found.item() == pytest.approx(expected)


def test_a_class_not_known_counts_nowhere(classified):
    scores, target = classified
    target[:50] = -1
    found = in_batches(PerClassAccuracy(NUM_CLASSES), (scores, target))
    assert found.item() == pytest.approx(recall(target[50:], scores[50:].argmax(1)))
    hits, totals = class_counts(target, torch.ones(NUM_IMAGES), NUM_CLASSES)
    assert hits.tolist() == totals.tolist() == np.bincount(target[50:], minlength=12).tolist()


def test_no_image_has_no_accuracy():
    metric = PerClassAccuracy(3)
    metric.update(torch.zeros(0, 3), torch.zeros(0, dtype=torch.long))
    metric.update(torch.zeros(2, 3), torch.tensor([-1, -1]))
    assert metric.compute().isnan()


@pytest.mark.parametrize("bias", [0.0, 0.6, -1.0])
def test_generalised_zero_shot_is_the_recall_of_each_side_at_the_bias(classified, bias):
    scores, target = classified
    found = in_batches(GeneralizedZeroShot(SEEN, bias=bias), classified)
    predicted = calibrated_stacking(scores.double(), SEEN, bias).argmax(1)
    is_seen = SEEN[target]
    seen = recall(target[is_seen], predicted[is_seen])
    unseen = recall(target[~is_seen], predicted[~is_seen])
    assert found["seen"].item() == pytest.approx(seen)
    assert found["unseen"].item() == pytest.approx(unseen)
    assert found["harmonic_mean"].item() == pytest.approx(2 * seen * unseen / (seen + unseen))
    only_unseen = scores[~is_seen][:, ~SEEN].argmax(1) + int(SEEN.sum())
    assert found["zero_shot"].item() == pytest.approx(recall(target[~is_seen], only_unseen))


def test_ausuc_is_the_limit_of_an_ever_finer_sweep_of_the_bias(classified):
    scores, target = classified
    found = in_batches(GeneralizedZeroShot(SEEN), classified)
    is_seen, points = SEEN[target], []
    for bias in np.linspace(-7, 9, 4001):
        predicted = calibrated_stacking(scores.double(), SEEN, bias).argmax(1)
        points.append(
            [
                np.mean(
                    [(predicted[target == c] == c).double().mean() for c in target[side].unique()]
                )
                for side in (is_seen, ~is_seen)
            ]
        )
    seen, unseen = np.array(points).T
    assert (unseen[0], seen[-1]) == (0, 0)
    area = np.sum(np.diff(unseen) * (seen[1:] + seen[:-1]) / 2)
    assert found["ausuc"].item() == pytest.approx(area, abs=2e-3)
    assert found["ausuc"].item() == pytest.approx(
        exact_curve(flips(scores, target, SEEN), average="macro").area().item()
    )


def test_a_bias_chosen_on_some_images_is_used_on_others(classified):
    scores, target = classified
    chosen = GeneralizedZeroShot(SEEN)
    in_batches(chosen, (scores[::2], target[::2]))
    bias = chosen.curve().best_bias()
    others = scores[1::2], target[1::2]
    plain = in_batches(GeneralizedZeroShot(SEEN), others)
    stacked = in_batches(GeneralizedZeroShot(SEEN, bias=bias), others)
    assert 0 < bias < 3
    assert stacked["harmonic_mean"] > plain["harmonic_mean"] + 0.05
    assert stacked["ausuc"] == plain["ausuc"]


@pytest.mark.parametrize("metric", [PerClassAccuracy(3), GeneralizedZeroShot(SEEN[:3])])
def test_scores_and_targets_that_do_not_fit_are_refused(metric):
    target = torch.tensor([0, 1])
    for scores, wrong, message in (
        (
            torch.zeros(2, 4),
            target,
            "expected scores (B, 3) and targets (B,) of whole numbers, got (2, 4) and (2,) "
            "torch.int64. Give one row an image and one column a class.",
        ),
        (
            torch.zeros(3, 3),
            target,
            "expected scores (B, 3) and targets (B,) of whole numbers, got (3, 3) and (2,) "
            "torch.int64. Give one row an image and one column a class.",
        ),
        (
            torch.zeros(2, 3),
            target.float(),
            "expected scores (B, 3) and targets (B,) of whole numbers, got (2, 3) and (2,) "
            "torch.float32. Give one row an image and one column a class.",
        ),
        (
            torch.zeros(2, 3),
            target + 2,
            "expected targets from 0 to 2 (-1: not known), got 2 to 3. Give each image the column "
            "of its true class.",
        ),
    ):
        with pytest.raises(InputError) as caught:
            metric.update(scores, wrong)
        assert str(caught.value) == message
