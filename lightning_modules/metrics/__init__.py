"""Scores, as pure functions over tensors and as torchmetrics classes that keep sums or few numbers.

values          one attribute: accuracy, or average precision and balanced accuracy
per_class       mean over classes
seen_unseen     seen against unseen accuracy for every bias, exact
zero_shot       generalised zero-shot: seen, unseen, harmonic mean, AUSUC
compositional   attribute-object pairs: seen, unseen, harmonic mean, AUC, closed and open world
masked          many attributes with unknown labels: mAP, mR@15, mA, F1@15
groups          worst group, and averages over groups
"""

from __future__ import annotations

from lightning_modules.metrics.compositional import CompositionalAccuracy, literature_sweep
from lightning_modules.metrics.curve import Curve, Flips, exact_curve
from lightning_modules.metrics.groups import GroupAccuracy
from lightning_modules.metrics.masked import MaskedAttributeScores
from lightning_modules.metrics.per_class import PerClassAccuracy
from lightning_modules.metrics.seen_unseen import flips
from lightning_modules.metrics.values import (
    BalancedAccuracy,
    MeanAveragePrecision,
    Objective,
    ValueAccuracy,
    attribute_metrics,
    average_precision,
    balanced_accuracy,
    is_correct,
    mean_average_precision,
    outcomes,
    true_and_predicted,
)
from lightning_modules.metrics.zero_shot import GeneralizedZeroShot, calibrated_stacking

__all__ = [
    "BalancedAccuracy",
    "CompositionalAccuracy",
    "Curve",
    "Flips",
    "GeneralizedZeroShot",
    "GroupAccuracy",
    "MaskedAttributeScores",
    "MeanAveragePrecision",
    "Objective",
    "PerClassAccuracy",
    "ValueAccuracy",
    "attribute_metrics",
    "average_precision",
    "balanced_accuracy",
    "calibrated_stacking",
    "exact_curve",
    "flips",
    "is_correct",
    "literature_sweep",
    "mean_average_precision",
    "outcomes",
    "true_and_predicted",
]
