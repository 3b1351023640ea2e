"""`TaskModel`: a composition that scores images for several tasks, each with its own head.

Shape letters: B images of all tasks, N images of a task, V values of a task, D embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from composition.composed import Composition
from composition.heads import TaskHead
from composition.objectives import Scored
from datamodules.tasks import TasksDataModule
from lightning_modules.backbone import Backbone
from lightning_modules.checkpoints import TrainableCheckpoints
from lightning_modules.embedding import embed
from lightning_modules.pixels import Pixels
from lightning_modules.processes import whole_batch

_LABELS = ("label", "known", "weight", "index")


class TaskModel(TrainableCheckpoints):
    """What objectives and evaluations ask; `prepare` of a subclass sets its attributes.

    Attributes:
        data: the tasks.
        backbone: the base, whose model is composed.
        composition: it.
        pixels: what images pass before it.
        heads: the tasks' classifiers, in order.
    """

    backbone: Backbone
    composition: Composition
    pixels: Pixels

    def __init__(self) -> None:
        super().__init__()
        self.data: TasksDataModule | None = None
        self.heads = nn.ModuleList()

    @property
    def scale(self) -> Tensor:
        """CLIP's learned factor on cosines, frozen."""
        return torch.exp(self.backbone.model.logit_scale.detach())

    def encode_image(self, image: Tensor) -> Tensor:
        """Unit-norm embeddings (B, D), float32, of uint8 images (B, 3, H, W)."""
        return F.normalize(self.composition.encode_image(self.pixels(image)).float(), dim=-1)

    @property
    def task_heads(self) -> list[TaskHead]:
        """The tasks' classifiers, in order."""
        return [cast("TaskHead", head) for head in self.heads]

    @property
    def is_start_alone(self) -> bool:
        """Whether no epoch follows the start."""
        return self._trainer is not None and self.trainer.max_epochs == 0

    @property
    def epoch(self) -> int:
        """From 0."""
        return self.current_epoch

    @property
    def progress(self) -> float:
        """Share of the training steps that are done, in [0, 1)."""
        return self.global_step / max(self.trainer.estimated_stepping_batches, 1)

    def scored(self, image: Tensor, parts: Sequence[Mapping[str, Any]]) -> list[Scored]:
        """Uint8 images (B, 3, H, W) scored task by task after one forward; see `Objective`."""
        shares = torch.split(self.encode_image(image), [len(part["index"]) for part in parts])
        scored = []
        for number, (image_BD, part) in enumerate(zip(shares, parts, strict=True)):
            head = self.task_heads[number]
            logits_BV = head(image_BD, self.scale)
            scored.append(Scored(head, *whole_batch(self, logits_BV, dict(part), _LABELS)))
        return scored

    def training_logits(self, task: int, deltas: Sequence[str]) -> tuple[Tensor, Tensor]:
        """Scores of a task's training images by the base plus the sum of some deltas.

        Returns:
            Numbers of the images, int64 (N,), and logits (N, V).
        """
        return self._logits(self.task_heads[task], "train", deltas)

    def base_scores(self) -> dict[str, float]:
        """The base's main score of each task on its validation split."""
        assert self.data is not None
        scores = {}
        for head in self.task_heads:
            index_N, logits_NV = self._logits(head, "validation", ())
            head.metrics.update(logits_NV, *self._labels(head, index_N))
            scores[head.name] = head.score()
        return scores

    def calibrate(self) -> None:
        """Give heads that read scores as log odds their bias, see `TaskHead.calibrate`."""
        for number, head in enumerate(self.task_heads):
            if head.objective == "sigmoid":
                index_N, logits_NV = self.training_logits(number, ())
                head.calibrate(logits_NV, *self._labels(head, index_N))

    def _labels(self, head: TaskHead, index_N: Tensor) -> tuple[Tensor, Tensor]:
        """What images show of a task's values (N, V), and where that is known (N, V)."""
        assert self.data is not None
        data = self.data.tasks[head.name]
        labels = data.labels(data.attribute)
        label, known = (torch.from_numpy(x)[index_N.cpu()] for x in labels[:2])
        return label.to(self.device), known.to(self.device)

    @torch.no_grad()
    def _logits(self, head: TaskHead, split: str, deltas: Sequence[str]) -> tuple[Tensor, Tensor]:
        assert self.data is not None
        data = self.data.tasks[head.name]
        members = data.members(split)
        with self.composition.summed(deltas):
            image_ND = embed(self.encode_image, data, members, device=self.device, text=head.name)
        return torch.from_numpy(members).to(self.device), head(image_ND, self.scale)
