"""`Composer`: fits the coefficients of saved deltas to a target, and nothing else.

    logits_t = scale * cos(encode_image(x; theta_0 + sum_k c_k delta_k), text_t)

for each task t of a batch. The text tower is the base's and frozen. c is a few numbers a delta, so
few images suffice.

Shape letters: B images of all tasks, V values of a task, D embedding width.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any, Literal

import torch
from torch import Tensor, nn

from composition.basis import Basis
from composition.composed import Composition
from composition.heads import TaskHead
from composition.library import (
    check_towers,
    find_folders,
    open_deltas,
    own_attributes,
    without_own,
)
from composition.objectives import ObjectiveName, check_control, make_objective
from composition.prefix import CutModel, Prefix, learning
from composition.selection import Chosen, Select, check_choice, reduced, selected
from composition.starts import (
    FROM_DATA,
    Start,
    check_settings,
    check_start,
    start,
    start_from_data,
)
from datamodules.attribute import AttributeDataModule
from datamodules.errors import InputError
from datamodules.files import sha256_json
from datamodules.tasks import TasksDataModule
from lightning_modules.backbone import Backbone, load_backbone
from lightning_modules.class_token import read_class_token_only
from lightning_modules.delta import Delta, delta_folder
from lightning_modules.optimizer import adamw
from lightning_modules.pixels import Pixels
from lightning_modules.schedule import derived_seed
from lightning_modules.value_text import value_embeddings

_log = logging.getLogger(__name__)


class Composer(CutModel):
    """Fits one coefficient for each delta and block to the tasks of a `TasksDataModule`.

    Args:
        deltas: folders of saved deltas or compositions, or names of deltas of the backbone and the
            first task's source in `artifacts/deltas`; none for all of these.
        leave_own_out: leave out what has to do with the tasks' own attributes: what do deltas of
            others know of an attribute that was never trained?
        backbone: what they were trained on: an open_clip architecture, or a folder trained here.
        pretrained: tag of open_clip, path of a weight file, or "random"; empty for a folder's own
            weights.
        granularity: what shares a coefficient, see `composition.granularity`.
        objective: "supervised" on labels, "negation" of some tasks; without labels "entropy",
            "fixmatch", or "self-labels" by each task's own adapters.
        forget: tasks that negation unlearns; the others are the control.
        budget: deltas that each block keeps; None for all. The others are taken out of it.
        select: by the loss's "gradient", which needs labels, or at "random" by the data's seed, see
            `composition.selection`.
        start: first coefficients, see `composition.starts`; "images" and
            "gauss-newton" are fits of their own with `--trainer.max_epochs 0`.
        ridge: of these two: pull to 0 or to the sum, see `composition.starts`.
        last_blocks: transformer blocks whose coefficients learn, with all behind them; those of
            earlier ones stay as they start. None for all, see `composition.prefix`.
        penalty: weight of the mean absolute (`penalty_norm` 1) or squared (2) coefficient.
        penalty_norm: 1 or 2.
        lr: highest learning rate, after the warm-up; a cosine to zero follows.
        weight_decay: AdamW's, on coefficients.
        warmup_steps: steps of linear warm-up.
        stream: leave deltas in their files and fetch them piece by piece in every step.
        compile: compile the image tower.

    Raises:
        InputError: if a number is out of its range, or `forget` does not fit the objective.
    """

    def __init__(
        self,
        deltas: Sequence[str] = (),
        leave_own_out: bool = False,
        backbone: str = "glyph-clip",
        pretrained: str = "",
        granularity: str = "block",
        objective: ObjectiveName = "supervised",
        forget: Sequence[str] = (),
        budget: int | None = None,
        select: Select = "gradient",
        start: Start = "mean",
        ridge: float = 0.0,
        last_blocks: int | None = None,
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
        check_choice(objective, budget, select, leave_own_out=leave_own_out)
        check_settings(start, ridge, last_blocks, weight_decay)
        self.save_hyperparameters()
        self.left_out: list[str] = []
        self.chosen: Chosen = {}

    # --- set-up -------------------------------------------------------------------------------

    def setup(self, stage: str) -> None:
        """Load backbone and deltas and compose them; the first process chooses under a budget."""
        trainer: Any = self.trainer
        place = {"device": trainer.strategy.root_device}
        if self.data is None and trainer.is_global_zero:
            self.prepare(trainer.datamodule, **place)
        chosen = trainer.strategy.broadcast(self.chosen)
        if self.data is None:
            self.prepare(trainer.datamodule, **place, chosen=chosen)

    def prepare(
        self,
        data: TasksDataModule,
        backbone: Backbone | None = None,
        deltas: Mapping[Path, Delta] | None = None,
        device: torch.device | None = None,
        chosen: Chosen | None = None,
    ) -> None:
        """What `setup` does, for use without a trainer.

        Args:
            data: the tasks, after their own `setup`.
            backbone: a loaded backbone, to save loading it again; its model is composed in place.
            deltas: folder -> loaded delta, to save loading them again.
            device: where images pass, if gradients choose deltas; by default where this module is.
            chosen: what a budget has chosen elsewhere, to save choosing again.

        Raises:
            InputError: if backbone or deltas cannot be loaded, do not fit each other or the
                settings, or change the text tower.
        """
        folders: list[Path] = []
        if deltas is None:
            source = next(iter(data.tasks.values())).source_name
            shelf = delta_folder(self.hparams["backbone"], source, "any").parent
            folders = find_folders(self.hparams["deltas"], shelf)
        self.backbone = backbone or load_backbone(
            self.hparams["backbone"], self.hparams["pretrained"]
        )
        self.deltas = open_deltas(folders, self.backbone) if deltas is None else dict(deltas)
        if self.hparams["leave_own_out"]:
            self.deltas, self.left_out = without_own(self.deltas, data.tasks.values())
        found = list(self.deltas.values())
        check_towers(found)
        self.delta_names = tuple(delta.card.attribute for delta in found)
        self.objective = make_objective(
            self.hparams["objective"],
            forget=self.hparams["forget"],
            experts={name: self._experts(task) for name, task in data.tasks.items()},
        )
        check_control(
            self.hparams["forget"],
            {
                name: {(task.source_name, each) for each in own_attributes(task)}
                for name, task in data.tasks.items()
            },
        )
        read_class_token_only(self.backbone.model)
        self.pixels = Pixels(self.backbone.image_size, self.backbone.mean, self.backbone.std)
        # Before the model is composed: texts are the base's.
        self.heads = nn.ModuleList(
            TaskHead(name, task, self._text(task.prompts(task.attribute)))
            for name, task in data.tasks.items()
        )
        self.data = data
        self.basis = Basis.from_deltas(found, self.backbone)
        if self.hparams["budget"] is not None:
            self._choose(device or self.device, chosen)
        self.composition = Composition(
            self.basis, self.hparams["granularity"], stream=self.hparams["stream"]
        )
        arithmetic = self.objective.arithmetic(self.basis.names)
        start(self.composition, self.basis, self.hparams["start"], arithmetic)
        check_start(self, self.objective, self.hparams["start"])
        if self.chosen:
            self.composition.zero_unused()
        if self.hparams["last_blocks"] is not None:
            self.prefix = Prefix(self.composition, self.hparams["last_blocks"])
        if self.hparams["compile"]:
            self.backbone.model.visual.compile()

    def _choose(self, device: torch.device, chosen: Chosen | None) -> None:
        """Keep what the budget leaves of basis and deltas."""
        settings = {each: self.hparams[each] for each in ("granularity", "budget", "select")}
        self.chosen = chosen or selected(self, self.basis, self.objective, device, **settings)
        if left := {name for names in self.chosen.values() for name in names}:
            self.deltas = {p: d for p, d in self.deltas.items() if d.card.attribute in left}
            self.basis = Basis.from_deltas(list(self.deltas.values()), self.backbone)
            self.delta_names = self.basis.names
        self.basis = reduced(self.basis, self.chosen)

    def _text(self, prompts: list[list[str]]) -> Tensor:
        with torch.no_grad():
            return value_embeddings(self.backbone.model, self.backbone.tokenizer, prompts)

    def _experts(self, task: AttributeDataModule) -> tuple[str, ...]:
        """The deltas of a task's own attributes."""
        own = own_attributes(task)
        return tuple(name for name in self.delta_names if name in own)

    # --- steps --------------------------------------------------------------------------------

    def training_step(self, batch: dict[str, Any], batch_idx: int) -> Tensor:
        """The objective, plus the penalty on coefficients."""
        loss = self.objective.loss(self, self.shortened(batch))
        self.log("loss/train", loss, prog_bar=True, batch_size=len(batch["image"]))
        if not self.hparams["penalty"]:
            return loss
        size = learning(self.composition).abs() ** self.hparams["penalty_norm"]
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
        if self.objective.uses_labels:
            self.calibrate()
        self.objective.begin(self)
        if self.hparams["start"] in FROM_DATA and self.trainer.ckpt_path is None:
            settings = {"kind": self.hparams["start"], "ridge": self.hparams["ridge"]}
            start_from_data(self, self.basis, **settings)
        self.keep_tokens(self.objective)

    def on_train_batch_start(self, batch: Any, batch_idx: int) -> None:
        """Seed the views by (seed, epoch, batch, rank): a resumed run draws what it would have.

        Once an epoch is not enough: loaders draw a seed of their own in between, or before.
        """
        assert self.data is not None
        place = self.current_epoch, batch_idx, self.global_rank
        torch.manual_seed(derived_seed(self.data.seed, *place))

    def configure_optimizers(self) -> Any:
        """AdamW over the coefficients, with warm-up and a cosine to zero."""
        return adamw(self, [self.composition.coefficients])

    def origin(self) -> dict[str, str]:
        """What a checkpoint of these coefficients belongs to."""
        assert self.data is not None
        choice = {"choice of deltas": sha256_json(self.chosen)} if self.chosen else {}
        return choice | {
            "deltas": ", ".join(self.delta_names),
            "granularity": self.composition.granularity,
            "tasks": ", ".join(self.data.tasks),
            "base weights": self.backbone.fingerprint,
        }
