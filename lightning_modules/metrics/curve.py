"""Seen against unseen accuracy for every bias at once: three numbers an image and one sort.

A model that never saw some classes (or pairs) in training prefers those it saw. The literature
therefore adds a bias b to the score of everything unseen and reports the whole curve of
(unseen accuracy, seen accuracy) over b (Chao et al., ECCV 2016; Purushwalkam et al., ICCV 2019).

    margin = best score among seen columns - best score among unseen columns
    predicted = best seen column    if b <= margin
                best unseen column  otherwise

    S(b) = share of seen images whose best seen column is right and margin >= b
    U(b) = share of unseen images whose best unseen column is right and margin < b

Both are piecewise constant and change at margins only: one sort of them gives the exact curve.

- Ties: between the groups the seen column wins (b = margin); inside a group the first column.
- Direction: S falls and U rises with b. b is compared with the margin in float64, and never added
  to a score, so no rounding of the sum decides.
- b -> -infinity predicts seen columns only: S is best, U is 0. b -> infinity predicts unseen
  columns only: S is 0, U is best. Both hold unless a group has no column left to predict.
- An image counts in its accuracy whether or not its true column is among those left to predict.

Averages: "micro" over images, as in compositional zero-shot learning; "macro" over the classes that
occur, as in generalised zero-shot learning.

Shape letters: B images, E images of one group, C classes that occur, K points of a curve.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, NamedTuple

import torch
from torch import Tensor
from torch.nn.functional import pad

Average = Literal["micro", "macro"]


class Flips(NamedTuple):
    """Where each image flips from seen to unseen: all that a curve needs.

    Attributes:
        margin_B: largest bias at which the image is still given its best seen column, float64.
        target_B: true column, int64.
        seen_B: the true column is seen, bool.
        right_B: the best column of the true column's own group is the true one, bool.
    """

    margin_B: Tensor
    target_B: Tensor
    seen_B: Tensor
    right_B: Tensor


@dataclass(frozen=True)
class Curve:
    """Seen and unseen accuracy at ascending biases; float64 (K,) each.

    On an exact curve, point k holds for every bias above `bias_K[k - 1]` up to and including
    `bias_K[k]`, the first also for everything below, and the last bias is infinite.
    """

    bias_K: Tensor
    seen_K: Tensor
    unseen_K: Tensor

    def area(self) -> Tensor:
        """Area under seen against unseen accuracy by trapezoids; NaN without both kinds of image.

        Images of equal margin flip together, on a straight line, as in the area under a ROC curve.
        """
        empty = (self.seen_K + self.unseen_K).isnan().any()
        return torch.where(empty, torch.nan, torch.trapezoid(self.seen_K, self.unseen_K))

    def harmonic_K(self) -> Tensor:
        """Harmonic mean of both accuracies at each point."""
        return harmonic_mean(self.seen_K, self.unseen_K)

    def best_bias(self) -> float:
        """The bias of the best harmonic mean: the middle of the interval on which it is reached.

        Choose it on validation images and use it on others. Beyond the first or last margin, where
        the interval has no end, it is one unit of score away. NaN where there is no score.
        """
        point = int(self.harmonic_K().argmax())
        if self.harmonic_K()[point].isnan():
            return float("nan")
        low = float(self.bias_K[point - 1]) if point else float(self.bias_K[0]) - 2
        high = float(self.bias_K[point])
        if high == float("inf"):
            return low + 1 if point else 0.0
        return (low + high) / 2


def harmonic_mean(seen: Tensor, unseen: Tensor) -> Tensor:
    """2 S U / (S + U), and 0 where both are 0.

    Example:
        >>> harmonic_mean(torch.tensor([0.5, 0.0]), torch.tensor([1.0, 0.0]))
        tensor([0.6667, 0.0000])
    """
    return 2 * seen * unseen / (seen + unseen).clamp(min=torch.finfo(seen.dtype).tiny)


def accuracies_at(
    images: Flips, bias_K: Tensor, *, average: Average = "micro"
) -> tuple[Tensor, Tensor]:
    """Seen and unseen accuracy at any biases, float64 (K,) both; NaN without such images."""
    seen, unseen = images.seen_B, ~images.seen_B
    lost_K, kept = _right_below(images, seen, bias_K, average)
    won_K, _ = _right_below(images, unseen, bias_K, average)
    return kept - lost_K, won_K


def _right_below(
    images: Flips, group_B: Tensor, bias_K: Tensor, average: Average
) -> tuple[Tensor, Tensor]:
    """Accuracy of a group over right images with margins below each bias (K,), and over all ()."""
    margin_E, right_E = images.margin_B[group_B], images.right_B[group_B].double()
    num_units = float(len(right_E))
    if average == "macro":
        class_E, size_C = torch.unique(
            images.target_B[group_B], return_inverse=True, return_counts=True
        )[1:]
        right_E, num_units = right_E / size_C[class_E], float(len(size_C))
    margin_E, order_E = margin_E.sort()
    right_E = pad(right_E[order_E].cumsum(0), (1, 0))
    if not num_units:
        right_E = right_E + torch.nan
    share_E = right_E / max(num_units, 1)
    return share_E[torch.searchsorted(margin_E, bias_K.double())], share_E[-1]


def exact_curve(images: Flips, *, average: Average = "micro") -> Curve:
    """Every pair of accuracies that any bias reaches, in order of bias."""
    margin_K = torch.unique(images.margin_B[images.right_B & images.margin_B.isfinite()])
    bias_K = pad(margin_K, (0, 1), value=torch.inf)
    return Curve(bias_K, *accuracies_at(images, bias_K, average=average))
