"""What coefficients are fitted for: a loss of a batch, and what it may know.

Objectives without labels read answers as a softmax over a task's values, also where an image may
show several of them.

Shape letters: B images of all tasks, B_t of task t, V values of a task, D embedding width.
"""

from __future__ import annotations

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, NamedTuple, Protocol

import torch
from torch import Tensor

from composition.heads import TaskHead


class Scored(NamedTuple):
    """The share of one task in a batch.

    Attributes:
        head: its classifier.
        logits_BV: scores.
        labels: `label`, `known`, `weight` and `index` of its images.
    """

    head: TaskHead
    logits_BV: Tensor
    labels: Mapping[str, Any]


class Model(Protocol):
    """What an objective may ask of the module that is fitted."""

    @property
    def task_heads(self) -> list[TaskHead]:
        """The tasks' classifiers, in order."""
        ...

    @property
    def epoch(self) -> int:
        """From 0."""
        ...

    @property
    def progress(self) -> float:
        """Share of the training steps that are done, in [0, 1)."""
        ...

    def scored(self, image: Tensor, parts: Sequence[Mapping[str, Any]]) -> list[Scored]:
        """Uint8 images (B, 3, H, W) by the composition as it is, task by task."""
        ...

    def training_logits(self, task: int, deltas: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Scores of a task's training images by the base plus the sum of some deltas.

        Returns:
            Numbers of the images, int64 (N,), and logits (N, V), without gradients.
        """
        ...

    def base_scores(self) -> dict[str, float]:
        """The base's main score of each task on its validation split, 0 to 1."""
        ...


class Objective(ABC):
    """A loss over batches of several tasks.

    Attributes:
        information: what the fit sees of the data, for the protocol of its results.
        uses_labels: whether that includes labels; if not, no epoch is chosen by validation labels.
    """

    information: ClassVar[str]
    uses_labels: ClassVar[bool]

    def begin(self, model: Model) -> None:  # noqa: B027
        """Prepare what does not change while the coefficients do."""

    @abstractmethod
    def loss(self, model: Model, batch: Mapping[str, Any]) -> Tensor:
        """The loss of a `TaskBatch`."""

    def arithmetic(self, deltas: Sequence[str]) -> dict[str, float]:
        """What plain arithmetic multiplies each delta by, up to one scale: 1, for their sum."""
        return dict.fromkeys(deltas, 1.0)

    def merit(self, scores: Mapping[str, float]) -> float:
        """How good a model is, more is better: the mean of what its tasks score; NaN of nothing.

        Args:
            scores: main score of each task on its validation split; NaN where there is none.
        """
        known = [score for score in scores.values() if not math.isnan(score)]
        return sum(known) / len(known) if known else math.nan

    def selection(self, model: Model, scores: Mapping[str, float]) -> float:
        """What chooses the epoch, more is better: the merit.

        Without labels no score may choose, so the last epoch is taken.

        Args:
            model: what is fitted.
            scores: as of `merit`.
        """
        return self.merit(scores) if self.uses_labels else float(model.epoch)


def by_image(index_N: Tensor, rows_N: Tensor, fill: float) -> Tensor:
    """Rows of some images as a table over all image numbers up to the largest, (max + 1, ...).

    Args:
        index_N: numbers of the images.
        rows_N: one row each, (N, ...).
        fill: stands for images without a row.
    """
    table = rows_N.new_full((int(index_N.max()) + 1, *rows_N.shape[1:]), fill)
    table[index_N] = rows_N
    return table


def mean_of(losses: Sequence[Tensor]) -> Tensor:
    """Mean over tasks; each counts alike, however many images it has."""
    return torch.stack(list(losses)).mean()
