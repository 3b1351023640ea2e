"""Labels by experts: each task learns what its own adapter alone says (as SyMerge, ICML 2026).

    L(c) = mean over tasks t of mean over images of CE(p_t(. | image; theta_0 + delta_t), p(c))

A merged model is held against models that exist, which is firmer ground than its own entropy.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from composition.objectives.objective import Model, Objective, by_image, mean_of
from datamodules.errors import InputError


class SelfLabels(Objective):
    """Cross-entropy to the answers of each task's expert; no label is looked at.

    Args:
        experts: task -> the deltas whose sum is its expert.

    Raises:
        InputError: if a task has no expert.
    """

    information = "unlabelled training images"
    uses_labels = False

    def __init__(self, experts: Mapping[str, tuple[str, ...]]) -> None:
        if alone := sorted(task for task, deltas in experts.items() if not deltas):
            raise InputError(
                f"objective self-labels: expected a delta of each task's own attributes, found "
                f"none for {', '.join(alone)}. Add one to --model.deltas, or choose another "
                "objective."
            )
        self.experts = dict(experts)
        self._table: dict[str, Tensor] = {}

    def begin(self, model: Model) -> None:
        """Ask the experts about every training image, once."""
        for number, head in enumerate(model.task_heads):
            index_N, logits_NV = model.training_logits(number, self.experts[head.name])
            self._table[head.name] = by_image(index_N, logits_NV.softmax(1), 0.0)

    def loss(self, model: Model, batch: Mapping[str, Any]) -> Tensor:
        """The loss of a batch."""
        losses = []
        for head, logits_BV, labels in model.scored(batch["image"], batch["parts"]):
            target_BV = self._table[head.name][labels["index"]]
            losses.append(-(target_BV * logits_BV.log_softmax(1)).sum(1).mean())
        return mean_of(losses)
