"""The classifier of one task: what the values' prompts say, frozen, and the loss that suits them.

Shape letters: B images, N images of a split, V values, D embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
from torch import Tensor, nn

from datamodules.attribute import AttributeDataModule
from datamodules.errors import InputError
from lightning_modules.losses import choose_objective, contrastive_loss, sigmoid_loss, softmax_loss
from lightning_modules.metrics import Objective, attribute_metrics
from lightning_modules.tensors import first_five

_HALVINGS = 60  # of the interval in which a bias is sought: to the last bit of a float32


class TaskHead(nn.Module):
    """Scores of image embeddings for the values of one task; nothing in it is learned.

    Args:
        name: of the task.
        data: its data module, after `setup`.
        text_VD: unit-norm embeddings of its values.

    Attributes:
        objective: "softmax", "sigmoid" or "contrastive", by the labels.
        bias: added to scores that are read as log odds, see `calibrate`; 0 at first.
        chance: main score, on the validation split, of answers that know nothing.
        seen_V: values that the training split shows; the others are left out of the training loss,
            which would else learn that they never occur.

    Raises:
        InputError: if the training images show nothing that could be told apart.
    """

    text_VD: Tensor
    seen_V: Tensor
    bias: Tensor

    def __init__(self, name: str, data: AttributeDataModule, text_VD: Tensor) -> None:
        super().__init__()
        self.name, self.values, self.test_splits = name, data.values, data.test_splits
        labels, members = data.labels(data.attribute), data.members("train")
        label, known = (torch.from_numpy(x[members]) for x in (labels.label, labels.known))
        self.objective: Objective = choose_objective(label, known, exclusive=data.exclusive)
        _check_told(name, self.values, label.bool() & known, known, self.objective)
        seen_V = label.any(0) if self.objective == "softmax" else torch.ones(len(text_VD)).bool()
        self.register_buffer("text_VD", text_VD, persistent=False)
        self.register_buffer("seen_V", seen_V, persistent=False)
        self.register_buffer("bias", torch.zeros(()), persistent=False)
        self.metrics = attribute_metrics(len(self.values), self.objective)
        self.main_metric = "accuracy" if self.objective == "softmax" else "map"
        members = data.members("validation")
        label, known = (torch.from_numpy(x[members]) for x in (labels.label, labels.known))
        self.chance = 1 / len(self.values) if self.objective == "softmax" else _rate(label, known)

    def forward(self, image_BD: Tensor, scale: Tensor) -> Tensor:
        """Scores (B, V)."""
        return scale * image_BD @ self.text_VD.T + self.bias

    def calibrate(self, logits_NV: Tensor, label_NV: Tensor, known_NV: Tensor) -> None:
        """Choose the bias with which as many values are believed as are true, over what is known.

        CLIP's scores have no zero point: read as log odds without a bias, they say that an image
        shows everything, and coefficients would learn little but to say less.

        Args:
            logits_NV: scores of training images by the base.
            label_NV: 1 where a value is shown.
            known_NV: where that is known.
        """
        score_K = (logits_NV - self.bias)[known_NV].double()
        wanted = label_NV[known_NV].double().mean()
        low, high = -100 - score_K.max(), 100 - score_K.min()
        for _ in range(_HALVINGS):
            middle = (low + high) / 2
            too_low = torch.sigmoid(score_K + middle).mean() < wanted
            low, high = torch.where(too_low, middle, low), torch.where(too_low, high, middle)
        self.bias.copy_((low + high) / 2)

    def loss(self, logits_BV: Tensor, labels: Mapping[str, Any]) -> Tensor:
        """The supervised loss of a batch with `label`, `known` and `weight`."""
        label_BV, weight_B = labels["label"], labels["weight"]
        if self.objective == "sigmoid":
            return sigmoid_loss(logits_BV, label_BV, labels["known"], weight_B)
        if self.objective == "contrastive":
            return contrastive_loss(logits_BV, label_BV, weight_B)
        seen = self.seen_V
        return softmax_loss(logits_BV[:, seen], label_BV[:, seen], weight_B)

    def score(self) -> float:
        """The main metric over what the metrics have seen, which are then forgotten."""
        value = cast("Tensor", self.metrics.compute()[self.main_metric])
        self.metrics.reset()
        return float(value)


def _rate(label_NV: Tensor, known_NV: Tensor) -> float:
    """Mean share of images that show a value, over the values that some show and some do not.

    It is the mean average precision to be expected of a random order.
    """
    shown_V, known_V = (label_NV.bool() & known_NV).sum(0), known_NV.sum(0)
    told_V = (shown_V > 0) & (shown_V < known_V)
    return float((shown_V[told_V] / known_V[told_V]).mean())


def _check_told(
    name: str, values: Sequence[str], shown_NV: Tensor, known_NV: Tensor, objective: Objective
) -> None:
    """Of exclusive values two must be shown; of others one must be shown and known to be absent."""
    shown_V = shown_NV.any(0)
    told = bool((shown_V & (known_NV & ~shown_NV).any(0)).any())
    if told if objective == "sigmoid" else int(shown_V.sum()) > 1:
        return
    found = first_five([value for value, is_shown in zip(values, shown_V, strict=True) if is_shown])
    raise InputError(
        f"task {name}: expected training images that differ in what they show, got "
        f"{len(shown_NV):,} that all show {found or 'nothing'}. There is nothing to tell apart: "
        "add images of other values, or choose another attribute."
    )
