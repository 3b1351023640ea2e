"""Seen and unseen combinations: counted by hand, closed and open world, over all splits at once."""

import math

import numpy as np
import pytest
import torch

from composition.evaluation.answers import Answers
from composition.evaluation.unseen import METRICS, seen_and_unseen
from lightning_modules.metrics import CompositionalAccuracy


def drawn(seed=0, classes=13, images=(40, 30)):
    """Two splits of drawn scores that lean to what is true and to what is seen."""
    random = np.random.default_rng(seed)
    seen = np.arange(classes) % 3 > 0
    found = []
    for count in images:
        truth = random.integers(
            classes - 2, size=count
        )  # a seen and an unseen class that no image shows
        scores = random.normal(size=(count, classes)) + 0.7 * seen
        scores[np.arange(count), truth] += 1.5
        label = np.eye(classes, dtype=np.int8)[truth]
        known = np.ones_like(label, dtype=bool)
        found.append(Answers(*(torch.from_numpy(x) for x in (scores, label, known))))
    return found, seen


def merged(found):
    scores, label, known = (torch.cat(x).numpy() for x in zip(*found, strict=True))
    return scores[known.any(1)], label[known.any(1)].argmax(1)


@pytest.mark.parametrize("closed", [True, False])
def test_numbers_are_counts_over_all_images(closed):
    found, seen = drawn()
    found[1].known_NV[:5] = False  # these do not count
    scores, truth = merged(found)
    assert len(scores) == 65
    allowed = (seen | np.isin(np.arange(13), truth)) if closed else np.ones(13, bool)
    assert allowed.sum() == (12 if closed else 13)
    shown = np.where(allowed, scores, -np.inf)
    is_seen = seen[truth]
    points = []
    for bias in np.linspace(-12, 12, 4801):
        right = (shown + bias * ~seen).argmax(1) == truth
        points.append((right[is_seen].mean(), right[~is_seen].mean()))
    seen_accuracy, unseen_accuracy = np.array(points).T
    harmonic = 2 * seen_accuracy * unseen_accuracy / (seen_accuracy + unseen_accuracy)
    got = seen_and_unseen(found, torch.from_numpy(seen), closed=closed)
    assert tuple(got) == METRICS
    assert got["seen"] == pytest.approx(seen_accuracy[2400])
    assert got["unseen"] == pytest.approx(unseen_accuracy[2400])
    assert got["best_seen"] == pytest.approx(seen_accuracy.max())
    assert got["best_unseen"] == pytest.approx(unseen_accuracy.max())
    assert got["best_harmonic"] == pytest.approx(harmonic.max())
    area = np.sum(np.diff(unseen_accuracy) * (seen_accuracy[1:] + seen_accuracy[:-1]) / 2)
    assert got["auc"] == pytest.approx(area, abs=2e-3)
    assert 0 < got["unseen"] < got["best_unseen"] < 1
    assert 0.1 < got["auc"] < got["best_seen"]


def test_numbers_are_those_of_the_metric_that_papers_use():
    found, seen = drawn(seed=1)
    scores, truth = merged(found)
    metric = CompositionalAccuracy(torch.from_numpy(seen))
    metric.update(torch.from_numpy(scores), torch.from_numpy(truth))
    expected = {name: float(value) for name, value in metric.compute().items()}
    got = seen_and_unseen(found, torch.from_numpy(seen), closed=False)
    for name in METRICS[2:]:
        assert got[name] == pytest.approx(expected[name], abs=1e-6)


def test_without_unseen_images_there_is_no_curve():
    found, seen = drawn()
    got = seen_and_unseen(found, torch.ones(len(seen)).bool(), closed=True)
    assert math.isnan(got["unseen"])
    assert math.isnan(got["auc"])
    assert 0 < got["seen"] == got["best_seen"] < 1
