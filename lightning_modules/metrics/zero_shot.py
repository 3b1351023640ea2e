"""Generalised zero-shot classification: seen, unseen, harmonic mean, and the area over the bias.

Candidates are all classes, test images come from seen and unseen ones, and every accuracy is a mean
over the classes that occur (Xian et al., TPAMI 2019, https://arxiv.org/abs/1707.00600).

    seen, unseen    per-class accuracy of the images of seen and of unseen classes, at one bias
    harmonic_mean   2 S U / (S + U)
    zero_shot       per-class accuracy of unseen images with unseen candidates alone
    ausuc           area under seen against unseen accuracy over all biases, exact

Calibrated stacking (Chao et al., ECCV 2016, https://arxiv.org/abs/1605.04253) subtracts a number
from the score of every seen class; adding it to the unseen ones, as here, predicts the same. Choose
it on validation images with `Curve.best_bias`, never on the images that are reported.
`curve` says how ties go.

Shape letters: B images, C classes.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.metrics.curve import (
    Curve,
    Flips,
    accuracies_at,
    exact_curve,
    harmonic_mean,
)
from lightning_modules.metrics.seen_unseen import SeenUnseenStates


def calibrated_stacking(scores_BC: Tensor, seen_C: Tensor, bias: float) -> Tensor:
    """Scores with the bias taken from every seen class, (B, C).

    Example:
        >>> calibrated_stacking(torch.ones(1, 2), torch.tensor([True, False]), 0.5)
        tensor([[0.5000, 1.0000]])
    """
    return scores_BC - bias * seen_C


def zero_shot_scores(images: Flips, *, bias: float = 0.0) -> dict[str, Tensor]:
    """The five scores of the module's docstring, float64 scalars; NaN without such images."""
    at_2 = torch.tensor([bias, torch.inf], dtype=torch.float64)
    seen_2, unseen_2 = accuracies_at(images, at_2, average="macro")
    return {
        "seen": seen_2[0],
        "unseen": unseen_2[0],
        "harmonic_mean": harmonic_mean(seen_2[0], unseen_2[0]),
        "zero_shot": unseen_2[1],
        "ausuc": exact_curve(images, average="macro").area(),
    }


class GeneralizedZeroShot(SeenUnseenStates):
    """Seen, unseen, harmonic mean, zero-shot accuracy and AUSUC; keeps four numbers an image.

    Args:
        seen: bool (C,), the class was seen in training.
        candidates: bool (C,), the class may be predicted; None for all.
        bias: what is added to the score of every unseen class (calibrated stacking), in units of
            the score; chosen on other images than these.

    Raises:
        InputError: if the masks do not fit.
    """

    def __init__(
        self, seen: Tensor, *, candidates: Tensor | None = None, bias: float = 0.0
    ) -> None:
        super().__init__(seen, candidates=candidates)
        self.bias = bias

    def compute(self) -> dict[str, Tensor]:
        """The five scores, float32 scalars; NaN where there is no such image.

        Raises:
            InputError: if scores of an image are not numbers.
        """
        found = zero_shot_scores(self.flips(), bias=self.bias)
        return {name: value.float().to(self.device) for name, value in found.items()}

    def curve(self) -> Curve:
        """The exact curve of per-class accuracies, over this process's images.

        Inside `with metric.sync_context():` over those of all processes.
        """
        return exact_curve(self.flips(), average="macro")
