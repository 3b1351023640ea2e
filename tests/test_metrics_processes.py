"""Scores of two processes are those of one, even where one of them saw no image."""

import pytest
import torch

from lightning_modules.metrics import (
    CompositionalAccuracy,
    GeneralizedZeroShot,
    GroupAccuracy,
    MaskedAttributeScores,
    PerClassAccuracy,
)

NUM_IMAGES, NUM_COLUMNS = 120, 9
SEEN = torch.arange(NUM_COLUMNS) < 5
PARTS = torch.stack([torch.arange(NUM_COLUMNS) // 3, torch.arange(NUM_COLUMNS) % 3], dim=1)


def batches():
    """What each metric is updated with."""
    random = torch.Generator().manual_seed(0)
    target = torch.randint(NUM_COLUMNS, (NUM_IMAGES,), generator=random)
    scores = torch.randn(NUM_IMAGES, NUM_COLUMNS, generator=random)
    scores += 1.5 * torch.nn.functional.one_hot(target, NUM_COLUMNS)
    label = torch.rand(NUM_IMAGES, NUM_COLUMNS, generator=random) < 0.5
    known = torch.rand(NUM_IMAGES, NUM_COLUMNS, generator=random) < 0.4
    return {
        "per_class": (scores, target),
        "compositional": (scores, target),
        "zero_shot": (scores, target),
        "masked": (scores, label, known),
        "groups": (scores.argmax(1) == target, target - 4),
    }


def metric_of(name):
    return {
        "per_class": lambda: PerClassAccuracy(NUM_COLUMNS),
        "compositional": lambda: CompositionalAccuracy(SEEN, parts=PARTS),
        "zero_shot": lambda: GeneralizedZeroShot(SEEN, bias=0.3),
        "masked": lambda: MaskedAttributeScores(NUM_COLUMNS, groups={"first": [0, 1]}, top=3),
        "groups": lambda: GroupAccuracy(weights={group - 4: group + 1.0 for group in range(9)}),
    }[name]()


def numbers(found):
    found = found if isinstance(found, dict) else {"score": found}
    return {name: value.item() for name, value in found.items()}


def updated(metric, arrays):
    for batch in zip(*(each.split(16) for each in arrays), strict=True):
        if len(batch[0]):
            metric.update(*batch)
    return metric


def together(one, other):
    """What `one` computes where torchmetrics gathers the states of `other` as well."""
    sent = []

    def keep(state, group=None):
        sent.append(state)
        return [state]

    other.sync(dist_sync_fn=keep, distributed_available=lambda: True)
    theirs = iter(sent)

    def gather(state, group=None):
        their = next(theirs)
        # What torch.distributed asks of the states of two processes.
        assert (state.dtype, state.ndim) == (their.dtype, their.ndim)
        return [state, their]

    one.dist_sync_fn, one.distributed_available_fn = gather, lambda: True
    return numbers(one.compute())


@pytest.mark.parametrize("name", batches())
def test_two_processes_score_as_one(name):
    arrays = batches()[name]
    alone = numbers(updated(metric_of(name), arrays).compute())
    halves = [updated(metric_of(name), [each[rank::2] for each in arrays]) for rank in range(2)]
    assert numbers(halves[0].clone().compute()) != pytest.approx(alone)
    assert together(*halves) == pytest.approx(alone)
    assert len(set(alone.values())) > len(alone) // 2


@pytest.mark.filterwarnings("ignore:The ``compute`` method of metric")
@pytest.mark.parametrize("rank", [0, 1])
@pytest.mark.parametrize("name", batches())
def test_a_process_without_images_adds_nothing(name, rank):
    arrays = batches()[name]
    alone = numbers(updated(metric_of(name), arrays).compute())
    both = [updated(metric_of(name), arrays), metric_of(name)]
    assert together(both[rank], both[1 - rank]) == pytest.approx(alone)


@pytest.mark.parametrize("name", batches())
def test_a_metric_starts_anew_after_reset_and_adds_nothing_to_a_checkpoint(name):
    arrays = batches()[name]
    metric = updated(metric_of(name), arrays)
    alone = numbers(metric.compute())
    metric.reset()
    assert numbers(updated(metric, arrays).compute()) == alone
    assert not metric.state_dict()


@pytest.mark.parametrize("name", batches())
def test_calling_a_metric_scores_the_batch_and_counts_it(name):
    arrays, metric = batches()[name], metric_of(name)
    for start in (0, 60):
        batch = [each[start : start + 60] for each in arrays]
        alone = numbers(updated(metric_of(name), batch).compute())
        assert numbers(metric(*batch)) == pytest.approx(alone)
    whole = numbers(updated(metric_of(name), arrays).compute())
    assert numbers(metric.compute()) == pytest.approx(whole)
