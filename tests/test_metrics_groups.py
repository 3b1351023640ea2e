"""Worst-group and adjusted accuracy against loops over the groups."""

import math

import numpy as np
import pytest
import torch

from datamodules.errors import InputError
from lightning_modules.metrics import GroupAccuracy

IDS = (-3, 0, 17, 10**12)
WEIGHTS = {-3: 3498, 0: 184, 17: 56, 10**12: 1057}  # training images of each


@pytest.fixture
def grouped():
    """Whether each image is right, float with some NaN, and its group."""
    random = np.random.default_rng(0)
    group = random.choice(IDS, 500, p=[0.4, 0.3, 0.2, 0.1])
    rate = np.select([group == 0, group == 17], [0.9, 0.4], 0.7)
    correct = (random.random(500) < rate).astype(np.float32)
    correct[::25] = math.nan
    return torch.from_numpy(correct), torch.from_numpy(group)


def in_batches(metric, arrays, size=64):
    for batch in zip(*(each.split(size) for each in arrays), strict=True):
        metric.update(*batch)
    return metric.compute()


def test_scores_are_those_of_a_loop_over_groups(grouped):
    correct, group = (each.numpy() for each in grouped)
    metric = GroupAccuracy(weights=WEIGHTS)
    found = in_batches(metric, grouped)
    each = {name: np.nanmean(correct[group == name], dtype=float) for name in IDS}
    adjusted = sum(WEIGHTS[name] * each[name] for name in IDS) / sum(WEIGHTS.values())
    assert found["worst_group"].item() == pytest.approx(min(each.values()))
    assert found["group_mean"].item() == pytest.approx(np.mean(list(each.values())))
    assert found["average"].item() == pytest.approx(np.nanmean(correct, dtype=float))
    assert found["adjusted"].item() == pytest.approx(adjusted)
    assert metric.by_group() == pytest.approx(each)
    assert len({round(score.item(), 6) for score in found.values()}) == 4


def test_without_weights_nothing_is_adjusted(grouped):
    found = in_batches(GroupAccuracy(), (grouped[0].nan_to_num(0).bool(), grouped[1]))
    assert set(found) == {"worst_group", "group_mean", "average"}


def test_counts_are_kept_for_each_group_and_batch_not_for_each_image(grouped):
    metric = GroupAccuracy()
    in_batches(metric, grouped, size=250)
    assert len(metric.vector("groups")) == 2 * len(IDS)


def test_a_weighted_group_without_images_leaves_the_adjusted_average_unknown(grouped):
    found = in_batches(GroupAccuracy(weights=WEIGHTS | {5: 1.0}), grouped)
    assert found["adjusted"].isnan()
    assert not in_batches(GroupAccuracy(weights=WEIGHTS | {5: 0.0}), grouped)["adjusted"].isnan()


def test_no_image_no_score():
    metric = GroupAccuracy(weights={0: 1.0})
    metric.update(torch.zeros(0), torch.zeros(0, dtype=torch.int64))
    metric.update(torch.tensor([math.nan]), torch.tensor([3]))
    assert all(score.isnan() for score in metric.compute().values())


def test_what_does_not_fit_is_refused(grouped):
    for weights, shown in (({}, "{}"), ({0: 0.0}, "{0: 0.0}"), ({0: 1, 1: -1}, "{0: 1, 1: -1}")):
        with pytest.raises(InputError) as caught:
            GroupAccuracy(weights=weights)
        assert str(caught.value) == (
            f"expected weights of at least 0 and one above 0, got {shown}. Give each group's "
            "number or share of training images."
        )
    with pytest.raises(InputError) as caught:
        in_batches(GroupAccuracy(weights={0: 1.0}), grouped)
    assert str(caught.value) == (
        "expected a weight for every group, got none for -3. Give weights for -3, 0, 17, "
        "1000000000000; 0 leaves a group out."
    )
    with pytest.raises(InputError) as caught:
        GroupAccuracy().update(torch.ones(2), torch.ones(2))
    assert str(caught.value) == (
        "expected correct (B,) and group (B,) of whole numbers, got (2,) and (2,) torch.float32. "
        "Give one number an image in both."
    )
