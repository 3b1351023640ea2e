"""`GatherMoments`: moments of head codes over the images of any validation run."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from datamodules.errors import InputError
from datamodules.files import check_place
from interpret.moments import HeadMoments, merged_over_processes


class GatherMoments(L.Callback):
    """Sum up head codes while a trainer validates; the first process writes them to a file.

    Each validation begins anew and replaces the file, so the last one counts. Of several loaders
    the first is read. Images that a sampler hands out twice, to even out processes, count twice.

    Args:
        codes: images, as they lie in a batch -> codes (B, L, H, C), by the model as it is then.
        identity: what they are of; see `HeadMoments`.
        path: the .npz file.
        key: name of the images in a batch.

    Attributes:
        moments: of the last validation, over all processes; None before.

    Raises:
        InputError: if the file cannot be written there.
    """

    def __init__(
        self, codes: Callable[[Tensor], Tensor], identity: str, path: Path, *, key: str = "image"
    ) -> None:
        check_place(path)
        self.codes, self.identity, self.path, self.key = codes, identity, path, key
        self.moments: HeadMoments | None = None

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Forget the validation before."""
        self.moments = None

    @torch.no_grad()
    def on_validation_batch_end(
        self,
        trainer: L.Trainer,
        pl_module: L.LightningModule,
        outputs: Tensor | Mapping[str, Any] | None,
        batch: Mapping[str, Tensor],
        batch_idx: int,
        dataloader_idx: int = 0,
    ) -> None:
        """Add the batch."""
        if trainer.sanity_checking or dataloader_idx > 0:
            return
        if self.key not in batch:
            raise InputError(
                f"expected images under {self.key!r} in a batch, got {', '.join(batch)}. Name "
                "theirs with `key`."
            )
        codes_BLHC = self.codes(batch[self.key])
        if self.moments is None:
            device = codes_BLHC.device if codes_BLHC.device.type != "mps" else "cpu"  # no float64
            layers, heads, width = codes_BLHC.shape[1:]
            self.moments = HeadMoments.empty(self.identity, layers, heads, width, device)
        self.moments.update(codes_BLHC)

    def on_validation_end(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Add up the processes and write the file."""
        if trainer.sanity_checking:
            return
        self.moments = merged_over_processes(self.moments)
        if self.moments is not None and trainer.is_global_zero:
            self.moments.save(self.path)
