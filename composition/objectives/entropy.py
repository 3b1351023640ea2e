"""Test-time adaptation by entropy: be sure, whatever of (AdaMerging, Yang et al., ICLR 2024).

L(c) = mean over tasks of the mean over images of H(p(. | image; theta(c)))

Shape letters: B images, V values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from composition.objectives.objective import Model, Objective, mean_of


class Entropy(Objective):
    """Mean entropy of the answers, in nats; no label is looked at."""

    information = "unlabelled training images"
    uses_labels = False

    def loss(self, model: Model, batch: Mapping[str, Any]) -> Tensor:
        """The loss of a batch."""
        scored = model.scored(batch["image"], batch["parts"])
        return mean_of([_entropy(each.logits_BV) for each in scored])


def _entropy(logits_BV: Tensor) -> Tensor:
    log_p_BV = logits_BV.log_softmax(1)
    return -(log_p_BV.exp() * log_p_BV).sum(1).mean()
