"""Scores of many attributes where most labels are unknown (VAW: Pham et al., CVPR 2021).

    map                   mean over attributes of the average precision over labelled images
    mean_recall_at_15     mean over attributes of the share of positives in their image's top 15
    balanced_accuracy     mean over attributes of (true positive rate + true negative rate) / 2
    f1_at_15              F1 of all labels together, where the top 15 of an image are predicted

(The paper's mAP, mR@15, mA and F1@15, https://arxiv.org/abs/2106.09707.) The top 15 are taken among
all attributes of an image, labelled or not; only labelled ones are counted. Of equal logits the
first attribute ranks higher; for average precision equal logits share one threshold.

An attribute enters a mean only where it is defined: average precision and balanced accuracy need a
known positive and a known negative, recall needs a known positive. The authors' script instead
drops the whole mean at the first attribute without one, and ranks logits below 0 out of the top 15.

Shape letters: B images, V attributes, E known labels, G groups of attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import torch
from torch import Tensor
from torch.nn.functional import pad

from datamodules.errors import InputError
from lightning_modules.metrics.states import VectorStates
from lightning_modules.metrics.values import balanced_accuracies, last_of_each, outcomes


def in_top(logits_BV: Tensor, num: int) -> Tensor:
    """Whether an attribute is among the `num` highest of its image, bool (B, V).

    Example:
        >>> in_top(torch.tensor([[0.0, 2.0, 2.0, -1.0]]), 2)
        tensor([[False,  True,  True, False]])
    """
    first_BK = logits_BV.argsort(dim=1, descending=True, stable=True)[:, :num]
    return torch.zeros_like(logits_BV, dtype=torch.bool).scatter(1, first_BK, True)


def average_precision_of_entries(
    score_E: Tensor, value_E: Tensor, positive_E: Tensor, num_values: int
) -> Tensor:
    """Average precision of each attribute from its labelled entries alone, float64 (V,).

    As `average_precision`, without a dense matrix: equal scores share one threshold, and an
    attribute without a positive or without a negative is NaN.

    Args:
        score_E: higher means more likely positive.
        value_E: attribute of each entry, int64 from 0 to V - 1.
        positive_E: bool, the label.
        num_values: V.
    """
    order_E = score_E.argsort(descending=True)
    order_E = order_E[value_E[order_E].argsort(stable=True)]
    score_E, value_E, positive_E = score_E[order_E], value_E[order_E], positive_E[order_E].long()
    zeros_V = torch.zeros(num_values, dtype=torch.int64, device=score_E.device)
    known_V = zeros_V.scatter_add(0, value_E, torch.ones_like(value_E))
    positive_V = zeros_V.scatter_add(0, value_E, positive_E)
    start_E = (known_V.cumsum(0) - known_V)[value_E]
    rank_E = torch.arange(1, len(score_E) + 1, device=score_E.device) - start_E
    found_E = pad(positive_E.cumsum(0), (1, 0))
    found_E = found_E[1:] - found_E[start_E]
    ends_E = (score_E[:-1] != score_E[1:]) | (value_E[:-1] != value_E[1:])
    last_E = last_of_each(pad(ends_E, (0, 1), value=True)[: len(score_E), None])[:, 0]
    precision_E = found_E[last_E].double() / rank_E[last_E] * positive_E
    sum_V = torch.zeros_like(zeros_V, dtype=torch.float64).scatter_add(0, value_E, precision_E)
    return torch.where(positive_V < known_V, sum_V / positive_V, torch.nan)


def masked_scores(
    precision_V: Tensor, outcomes_4V: Tensor, top_outcomes_4V: Tensor
) -> tuple[Tensor, Tensor, Tensor, Tensor]:
    """mAP, mean recall in the top, balanced accuracy and F1 in the top; scalars, NaN where empty.

    Args:
        precision_V: average precision of each attribute.
        outcomes_4V: outcomes of a threshold (see `outcomes`).
        top_outcomes_4V: outcomes where the top of each image is predicted.
    """
    hit_V, miss_V, _, false_V = top_outcomes_4V.double()
    hits, wrong = hit_V.sum(), miss_V.sum() + false_V.sum()
    f1 = torch.where(hits + miss_V.sum() > 0, 2 * hits / (2 * hits + wrong), torch.nan)
    recall = (hit_V / (hit_V + miss_V)).nanmean()
    return precision_V.nanmean(), recall, balanced_accuracies(outcomes_4V).nanmean(), f1


class MaskedAttributeScores(VectorStates):
    """mAP, mR@15, mA and F1@15 over known labels; keeps two numbers a known label.

    Args:
        num_values: V, the number of attributes.
        groups: attributes of each group, such as {"color": [0, 4], "tail": [4, 7]}; they may
            overlap. Their scores are named `<score>_<group>`.
        top: how many attributes of an image are predicted for recall and F1.
        threshold: logit above which an attribute is predicted for balanced accuracy: 0 for logits,
            0.5 for probabilities.

    Raises:
        InputError: if a group names an attribute that does not exist.
    """

    counts: Tensor
    top_counts: Tensor

    def __init__(
        self,
        num_values: int,
        *,
        groups: Mapping[str, Sequence[int]] | None = None,
        top: int = 15,
        threshold: float = 0.0,
    ) -> None:
        super().__init__()
        self.groups = {name: list(values) for name, values in (groups or {}).items()}
        for name, values in self.groups.items():
            if outside := [value for value in values if not 0 <= value < num_values]:
                raise InputError(
                    f"expected attributes from 0 to {num_values - 1} in group {name!r}, got "
                    f"{outside[0]}. Give the positions of its attributes among the logits."
                )
        self.num_values, self.top, self.threshold = num_values, top, threshold
        for name in ("counts", "top_counts"):
            zeros = torch.zeros(4, num_values, dtype=torch.int64)
            self.add_state(name, zeros, dist_reduce_fx="sum")
        self.add_vector("scores", torch.float32)
        # Attribute and label in one number: 2 * attribute + label.
        self.add_vector("codes", torch.int32)

    def update(self, logits: Tensor, label: Tensor, known: Tensor) -> None:
        """Keep a batch: logits (B, V), label (B, V), known (B, V); label says nothing if unknown.

        Raises:
            InputError: if the shapes differ.
        """
        if not logits.shape == label.shape == known.shape == (len(logits), self.num_values):
            raise InputError(
                f"expected logits, label and known (B, {self.num_values}), got "
                f"{tuple(logits.shape)}, {tuple(label.shape)} and {tuple(known.shape)}. Give one "
                "row an image and one column an attribute."
            )
        logits, known = logits.float(), known.bool()
        value_E = known.nonzero()[:, 1]
        self.append(scores=logits[known], codes=2 * value_E + label.bool()[known])
        self.counts += outcomes(logits > self.threshold, label, known)
        self.top_counts += outcomes(in_top(logits, self.top), label, known)

    def compute(self) -> dict[str, Tensor]:
        """The four scores, and those of each group; float32 scalars, NaN where empty."""
        code_E = self.vector("codes").long()
        precision_V = average_precision_of_entries(
            self.vector("scores"), code_E // 2, code_E % 2 == 1, self.num_values
        )
        counts_4V, top_4V = self.counts.cpu(), self.top_counts.cpu()
        names = ("map", f"mean_recall_at_{self.top}", "balanced_accuracy", f"f1_at_{self.top}")
        found: dict[str, Tensor] = {}
        for group, values in {"": list(range(self.num_values)), **self.groups}.items():
            scores = masked_scores(precision_V[values], counts_4V[:, values], top_4V[:, values])
            for name, score in zip(names, scores, strict=True):
                found[f"{name}_{group}" if group else name] = score.float().to(self.device)
        return found
