"""Unlearning: some tasks to chance, the others kept.

    L(c) = 2 mean over forgotten tasks of max(0, log p(shown value) - log 1/V)
           + mean over kept tasks of their own loss

aTLAS (Eq. 9) climbs the forgotten task's cross-entropy without end: into answers that are surely
wrong, from which the attribute can still be read. Here nothing is gained below chance, 1/V. Even
answers, by KL(uniform || p), were tried as well: they ask for more than scaled deltas can give, and
forget less (docs/composition.md). Forgetting counts twice, for it has to arrive at chance, while
what is kept may lose a little.

Shape letters: B images, V values of a task.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Mapping, Sequence
from typing import Any

from torch import Tensor

from composition.objectives.objective import Model, Objective, mean_of
from datamodules.errors import InputError

KEPT = 0.95  # share of the base's score that a control task must keep
_FORGETTING = 2.0  # its weight in the loss
_TINY = 1e-12  # a base that scores nothing has nothing to lose


class Negation(Objective):
    """Forget some of the tasks and keep the rest, which are the control.

    Args:
        forget: names of the tasks to forget.
        experts: task -> the deltas of its own attributes, for all tasks.

    Raises:
        InputError: if none is forgotten, none is kept, or one is no task.
    """

    information = "labelled training images"
    uses_labels = True

    def __init__(self, forget: Collection[str], experts: Mapping[str, Collection[str]]) -> None:
        if unknown := sorted(set(forget) - set(experts)):
            raise InputError(
                f"--model.forget names {', '.join(unknown)}, expected some of the tasks: "
                f"{', '.join(experts)}."
            )
        if not forget:
            raise InputError("--model.forget is empty, expected the tasks to be forgotten.")
        if set(forget) == set(experts):
            raise InputError(
                f"--model.forget names every task ({', '.join(experts)}), so none is left as the "
                "control that shows what else is lost. Add a task that is to be kept."
            )
        self.forget = frozenset(forget)
        self._own = {delta for task in forget for delta in experts[task]}
        self._base: dict[str, float] = {}
        self._chance: dict[str, float] = {}

    def begin(self, model: Model) -> None:
        """Score the base, which the control is held against."""
        self._base = model.base_scores()
        self._chance = {head.name: head.chance for head in model.task_heads}

    def loss(self, model: Model, batch: Mapping[str, Any]) -> Tensor:
        """The loss of a batch."""
        lost, kept = [], []
        for head, logits_BV, labels in model.scored(batch["image"], batch["parts"]):
            if head.name in self.forget:
                lost.append(above_chance(logits_BV, labels["label"]))
            else:
                kept.append(head.loss(logits_BV, labels))
        return _FORGETTING * mean_of(lost) + mean_of(kept)

    def arithmetic(self, deltas: Sequence[str]) -> dict[str, float]:
        """-1 for the deltas of forgotten attributes, 0 for the others; -1 for all if none is.

        Ilharco et al., ICLR 2023, https://arxiv.org/abs/2212.04089.
        """
        own = self._own.intersection(deltas) or set(deltas)
        return {name: -1.0 if name in own else 0.0 for name in deltas}

    def merit(self, scores: Mapping[str, float]) -> float:
        """Least of the forgotten tasks among models that keep 95 % of every control's base score.

        A model that does not is below all that do, by how much it lost. Ask after `begin`.
        """
        left = [max(scores[name] - self._chance[name], 0.0) for name in self.forget]
        lost = [
            (KEPT * base - scores[name]) / max(base, _TINY)
            for name, base in self._base.items()
            if name not in self.forget
        ]
        return -sum(left) / len(left) - (1 + max(lost) if max(lost) > 0 else 0.0)


def above_chance(logits_BV: Tensor, label_BV: Tensor) -> Tensor:
    """Mean of how far the log-probability of what is shown lies above that of chance, at least 0.

    Args:
        logits_BV: scores.
        label_BV: 1 where a value is shown; images without any are left out, several values of one
            image count alike.
    """
    shown_BV = label_BV.bool()
    log_p_BV = logits_BV.log_softmax(1) + math.log(logits_BV.shape[1])
    return (log_p_BV.clamp_min(0) * shown_BV).sum() / shown_BV.sum().clamp_min(1)


def check_control(
    forget: Collection[str], subjects: Mapping[str, Collection[tuple[str, str]]]
) -> None:
    """Make sure that nothing is to be forgotten and kept at once.

    Args:
        forget: names of the tasks to forget.
        subjects: task -> (source, attribute) of what it asks about.

    Raises:
        InputError: if a task that is kept asks about an attribute that is to be forgotten.
    """
    lost = {subject: task for task in forget for subject in subjects[task]}
    for task, own in subjects.items():
        for subject in own:
            if task not in forget and subject in lost:
                raise InputError(
                    f"--model.forget {lost[subject]}: the task {task}, a control, asks about "
                    f"{subject[1]} of {subject[0]} too, which cannot be forgotten and kept at "
                    "once. Leave that task out, or forget it as well."
                )
