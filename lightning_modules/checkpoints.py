"""Checkpoints: whole or absent, read without unpickling code, and aware of what they belong to."""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import lightning as L
import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from datamodules.errors import InputError
from datamodules.files import write_bytes
from lightning_modules.tensors import first_five

ORIGIN = "aspectra"  # key of what a checkpoint was trained on
_LONGEST = 40  # characters of a hash or name that an error shows


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary name first."""

    def save_checkpoint(
        self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None
    ) -> None:
        """Write the checkpoint.

        Raises:
            InputError: if the disk is full; the former checkpoint stays.
        """
        buffer = io.BytesIO()
        torch.save(checkpoint, buffer)
        write_bytes(Path(path), buffer.getvalue())

    def load_checkpoint(self, path: Any, *args: Any, **kwargs: Any) -> dict[str, Any]:
        """Read a checkpoint: tensors and plain values only.

        Raises:
            InputError: if there is no such file, or it is not a checkpoint of ours.
        """
        try:
            checkpoint = torch.load(path, map_location="cpu", weights_only=True)
        except (FileNotFoundError, IsADirectoryError):
            raise InputError(
                f"--ckpt_path: expected a checkpoint at {path}, found no such file. Look in "
                "runs/train/, or say --ckpt_path last."
            ) from None
        except Exception as error:  # torch raises many kinds for a damaged file
            raise _damaged(path, str(error).splitlines()[0]) from None
        if not isinstance(checkpoint, dict) or "state_dict" not in checkpoint:
            raise _damaged(path, "no state_dict in it")
        return checkpoint


class TrainableCheckpoints(L.LightningModule):
    """A module whose checkpoints hold its trainable tensors only, and what they belong to."""

    def origin(self) -> dict[str, str]:
        """What a checkpoint belongs to: {what: name or hash}."""
        raise NotImplementedError

    def trainable_names(self) -> set[str]:
        """Names of the trainable tensors."""
        return {name for name, parameter in self.named_parameters() if parameter.requires_grad}

    @property
    def strict_loading(self) -> bool:
        """Never: the frozen tensors are not in a checkpoint."""
        return False

    @strict_loading.setter
    def strict_loading(self, value: bool) -> None:
        """Lightning sets its own default; ours stays."""

    def state_dict(self, *args: Any, **kwargs: Any) -> dict[str, Any]:  # type: ignore[override]
        """The trainable tensors."""
        names = self.trainable_names()
        whole: dict[str, Any] = super().state_dict(*args, **kwargs)
        return {name: value for name, value in whole.items() if name in names}

    def on_save_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Write down what this checkpoint belongs to."""
        checkpoint[ORIGIN] = self.origin()

    def on_load_checkpoint(self, checkpoint: dict[str, Any]) -> None:
        """Refuse the checkpoint of another base, data set or adapter.

        Raises:
            InputError: naming what differs.
        """
        check_origin(checkpoint, self.origin(), self.trainable_names())


def remove_partials(folder: Path) -> None:
    """Remove what a killed process left half-written; only when no process writes there."""
    for leftover in folder.glob(".partial-*"):
        leftover.unlink(missing_ok=True)


def newest(folder: Path, name: str) -> Path | None:
    """The newest `version_N/checkpoints/<name>.ckpt` under a task's folder, or None."""
    found = folder.glob(f"version_*/checkpoints/{name}.ckpt")
    return max(found, key=lambda path: path.stat().st_mtime, default=None)


def check_origin(checkpoint: Mapping[str, Any], origin: Mapping[str, str], names: set[str]) -> None:
    """Check that a checkpoint belongs to this base, data and adapter.

    Args:
        checkpoint: as it was read.
        origin: what this run is trained on: {what: name or hash}.
        names: the trainable tensors.

    Raises:
        InputError: saying what was expected, what came and what to do.
    """
    saved = checkpoint.get(ORIGIN, {})
    for what, mine in origin.items():
        if saved.get(what) != mine:
            raise InputError(
                f"--ckpt_path: expected a checkpoint of the {what} {mine[:_LONGEST]}, got one of "
                f"{str(saved.get(what))[:_LONGEST]}. Resume with the settings it was started with, "
                "or start anew without --ckpt_path."
            )
    if different := sorted(names ^ checkpoint["state_dict"].keys()):
        raise InputError(
            f"--ckpt_path: the adapter has other tensors than the checkpoint: "
            f"{first_five(different)}. Resume with the settings it was started with."
        )


def _damaged(path: Any, why: str) -> InputError:
    return InputError(
        f"--ckpt_path: expected a checkpoint of this project in {path}, got a file that cannot be "
        f"read ({why}). Resume from another one in {Path(path).parent}."
    )
