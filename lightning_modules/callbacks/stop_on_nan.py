"""`StopOnNaN`: a training loss that is no number ends the run and spares its checkpoints."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.pytorch.callbacks import Checkpoint
from torch import Tensor

from datamodules.errors import InputError
from lightning_modules.callbacks.surface import at_least

_NEVER = torch.iinfo(torch.int64).max


class StopOnNaN(L.Callback):
    """End the run at the first loss that is not finite, and refuse to save weights that are not.

    Args:
        every_n_steps: how often the loss is looked at. Steps in between are remembered on the
            device, because looking makes a GPU wait; the error names the first bad step either way.
    """

    def __init__(self, every_n_steps: int = 10) -> None:
        self.every_n_steps = at_least("StopOnNaN.every_n_steps", every_n_steps, 1)
        self._first_bad: Tensor | None = None

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Nothing bad has happened yet."""
        self._first_bad = torch.tensor(_NEVER, device=pl_module.device)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: Any,
        batch_idx: int,
    ) -> None:
        """Remember a bad step; every n steps, and at the end of an epoch, raise.

        Raises:
            InputError: if a loss was not finite.
        """
        loss = outputs["loss"] if isinstance(outputs, Mapping) else outputs
        if loss is not None and self._first_bad is not None:
            step = torch.where(loss.detach().isfinite().all(), _NEVER, trainer.global_step)
            self._first_bad = torch.minimum(self._first_bad, step)
        if (batch_idx + 1) % self.every_n_steps == 0 or trainer.is_last_batch:
            self._raise_if_bad(trainer, pl_module)

    def on_save_checkpoint(
        self, trainer: L.Trainer, pl_module: L.LightningModule, checkpoint: dict[str, Any]
    ) -> None:
        """Refuse a checkpoint of weights that are not finite.

        Raises:
            InputError: if a trainable weight is not finite.
        """
        trainable = [each for each in pl_module.parameters() if each.requires_grad]
        # One answer for all tensors: a GPU is made to wait once.
        if trainable and not torch.stack([each.isfinite().all() for each in trainable]).all():
            raise InputError(
                f"expected finite weights, got nan or inf by step {trainer.global_step} (epoch "
                f"{trainer.current_epoch}); they were not saved. {advice(trainer, pl_module)}"
            )

    def _raise_if_bad(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        assert self._first_bad is not None
        # All processes must stop together, or the others would wait for this one for ever.
        step = int(trainer.strategy.reduce(self._first_bad, reduce_op="min"))
        if step != _NEVER:
            raise InputError(
                f"expected a finite training loss, got nan or inf at step {step} (epoch "
                f"{trainer.current_epoch}). {advice(trainer, pl_module)}"
            )


def advice(trainer: L.Trainer, pl_module: L.LightningModule) -> str:
    """What is left of the run, and what to change."""
    good = last_checkpoint(trainer)
    kept = f"The last good checkpoint stays: {good}." if good else "No checkpoint was written yet."
    lr = pl_module.hparams.get("lr")
    now = f" (now {lr:g})" if isinstance(lr, float) else ""
    return (
        f"{kept} Train again with a lower --model.lr{now}, "
        f"or with --trainer.precision 32 (now {trainer.precision})."
    )


def last_checkpoint(trainer: L.Trainer) -> Path | None:
    """The newest checkpoint of this run that is on disk, or None."""
    names = {
        name
        for callback in trainer.checkpoint_callbacks
        if isinstance(callback, Checkpoint)
        for name in (getattr(callback, key, "") for key in ("last_model_path", "best_model_path"))
        if name
    }
    found = [path for path in map(Path, names) if path.exists()]
    return max(found, key=lambda path: path.stat().st_mtime, default=None)
