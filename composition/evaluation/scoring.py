"""A learned composition and its yardsticks on the same images: scores, gains, and their intervals.

    gain = score(learned) - score(yardstick),   on one test split, images resampled in pairs

Nothing is chosen on a test split: the scale that is searched is chosen on the validation splits.
"""

from __future__ import annotations

from collections.abc import Iterator
from functools import partial
from typing import Any

import torch

from composition.composer import Composer
from composition.evaluation.answers import Answers, Place, answers
from composition.evaluation.protocol import protocol
from composition.evaluation.results import Evaluation, Gain, Score
from composition.evaluation.unseen import seen_and_unseen
from composition.yardsticks import LEARNED, assign, restored, yardsticks
from datamodules.combinations import CombinationDataModule
from datamodules.tasks import TasksDataModule
from lightning_modules.comparison import Row, compare, compare_metric
from lightning_modules.metrics import is_correct, mean_average_precision

_METRIC_RESAMPLES = 500  # average precision is sorted anew for each resample


def evaluate(model: Composer, data: TasksDataModule) -> Evaluation:
    """Score every model on the validation and test splits of every task.

    In one process, wherever the composer lies; its coefficients are left as they are.

    Args:
        model: the composer, after `prepare` and its fit.
        data: the tasks that it was prepared for.
    """
    tasks = data.tasks
    splits = {name: ("validation", *task.test_splits) for name, task in tasks.items()}
    validation = dict.fromkeys(tasks, ("validation",))
    metrics = {head.name: head.main_metric for head in model.task_heads}

    def merit() -> float:
        its = answers(model, data, validation, text="best scale")
        return model.objective.merit({task: a.score(metrics[task]) for (task, _), a in its.items()})

    found = yardsticks(
        model.composition, model.basis, merit, model.objective.arithmetic(model.basis.names)
    )
    learned = answers(model, data, splits, text=LEARNED)
    scores: list[Score] = []
    gains: list[Gain] = []
    with restored(model.composition):
        for name, coefficients in found.models.items():
            if name == LEARNED:
                scores += _scores(model, data, name, learned)
                continue
            assign(model.composition, coefficients)
            its = answers(model, data, splits, text=name)
            scores += _scores(model, data, name, its)
            gains += _gains(model, name, its, learned)
    of_fit = protocol(model, data) | {"yardsticks": found.chosen_on}
    return Evaluation(tuple(scores), tuple(gains), found.search, found.left_out, of_fit)


def _scores(
    model: Composer, data: TasksDataModule, name: str, found: dict[Place, Answers]
) -> Iterator[Score]:
    """The main score of each task and split, and what only combinations have."""
    for head in model.task_heads:
        own = {split: each for (task, split), each in found.items() if task == head.name}
        for split, each in own.items():
            value, count = each.score(head.main_metric), len(each.label_NV)
            yield Score(name, head.name, split, head.main_metric, value, count)
        task_data = data.tasks[head.name]
        tests = [each for split, each in own.items() if split != "validation"]
        if not isinstance(task_data, CombinationDataModule) or not tests:
            continue
        together, count = (
            " + ".join(task_data.test_splits),
            sum(len(each.label_NV) for each in tests),
        )
        seen_C = torch.from_numpy(task_data.seen)
        numbers = seen_and_unseen(tests, seen_C, closed=task_data.world == "closed")
        for metric, value in numbers.items():
            yield Score(name, head.name, together, metric, value, count)


def _gains(
    model: Composer, name: str, its: dict[Place, Answers], learned: dict[Place, Answers]
) -> Iterator[Gain]:
    metrics = {head.name: head.main_metric for head in model.task_heads}
    for (task, split), each in its.items():
        if split != "validation":
            row = _compared(metrics[task], each, learned[task, split])
            numbers = row.num_images, row.base, row.adapted, row.gain, row.low, row.high
            yield Gain(name, task, split, row.metric, *numbers)


def _compared(metric: str, its: Answers, learned: Answers) -> Row:
    if metric == "accuracy":
        return compare(is_correct(*its), is_correct(*learned))

    def mean_ap(*arrays: Any) -> float:
        return float(mean_average_precision(*map(torch.as_tensor, arrays)))

    both = partial(compare_metric, mean_ap, its.logits_NV, learned.logits_NV)
    return both(its.label_NV, its.known_NV, metric=metric, num_resamples=_METRIC_RESAMPLES)
