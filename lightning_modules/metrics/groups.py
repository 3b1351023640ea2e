"""Accuracy of the worst group (Sagawa et al., ICLR 2020, https://arxiv.org/abs/1911.08731).

    worst_group   lowest accuracy among groups that occur
    group_mean    mean of the accuracies of groups that occur
    average       accuracy over images
    adjusted      sum over groups of weight x accuracy

A group is any whole number, such as 2 * bird + background for Waterbirds. Its test images are
balanced where its training images are not, so papers report the adjusted average, weighted by the
groups' shares of training images.

Shape letters: B images, E rows to count, G groups.
"""

from __future__ import annotations

import math
from collections.abc import Mapping

import torch
from torch import Tensor

from datamodules.errors import InputError
from lightning_modules.metrics.states import VectorStates


def tally(group_E: Tensor, hits_E: Tensor, totals_E: Tensor) -> tuple[Tensor, Tensor, Tensor]:
    """Groups that occur, ascending, with their summed hits and totals; int64 (G,) each.

    Example:
        >>> tally(torch.tensor([7, -1, 7]), torch.tensor([1, 1, 0]), torch.tensor([1, 1, 1]))
        (tensor([-1,  7]), tensor([1, 1]), tensor([1, 2]))
    """
    group_G, row_E = torch.unique(group_E, return_inverse=True)
    zeros_G = torch.zeros_like(group_G)
    hits_G, totals_G = (zeros_G.scatter_add(0, row_E, each.long()) for each in (hits_E, totals_E))
    return group_G, hits_G, totals_G


def group_scores(
    group_G: Tensor, hits_G: Tensor, totals_G: Tensor, weights: Mapping[int, float] | None = None
) -> dict[str, Tensor]:
    """The scores of the module's docstring, float64 scalars; NaN where nothing was counted.

    Args:
        group_G: the groups, each once.
        hits_G: right images of each.
        totals_G: images of each, at least 1.
        weights: weight of each group, of any sum; None leaves "adjusted" out. It is NaN if a group
            of positive weight has no image: its accuracy is not known.

    Raises:
        InputError: if a group has no weight, or the weights are negative or all 0.
    """
    accuracy_G = hits_G.double() / totals_G
    empty = torch.tensor(math.nan, dtype=torch.float64)
    found = {
        "worst_group": accuracy_G.min() if len(accuracy_G) else empty,
        "group_mean": accuracy_G.mean(),
        "average": hits_G.sum().double() / totals_G.sum(),
    }
    if weights is not None:
        accuracy = dict(zip(group_G.tolist(), accuracy_G.tolist(), strict=True))
        found["adjusted"] = torch.tensor(_weighted(accuracy, weights), dtype=torch.float64)
    return found


def _weighted(accuracy: Mapping[int, float], weights: Mapping[int, float]) -> float:
    _check_weights(weights)
    if missing := sorted(set(accuracy) - set(weights)):
        raise InputError(
            f"expected a weight for every group, got none for {missing[0]}. Give weights for "
            f"{', '.join(map(str, sorted(accuracy)))}; 0 leaves a group out."
        )
    total = sum(weights.values())
    return sum(
        weight / total * accuracy.get(group, math.nan)
        for group, weight in weights.items()
        if weight
    )


def _check_weights(weights: Mapping[int, float]) -> None:
    if not weights or min(weights.values()) < 0 or not 0 < sum(weights.values()) < math.inf:
        raise InputError(
            f"expected weights of at least 0 and one above 0, got {dict(weights)}. Give each "
            "group's number or share of training images."
        )


class GroupAccuracy(VectorStates):
    """Worst-group, mean, average and adjusted accuracy; keeps two counts a group and batch.

    Args:
        weights: weight of each group for "adjusted", of any sum; None leaves it out.

    Raises:
        InputError: if the weights are negative or all 0.
    """

    def __init__(self, *, weights: Mapping[int, float] | None = None) -> None:
        super().__init__()
        if weights is not None:
            _check_weights(weights)
        self.weights = weights
        for name in ("groups", "hits", "totals"):
            self.add_vector(name, torch.int64)

    def update(self, correct: Tensor, group: Tensor) -> None:
        """Count a batch: correct (B,) bool, or 1, 0 and NaN (not scored); group (B,) whole numbers.

        Raises:
            InputError: if the shapes differ or a group is no whole number.
        """
        if correct.shape != group.shape or group.ndim != 1 or group.is_floating_point():
            raise InputError(
                f"expected correct (B,) and group (B,) of whole numbers, got "
                f"{tuple(correct.shape)} and {tuple(group.shape)} {group.dtype}. Give one number "
                "an image in both."
            )
        scored_B = ~correct.isnan()
        correct, group = correct[scored_B] > 0, group[scored_B].long()
        groups, hits, totals = tally(group, correct, torch.ones_like(group))
        self.append(groups=groups, hits=hits, totals=totals)

    def compute(self) -> dict[str, Tensor]:
        """The scores, float32 scalars; NaN before any image.

        Raises:
            InputError: if a group that occurs has no weight.
        """
        found = group_scores(*self._tally(), weights=self.weights)
        return {name: value.float().to(self.device) for name, value in found.items()}

    def by_group(self) -> dict[int, float]:
        """Accuracy of each group among this process's images.

        Inside `with metric.sync_context():` among those of all processes.
        """
        group_G, hits_G, totals_G = self._tally()
        return dict(zip(group_G.tolist(), (hits_G / totals_G).tolist(), strict=True))

    def _tally(self) -> tuple[Tensor, Tensor, Tensor]:
        return tally(self.vector("groups"), self.vector("hits"), self.vector("totals"))
