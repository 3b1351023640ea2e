"""`Composer`: fits the coefficients of saved deltas to a target, and nothing else.

    logits_t = scale * cos(encode_image(x; theta_0 + sum_k c_k delta_k), text_t)

for each task t of a batch. The text tower is the base's and frozen. c is a few numbers a delta, so
few images suffice.

Shape letters: B images of all tasks, N images of a task, V values of a task, D embedding width.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from functools import partial
from typing import Any, Literal, cast

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from composition.basis import Basis
from composition.composed import Composition
from composition.heads import TaskHead
from composition.objectives import (
    Entropy,
    FixMatch,
    Negation,
    Objective,
    Scored,
    SelfLabels,
    Supervised,
)
from composition.start import Start, start
from datamodules.attribute import AttributeDataModule
from datamodules.errors import InputError
from datamodules.tasks import TasksDataModule
from lightning_modules.backbone import Backbone
from lightning_modules.checkpoints import TrainableCheckpoints
from lightning_modules.class_token import read_class_token_only
from lightning_modules.delta import Delta
from lightning_modules.embedding import embed
from lightning_modules.pixels import Pixels
from lightning_modules.processes import whole_batch
from lightning_modules.schedule import derived_seed, warmup_cosine
from lightning_modules.value_text import value_embeddings

_LABELS = ("label", "known", "weight", "index")
_log = logging.getLogger(__name__)

ObjectiveName = Literal["supervised", "negation", "entropy", "fixmatch", "self-labels"]


class Composer(TrainableCheckpoints):
    """Fits one coefficient for each delta and block to the tasks of a `TasksDataModule`.

    Args:
        granularity: what shares a coefficient, see `composition.granularity`.
        objective: "supervised" on labels, "negation" of some tasks; without labels "entropy",
            "fixmatch", or "self-labels" by each task's own adapters.
        forget: tasks that negation unlearns; the others are the control.
        start: first coefficients, see `composition.start`.
        penalty: weight of the mean absolute (`penalty_norm` 1) or squared (2) coefficient.
        penalty_norm: 1 or 2.
        lr: highest learning rate, after the warm-up; a cosine to zero follows.
        weight_decay: AdamW's, on coefficients.
        warmup_steps: steps of linear warm-up.
        stream: keep dense deltas in host memory.
        compile: compile the image tower.

    Raises:
        InputError: if a number is out of its range, or `forget` does not fit the objective.
    """

    def __init__(
        self,
        granularity: str = "block",
        objective: ObjectiveName = "supervised",
        forget: Sequence[str] = (),
        start: Start = "mean",
        penalty: float = 0.0,
        penalty_norm: Literal[1, 2] = 1,
        lr: float = 2e-2,
        weight_decay: float = 0.0,
        warmup_steps: int = 10,
        stream: bool = False,
        compile: bool = False,
    ) -> None:
        super().__init__()
        if penalty < 0:
            raise InputError(f"--model.penalty is {penalty}, expected 0 or more.")
        if forget and objective != "negation":
            raise InputError(
                f"--model.forget needs --model.objective negation, got {objective}. Set it, or "
                "leave --model.forget out."
            )
        self.save_hyperparameters()
        self.data: TasksDataModule | None = None
        self.heads = nn.ModuleList()

    # --- set-up -------------------------------------------------------------------------------

    def prepare(self, data: TasksDataModule, backbone: Backbone, deltas: Sequence[Delta]) -> None:
        """Compose the deltas and embed the values of every task.

        Args:
            data: the tasks, after `setup`.
            backbone: what the deltas were trained on; its model is composed in place.
            deltas: one or more.

        Raises:
            InputError: if the deltas do not fit each other, the backbone or the settings.
        """
        read_class_token_only(backbone.model)
        self.backbone, self.delta_names = backbone, tuple(d.card.attribute for d in deltas)
        self.pixels = Pixels(backbone.image_size, backbone.mean, backbone.std)
        texts = {
            name: self._text(task.prompts(task.attribute)) for name, task in data.tasks.items()
        }
        basis = Basis.from_deltas(deltas, backbone)
        self.composition = Composition(
            basis, self.hparams["granularity"], stream=self.hparams["stream"]
        )
        start(self.composition, basis, self.hparams["start"])
        self.heads = nn.ModuleList(
            TaskHead(name, task, texts[name]) for name, task in data.tasks.items()
        )
        self.objective = self._objective(list(texts), data)
        self.data = data
        if self.hparams["compile"]:
            backbone.model.visual.compile()

    def _text(self, prompts: list[list[str]]) -> Tensor:
        with torch.no_grad():
            return value_embeddings(self.backbone.model, self.backbone.tokenizer, prompts)

    def _objective(self, tasks: list[str], data: TasksDataModule) -> Objective:
        name = self.hparams["objective"]
        if name == "negation":
            return Negation(self.hparams["forget"], tasks)
        if name == "self-labels":
            return SelfLabels({task: self._experts(data.tasks[task]) for task in tasks})
        kinds: dict[str, type[Objective]] = {
            "supervised": Supervised, "entropy": Entropy, "fixmatch": FixMatch
        }  # fmt: skip
        return kinds[name]()

    def _experts(self, task: AttributeDataModule) -> tuple[str, ...]:
        """The deltas of a task's own attributes."""
        own = getattr(task, "attributes", (task.attribute,))
        return tuple(name for name in self.delta_names if name in own)

    # --- the model ----------------------------------------------------------------------------

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
    def epoch(self) -> int:
        """From 0."""
        return self.current_epoch

    @property
    def last_epoch(self) -> int:
        """The number of the last one."""
        return (self.trainer.max_epochs or 1) - 1

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
            data = self.data.tasks[head.name]
            labels = data.labels(data.attribute)
            label, known = (torch.from_numpy(x)[index_N.cpu()] for x in labels[:2])
            head.metrics.update(logits_NV, label.to(self.device), known.to(self.device))
            scores[head.name] = head.score()
        return scores

    @torch.no_grad()
    def _logits(self, head: TaskHead, split: str, deltas: Sequence[str]) -> tuple[Tensor, Tensor]:
        assert self.data is not None
        data = self.data.tasks[head.name]
        members = data.members(split)
        with self.composition.summed(deltas):
            image_ND = embed(self.encode_image, data, members, device=self.device, text=head.name)
        return torch.from_numpy(members).to(self.device), head(image_ND, self.scale)

    # --- steps --------------------------------------------------------------------------------

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """The objective, plus the penalty on coefficients."""
        loss = self.objective.loss(self, batch)
        self.log("loss/train", loss, prog_bar=True, batch_size=len(batch["image"]))
        if not self.hparams["penalty"]:
            return loss
        size = self.composition.coefficients.abs() ** self.hparams["penalty_norm"]
        total: Tensor = loss + self.hparams["penalty"] * size.mean()
        return total

    def validation_step(
        self, batch: dict[str, Tensor], batch_idx: int, dataloader_idx: int = 0
    ) -> None:
        """Gather the metrics of one task."""
        head = self.task_heads[dataloader_idx]
        logits_BV = head(self.encode_image(batch["image"]), self.scale)
        head.metrics.update(logits_BV, batch["label"], batch["known"])

    def on_validation_epoch_end(self) -> None:
        """Log them; `score/val` is the one that chooses the checkpoint, where labels may."""
        scores = {}
        for head in self.task_heads:
            scores[head.name] = head.score()
            self.log(f"{head.main_metric}/val/{head.name}", scores[head.name])
        self.log("score/val", self.objective.selection(self, scores), prog_bar=True)

    def on_fit_start(self) -> None:
        """Say what is fitted."""
        assert self.data is not None
        sizes = [len(task.members("train")) for task in self.data.tasks.values()]
        _log.info(
            "%s coefficients (%s) of %s for %s (%s), on %s images; %s, on %s x %d",
            f"{self.composition.coefficients.numel():,}", self.composition.granularity,
            ", ".join(self.delta_names), ", ".join(self.data.tasks), self.hparams["objective"],
            f"{sum(sizes):,}", self.backbone.name, self.device.type, self.trainer.world_size,
        )  # fmt: skip
        self.objective.begin(self)

    def on_train_epoch_start(self) -> None:
        """Seed the views by (seed, epoch, rank): a resumed run draws what it would have drawn."""
        assert self.data is not None
        torch.manual_seed(derived_seed(self.data.seed, self.current_epoch, self.global_rank))

    def configure_optimizers(self) -> Any:
        """AdamW over the coefficients, with warm-up and a cosine to zero."""
        optimizer = torch.optim.AdamW(
            [self.composition.coefficients],
            lr=self.hparams["lr"],
            weight_decay=self.hparams["weight_decay"],
        )
        rate = partial(
            warmup_cosine,
            warmup_steps=self.hparams["warmup_steps"],
            num_steps=self.trainer.estimated_stepping_batches,
        )
        schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
        return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}

    def origin(self) -> dict[str, str]:
        """What a checkpoint of these coefficients belongs to."""
        assert self.data is not None
        return {
            "deltas": ", ".join(self.delta_names),
            "granularity": self.composition.granularity,
            "tasks": ", ".join(self.data.tasks),
            "base weights": self.backbone.fingerprint,
        }
