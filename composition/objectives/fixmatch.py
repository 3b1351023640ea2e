"""FixMatch without labels, as aTLAS describes it (arXiv 2407.02880, Eq. 15 and 16, appendix E).

    trusted:    for each class the n images that the zero-shot model is surest are of it; their
                class is fixed as a pseudo-label
    the others: a pseudo-label from the weak view, p^(1/T) normalized, counts for the strong view
                where the weak one is surer than a threshold that rises from .9 to 1 as steps go by

    L = CE(trusted) + mean over the others of [max p >= threshold] CE(pseudo-label, p(strong view))

The published program differs: an index left over from a loop makes every image trusted, and its
sharpening multiplies by one half, which normalization undoes. Here T = 1/2, which does sharpen;
and batches are not forced to hold a fixed share of trusted images.

Shape letters: B images, N training images, V values.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import torch
from torch import Tensor

from composition.objectives.objective import Model, Objective, by_image, mean_of
from composition.objectives.views import strong_view, weak_view

_LOWEST, _HIGHEST = 0.9, 1.0  # of the threshold
_TEMPERATURE = 0.5  # T: below 1 sharpens
_MOST_TRUSTED = 100  # of a class


class FixMatch(Objective):
    """Trusted pseudo-labels and consistency of views; no label is looked at."""

    information = "unlabelled training images"
    uses_labels = False

    def __init__(self) -> None:
        self._trusted: dict[str, Tensor] = {}

    def begin(self, model: Model) -> None:
        """Choose the trusted images by the base model, before anything is learned."""
        for number, head in enumerate(model.task_heads):
            index_N, logits_NV = model.training_logits(number, ())
            self._trusted[head.name] = by_image(index_N, trusted_labels(logits_NV), -1)

    def loss(self, model: Model, batch: Mapping[str, Any]) -> Tensor:
        """The loss of a batch."""
        image, parts = batch["image"], batch["parts"]
        with torch.no_grad():
            weak = model.scored(weak_view(image), parts)
        strong = model.scored(strong_view(image), parts)
        threshold = _LOWEST + (_HIGHEST - _LOWEST) * model.progress
        return mean_of(
            [
                self._task(w.head.name, w.logits_BV, s.logits_BV, s.labels["index"], threshold)
                for w, s in zip(weak, strong, strict=True)
            ]
        )

    def _task(
        self, task: str, weak_BV: Tensor, strong_BV: Tensor, index_B: Tensor, threshold: float
    ) -> Tensor:
        label_B = self._trusted[task][index_B]
        log_p_BV = strong_BV.log_softmax(1)
        known_B = label_B >= 0
        fixed_B = -log_p_BV.gather(1, label_B.clamp(min=0)[:, None])[:, 0]
        p_BV = weak_BV.softmax(1)
        sure_B = (p_BV.amax(1) >= threshold) & ~known_B
        sharp_BV = p_BV ** (1 / _TEMPERATURE)
        sharp_BV = sharp_BV / sharp_BV.sum(1, keepdim=True)
        other_B = -(sharp_BV * log_p_BV).sum(1)
        trusted = (fixed_B * known_B).sum() / known_B.sum().clamp_min(1)
        rest = (other_B * sure_B).sum() / (~known_B).sum().clamp_min(1)
        return trusted + rest


def trusted_labels(logits_NV: Tensor) -> Tensor:
    """The class of each trusted image, int64 (N,); -1 for the others.

    Of each class the n = min(N / V, 100) images that score highest for it; an image that several
    classes ask for goes to the one it scores highest for.

    Args:
        logits_NV: scores of the zero-shot model.
    """
    number, classes = logits_NV.shape
    count = max(1, min(number // classes, _MOST_TRUSTED))
    p_NV = logits_NV.softmax(1)
    chosen_NV = torch.zeros_like(p_NV, dtype=torch.bool)
    top_KV = p_NV.topk(min(count, number), dim=0).indices
    chosen_NV.scatter_(0, top_KV, True)
    best_N = p_NV.masked_fill(~chosen_NV, -1).argmax(1)
    return torch.where(chosen_NV.any(1), best_N, -1)
