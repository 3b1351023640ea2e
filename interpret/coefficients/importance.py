"""Importance of learned coefficients, four ways.

    size         |c|
    norm         |c| ||delta_block||_F
    output       |c| sqrt(E ||delta_block x||^2)
    integrated   what the coefficient adds to the loss, see `integrated`; negative lowers it

Shape letters: C coefficients, N images.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor

from composition import Composition
from datamodules.errors import InputError
from datamodules.text_table import text_table
from interpret.adapters.question import Question
from interpret.coefficients.integrated import Loss, integrated_gradients
from interpret.coefficients.sizes import output_sizes, update_norms
from interpret.plain import plain

KINDS = ("size", "norm", "output", "integrated")


@dataclass(frozen=True)
class Importance:
    """Importance of every coefficient that scales something.

    Args:
        granularity: of the composition.
        entries: (delta, block) of each of the C coefficients.
        coefficients: their values.
        scores: {kind: C numbers}; NaN where it cannot be told.
        loss_base: mean loss with all coefficients 0.
        loss_learned: mean loss with the learned ones.
        gap: sum of integrated gradients less the change of the loss.
        num_nodes: points at which gradients were taken.
        num_images: that the loss was over.
    """

    granularity: str
    entries: tuple[tuple[str, str], ...]
    coefficients: tuple[float, ...]
    scores: dict[str, tuple[float, ...]]
    loss_base: float
    loss_learned: float
    gap: float
    num_nodes: int
    num_images: int

    def table(self, kind: str) -> dict[str, dict[str, float]]:
        """One kind as {delta: {block: number}}."""
        found: dict[str, dict[str, float]] = {}
        for (delta, block), value in zip(self.entries, self.scores[kind], strict=True):
            found.setdefault(delta, {})[block] = value
        return found

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it; NaN is None."""
        found: dict[str, Any] = plain(self)
        del found["entries"], found["scores"]
        found["coefficients"] = [
            {"delta": delta, "block": block, "coefficient": self.coefficients[place]}
            | {kind: plain(scores[place]) for kind, scores in self.scores.items()}
            for place, (delta, block) in enumerate(self.entries)
        ]
        return found

    def lines(self, count: int = 10) -> list[str]:
        """A table of the coefficients that lowered or raised the loss most.

        Args:
            count: rows of the table.
        """
        shares = self.scores["integrated"]
        falling = sorted(range(len(shares)), key=lambda place: -abs(shares[place]))[:count]
        rows = [
            [*self.entries[n], f"{self.coefficients[n]:+.3f}"]
            + [f"{self.scores[kind][n]:+.4f}" for kind in KINDS[1:]]
            for n in falling
        ]
        change = self.loss_learned - self.loss_base
        note = (
            f"loss {self.loss_base:.4f} -> {self.loss_learned:.4f}: {change:+.4f}; "
            f"integrated gradients sum to {change + self.gap:+.4f}"
        )
        return [*text_table(["delta", "block", "coefficient", *KINDS[1:]], rows), "", note]


def measure(
    composition: Composition,
    images: Tensor,
    questions: Mapping[str, Question],
    *,
    num_nodes: int = 64,
    batch_size: int = 64,
    tick: Callable[[int], object] = lambda _: None,
) -> Importance:
    """Measure the importance of a composition's coefficients.

    The loss is the cross entropy of the true values at CLIP's scale, mean over the images whose
    value is known, and over questions.

    Args:
        composition: with learned coefficients; it is left as it was.
        images: preprocessed, (N, 3, height, width), on its device.
        questions: attribute -> question of these images.
        num_nodes: see `integrated_gradients`.
        batch_size: images of one pass.
        tick: called with 1 after every node.

    Raises:
        InputError: if there is no question, or none whose answer is known.
    """
    if not questions:
        raise InputError("expected a question to take a loss from, got none.")
    batches = torch.split(images, batch_size)
    losses = _losses(composition, batches, questions)
    found = integrated_gradients(composition, losses, num_nodes=num_nodes, tick=tick)
    size_C = composition.coefficients.detach().flatten().abs().double().cpu()
    scores = {
        "size": size_C,
        "norm": size_C * update_norms(composition),
        "output": size_C * output_sizes(composition, batches),
        "integrated": found.shares_C,
    }
    used = composition.used.tolist()

    def chosen(values: list[Any]) -> tuple[Any, ...]:
        return tuple(value for value, is_used in zip(values, used, strict=True) if is_used)

    return Importance(
        composition.granularity,
        chosen(list(composition.layout.entries)),
        chosen(composition.coefficients.detach().flatten().tolist()),
        {kind: chosen(value_C.tolist()) for kind, value_C in scores.items()},
        found.base,
        found.learned,
        found.gap,
        num_nodes,
        len(images),
    )


def _losses(
    composition: Composition, batches: tuple[Tensor, ...], questions: Mapping[str, Question]
) -> list[Loss]:
    """One function for each batch."""
    labels = {name: torch.from_numpy(each.label_N) for name, each in questions.items()}
    known = {name: int((label_N >= 0).sum()) for name, label_N in labels.items()}
    if empty := [name for name, count in known.items() if not count]:
        raise InputError(f"expected images whose {empty[0]} is known, got none.")
    scale = composition.model.logit_scale.detach().exp()  # type: ignore[operator]

    def loss(batch: Tensor, own: dict[str, Tensor]) -> Tensor:
        image_BE = F.normalize(composition.encode_image(batch), dim=-1)
        total = image_BE.new_zeros(())
        for name, label_B in own.items():
            text_VE = questions[name].text_VE.to(image_BE)
            logits_BV = scale * image_BE @ text_VE.T
            share = F.cross_entropy(
                logits_BV, label_B.to(logits_BV.device), ignore_index=-1, reduction="sum"
            )
            total = total + share / (known[name] * len(own))
        return total

    starts = range(0, sum(map(len, batches)), len(batches[0]))
    return [
        partial(loss, batch, {n: each[start : start + len(batch)] for n, each in labels.items()})
        for start, batch in zip(starts, batches, strict=True)
    ]
