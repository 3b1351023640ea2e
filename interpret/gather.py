"""Moments of head codes over the images of any validation run.

`GatherMoments` is for any LightningModule; `GatherHeads` finds all it needs in an adapter that is
trained here:

    ARGS="--trainer.callbacks+=interpret.gather.GatherHeads --trainer.callbacks.path=moments.npz"
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from torch import Tensor

from datamodules.errors import InputError
from datamodules.files import check_place
from interpret.decompose import Convention, codes, readout, trace
from interpret.decompose.codes import check_convention
from interpret.moments import HeadMoments, merged_over_processes
from interpret.towers import image_tower
from lightning_modules.adapted import AdaptedClip


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


class GatherHeads(GatherMoments):
    """The same for the image tower of an adapter, adapted as it is at each validation.

    Args:
        path: the .npz file.
        convention: of the codes, see `interpret.decompose`.

    Raises:
        InputError: if the file cannot be written there, or the convention is unknown.
    """

    def __init__(self, path: Path, convention: Convention = "shared") -> None:
        check_convention(convention)
        super().__init__(_not_begun, "", path)
        self.convention: Convention = convention

    def on_validation_start(self, trainer: L.Trainer, pl_module: L.LightningModule) -> None:
        """Look at the tower as it is now.

        Raises:
            InputError: if the module is no adapter, or its tower cannot be taken apart.
        """
        super().on_validation_start(trainer, pl_module)
        clip = getattr(pl_module, "clip", None)
        if not isinstance(clip, AdaptedClip):
            raise InputError(
                f"expected an adapter that is trained here, got {type(pl_module).__name__}. Use "
                "GatherMoments with a function of your own."
            )
        tower = image_tower(clip.adapted)
        maps = readout(tower, self.convention)
        self.identity = f"{clip.backbone.fingerprint}/{self.convention}"
        self.codes = lambda images: codes(trace(tower, clip.pixels(images)), maps)


def _not_begun(_: Tensor) -> Tensor:
    raise RuntimeError("no validation has begun.")
