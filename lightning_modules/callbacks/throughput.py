"""`Throughput`: training speed in images a second, over all processes.

    throughput = images of the batches that ended in a window / time that the window took

Waiting for data counts, since it is time a user waits; warm-up and validation do not.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any

import lightning as L
import torch

from lightning_modules.callbacks.surface import at_least

TAG = "time/throughput (images/s)"


class Throughput(L.Callback):
    """Show images a second in the progress bar and log it as `time/throughput (images/s)`.

    Args:
        warm_up: batches left out at the start of a run: compilers and caches make them slow.
        every_n_batches: batches that one number is measured over.
    """

    def __init__(self, warm_up: int = 3, every_n_batches: int = 50) -> None:
        self.every_n_batches = at_least("Throughput.every_n_batches", every_n_batches, 1)
        self.warm_up = at_least("Throughput.warm_up", warm_up, 0)
        self._reset(None)
        self._batches = 0

    def on_train_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Count anew."""
        self._batches = 0
        self._reset(None)

    def on_train_epoch_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let the clock run, if warm-up is over."""
        self._resume(pl_module)

    def on_train_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Any,
        batch: Mapping[str, torch.Tensor],
        batch_idx: int,
    ) -> None:
        """Count the batch; report a full window, and what is left of one at the end."""
        self._batches += 1
        if self._batches <= self.warm_up:
            if self._batches == self.warm_up:
                self._resume(pl_module)
            return
        self._images += len(batch["image"]) * trainer.world_size
        self._in_window += 1
        if trainer.is_last_batch or self._in_window >= self.every_n_batches:
            self._report(trainer, pl_module)

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock."""
        self._pause(pl_module)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Let the clock run again."""
        if not trainer.sanity_checking:
            self._resume(pl_module)

    def on_train_epoch_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Stop the clock."""
        self._pause(pl_module)

    def _report(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        self._pause(pl_module)
        if self._in_window and self._seconds > 0:
            rate = self._images / self._seconds
            pl_module.log("images/s", float(round(rate)), prog_bar=True, logger=False)
            for logger in trainer.loggers:
                logger.log_metrics({TAG: rate}, step=trainer.global_step)
        self._reset(_now(pl_module))

    def _reset(self, running_since: float | None) -> None:
        self._images = self._in_window = 0
        self._seconds = 0.0
        self._running_since = running_since

    def _resume(self, pl_module: L.LightningModule) -> None:
        if self._running_since is None and self._batches >= self.warm_up:
            self._running_since = _now(pl_module)

    def _pause(self, pl_module: L.LightningModule) -> None:
        if self._running_since is not None:
            self._seconds += _now(pl_module) - self._running_since
            self._running_since = None


def _now(pl_module: L.LightningModule) -> float:
    """Seconds, once the GPU has done what it was given."""
    if pl_module.device.type == "cuda":
        torch.cuda.synchronize(pl_module.device)
    return time.perf_counter()
