"""Cross-entropy on labelled images: few-shot for one task, addition for several.

    L(c) = mean over tasks t of  mean over images of  -log p(label | image; theta(c))

Addition is Eq. 8 of aTLAS (Zhang et al., NeurIPS 2024, arXiv 2407.02880), on training images.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from torch import Tensor

from composition.objectives.objective import Model, Objective, mean_of


class Supervised(Objective):
    """The mean of the tasks' own losses."""

    information = "labelled training images"
    uses_labels = True

    def loss(self, model: Model, batch: Mapping[str, Any]) -> Tensor:
        """The loss of a batch."""
        scored = model.scored(batch["image"], batch["parts"])
        return mean_of([each.head.loss(each.logits_BV, each.labels) for each in scored])
