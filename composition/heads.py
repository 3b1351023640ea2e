"""The classifier of one task: what the values' prompts say, frozen, and the loss that suits them.

Shape letters: B images, V values, D embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, cast

import torch
from torch import Tensor, nn

from datamodules.attribute import AttributeDataModule
from lightning_modules.losses import choose_objective, contrastive_loss, sigmoid_loss, softmax_loss
from lightning_modules.metrics import Objective, attribute_metrics

_SIGMOID_BIAS = -10.0  # SigLIP's start: almost everything is absent


class TaskHead(nn.Module):
    """Scores of image embeddings for the values of one task; nothing in it is learned.

    Args:
        name: of the task.
        data: its data module, after `setup`.
        text_VD: unit-norm embeddings of its values.

    Attributes:
        objective: "softmax", "sigmoid" or "contrastive", by the labels.
        seen_V: values that the training split shows; the others are left out of the training loss,
            which would else learn that they never occur.
    """

    text_VD: Tensor
    seen_V: Tensor

    def __init__(self, name: str, data: AttributeDataModule, text_VD: Tensor) -> None:
        super().__init__()
        self.name, self.values, self.test_splits = name, data.values, data.test_splits
        labels, members = data.labels(data.attribute), data.members("train")
        label, known = (torch.from_numpy(x[members]) for x in (labels.label, labels.known))
        self.objective: Objective = choose_objective(label, known, exclusive=data.exclusive)
        seen_V = label.any(0) if self.objective == "softmax" else torch.ones(len(text_VD)).bool()
        self.register_buffer("text_VD", text_VD, persistent=False)
        self.register_buffer("seen_V", seen_V, persistent=False)
        self.metrics = attribute_metrics(len(self.values), self.objective)
        self.main_metric = "accuracy" if self.objective == "softmax" else "map"

    def forward(self, image_BD: Tensor, scale: Tensor) -> Tensor:
        """Scores (B, V)."""
        logits_BV = scale * image_BD @ self.text_VD.T
        return logits_BV + _SIGMOID_BIAS if self.objective == "sigmoid" else logits_BV

    def loss(self, logits_BV: Tensor, labels: Mapping[str, Any]) -> Tensor:
        """The supervised loss of a batch with `label`, `known` and `weight`."""
        label_BV, weight_B = labels["label"], labels["weight"]
        if self.objective == "sigmoid":
            return sigmoid_loss(logits_BV, label_BV, labels["known"], weight_B)
        if self.objective == "contrastive":
            return contrastive_loss(logits_BV, label_BV, weight_B)
        seen = self.seen_V
        return softmax_loss(logits_BV[:, seen], label_BV[:, seen], weight_B)

    def log_probabilities(self, logits_BV: Tensor) -> Tensor:
        """Logarithms of what the model believes, (B, V), over all values."""
        return logits_BV.log_softmax(1)

    def score(self) -> float:
        """The main metric over what the metrics have seen, which are then forgotten."""
        value = cast("Tensor", self.metrics.compute()[self.main_metric])
        self.metrics.reset()
        return float(value)
