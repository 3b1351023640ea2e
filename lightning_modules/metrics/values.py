"""Scores of one attribute: accuracy where values exclude each other, average precision where not.

    accuracy           share of images whose highest logit is a true value
    accuracy_macro     the same for each true value, averaged over the values that occur
    map                mean over values of the average precision of ranking images by that value
    balanced_accuracy  mean over values of (true positive rate + true negative rate) / 2

Unknown labels never count, neither for nor against. A score of nothing is NaN, not 0.

Shape letters: B images, V values of the attribute.
"""

from __future__ import annotations

import math
from typing import Literal, get_args

import torch
from torch import Tensor
from torchmetrics import Metric, MetricCollection
from torchmetrics.utilities import dim_zero_cat

from datamodules.errors import InputError
from lightning_modules.metrics.per_class import class_counts, mean_per_class

Objective = Literal["softmax", "sigmoid", "contrastive"]


def attribute_metrics(num_values: int, objective: Objective) -> MetricCollection:
    """The scores that suit an objective; clone the collection for each split.

    Every metric takes logits (B, V), label (B, V) in {0, 1} and known (B, V) bool.

    Args:
        num_values: V, the number of values of the attribute.
        objective: "softmax" gives "accuracy" and "accuracy_macro"; "sigmoid" and "contrastive"
            give "map" and "balanced_accuracy".

    Raises:
        InputError: if the objective is unknown.
    """
    if objective == "softmax":
        return MetricCollection(
            {
                "accuracy": ValueAccuracy(num_values),
                "accuracy_macro": ValueAccuracy(num_values, average="macro"),
            }
        )
    if objective in get_args(Objective):
        return MetricCollection(
            {
                "map": MeanAveragePrecision(),
                "balanced_accuracy": BalancedAccuracy(
                    num_values, threshold="zero" if objective == "sigmoid" else "chance"
                ),
            }
        )
    raise InputError(
        f"expected an objective among {', '.join(get_args(Objective))}, got {objective!r}."
    )


def true_and_predicted(logits_BV: Tensor, label_BV: Tensor, known_BV: Tensor) -> tuple[Tensor, ...]:
    """True and predicted value of each image, int64 (B,); the true one is -1 where none is known.

    Any true value counts as found: if several are known, the true one is the predicted one where
    that is among them, else the first.
    """
    positive_BV = label_BV.bool() & known_BV
    predicted_B = logits_BV.argmax(dim=1)
    hit_B = positive_BV.gather(1, predicted_B[:, None])[:, 0]
    first_B = positive_BV.int().argmax(dim=1)
    true_B = torch.where(hit_B, predicted_B, first_B)
    return torch.where(positive_BV.any(dim=1), true_B, -1), predicted_B


def is_correct(logits_BV: Tensor, label_BV: Tensor, known_BV: Tensor) -> Tensor:
    """1 or 0 for each image, float32 (B,); NaN where no true value is known.

    Example:
        >>> logits, known = torch.eye(3), torch.ones(3, 3, dtype=torch.bool)
        >>> is_correct(logits, torch.tensor([[1, 0, 0], [1, 0, 0], [0, 0, 0]]), known)
        tensor([1., 0., nan])
    """
    true_B, predicted_B = true_and_predicted(logits_BV, label_BV, known_BV)
    return torch.where(true_B < 0, torch.nan, (true_B == predicted_B).float())


def average_precision(scores_BV: Tensor, label_BV: Tensor, known_BV: Tensor) -> Tensor:
    """Average precision of each value, float32 (V,): sum over k of (R_k - R_{k-1}) P_k.

    Equal scores share one threshold, as in scikit-learn. NaN for a value without a known positive
    or without a known negative image: there is nothing to rank.
    """
    order_BV = scores_BV.argsort(dim=0, descending=True)
    scores_BV, label_BV, known_BV = (
        each.gather(0, order_BV) for each in (scores_BV, label_BV, known_BV)
    )
    positive_BV = label_BV.bool() & known_BV
    seen_BV, found_BV = known_BV.cumsum(0), positive_BV.cumsum(0)
    precision_BV = found_BV / seen_BV.clamp(min=1)
    at_threshold_BV = precision_BV.gather(0, _last_of_its_equals(scores_BV))
    num_positive_V, num_known_V = positive_BV.sum(0), known_BV.sum(0)
    precision_V = (at_threshold_BV * positive_BV).sum(0) / num_positive_V
    return torch.where(num_positive_V < num_known_V, precision_V, torch.nan)


def _last_of_its_equals(sorted_BV: Tensor) -> Tensor:
    """Row of the last entry equal to each entry, in columns that are sorted; int64 (B, V)."""
    is_last_BV = torch.ones_like(sorted_BV, dtype=torch.bool)
    is_last_BV[:-1] = sorted_BV[:-1] != sorted_BV[1:]
    return last_of_each(is_last_BV)


def last_of_each(is_last_BV: Tensor) -> Tensor:
    """Row of the first mark at or below each entry, in each column; int64 (B, V)."""
    row_B = torch.arange(len(is_last_BV), device=is_last_BV.device)
    row_BV = torch.where(is_last_BV, row_B[:, None], len(is_last_BV))
    return row_BV.flip(0).cummin(0).values.flip(0) if len(is_last_BV) else row_BV


def mean_average_precision(scores_BV: Tensor, label_BV: Tensor, known_BV: Tensor) -> Tensor:
    """Mean of `average_precision` over the values that have one, scalar; NaN if none has."""
    return average_precision(scores_BV, label_BV, known_BV).nanmean()


def outcomes(predicted_BV: Tensor, label_BV: Tensor, known_BV: Tensor) -> Tensor:
    """True positives, false negatives, true negatives, false positives per value, int64 (4, V)."""
    yes_BV, is_BV = predicted_BV.bool(), label_BV.bool()
    cases = (yes_BV & is_BV, ~yes_BV & is_BV, ~yes_BV & ~is_BV, yes_BV & ~is_BV)
    return torch.stack([(case & known_BV).sum(0) for case in cases])


def balanced_accuracies(outcomes_4V: Tensor) -> Tensor:
    """(True positive rate + true negative rate) / 2 of each value, float64 (V,), or NaN."""
    hit_V, miss_V, rejected_V, false_V = outcomes_4V.double()
    rate_V: Tensor = (hit_V / (hit_V + miss_V) + rejected_V / (rejected_V + false_V)) / 2
    return rate_V


def balanced_accuracy(outcomes_4V: Tensor) -> Tensor:
    """Mean of (true positive rate + true negative rate) / 2 over the values that have both."""
    return balanced_accuracies(outcomes_4V).nanmean().float()


class ValueAccuracy(Metric):
    """How often the highest logit is a true value; keeps two counts a value.

    Args:
        num_values: V, the number of values of the attribute.
        average: "micro" over images, or "macro": over the values that occur.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    hits: Tensor
    totals: Tensor

    def __init__(self, num_values: int, *, average: Literal["micro", "macro"] = "micro") -> None:
        super().__init__()
        self.average = average
        for name in ("hits", "totals"):
            self.add_state(name, torch.zeros(num_values, dtype=torch.int64), dist_reduce_fx="sum")

    def update(self, logits: Tensor, label: Tensor, known: Tensor) -> None:
        """Count a batch: logits (B, V), label (B, V), known (B, V)."""
        true_B, predicted_B = true_and_predicted(logits, label, known)
        hits_V, totals_V = class_counts(true_B, true_B == predicted_B, len(self.totals))
        self.hits += hits_V
        self.totals += totals_V

    def compute(self) -> Tensor:
        """The accuracy, scalar float32; NaN before any scored image."""
        if self.average == "micro":
            return self.hits.sum() / self.totals.sum()
        return mean_per_class(self.hits, self.totals)


class MeanAveragePrecision(Metric):
    """Mean average precision over values; keeps the logits of all images with a known label."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    scores: list[Tensor]
    marks: list[Tensor]

    def __init__(self) -> None:
        super().__init__()
        self.add_state("scores", default=[], dist_reduce_fx="cat")
        # int8: 1 positive, 0 negative, -1 unknown.
        self.add_state("marks", default=[], dist_reduce_fx="cat")

    def update(self, logits: Tensor, label: Tensor, known: Tensor) -> None:
        """Keep a batch: logits (B, V), label (B, V), known (B, V)."""
        rows = known.any(dim=1)
        self.scores.append(logits[rows].float())
        self.marks.append(torch.where(known, label.bool().to(torch.int8), -1)[rows])

    def compute(self) -> Tensor:
        """The mean average precision, scalar float32; NaN if no value has both labels."""
        if isinstance(self.scores, list) and not self.scores:
            return torch.tensor(math.nan, device=self.device)
        scores_BV, mark_BV = dim_zero_cat(self.scores), dim_zero_cat(self.marks)
        return mean_average_precision(scores_BV, mark_BV == 1, mark_BV >= 0)


class BalancedAccuracy(Metric):
    """Mean over values of (true positive rate + true negative rate) / 2; keeps four counts a value.

    Args:
        num_values: V, the number of values of the attribute.
        threshold: what makes a value predicted: "zero", a logit above 0 (a sigmoid above 1/2), or
            "chance", a softmax share above 1 / V, since contrastive logits have no zero point.
    """

    is_differentiable = False
    higher_is_better = True
    full_state_update = False
    counts: Tensor

    def __init__(self, num_values: int, *, threshold: Literal["zero", "chance"] = "zero") -> None:
        super().__init__()
        self.threshold = threshold
        zeros = torch.zeros(4, num_values, dtype=torch.int64)
        self.add_state("counts", zeros, dist_reduce_fx="sum")

    def update(self, logits: Tensor, label: Tensor, known: Tensor) -> None:
        """Count a batch: logits (B, V), label (B, V), known (B, V)."""
        logits = logits.float()
        if self.threshold == "chance":
            logits = logits.log_softmax(dim=1) + math.log(logits.shape[1])
        self.counts += outcomes(logits > 0, label, known)

    def compute(self) -> Tensor:
        """The balanced accuracy, scalar float32; NaN if no value has both labels."""
        return balanced_accuracy(self.counts)
