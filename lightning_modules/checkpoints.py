"""Checkpoints that are whole or absent, and that are read without unpickling code."""

from __future__ import annotations

import io
from pathlib import Path
from typing import Any

import torch
from lightning.fabric.plugins.io.torch_io import TorchCheckpointIO

from datamodules.errors import InputError
from datamodules.files import write_bytes


class AtomicCheckpointIO(TorchCheckpointIO):
    """Writes a checkpoint to a temporary name first; removes what a killed process left behind."""

    def save_checkpoint(self, checkpoint: dict[str, Any], path: Any, storage_options: Any = None) -> None:
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
        path = Path(path)
        for leftover in path.parent.glob(".partial-*"):
            leftover.unlink()
        try:
            checkpoint: dict[str, Any] = torch.load(path, map_location="cpu", weights_only=True)
        except FileNotFoundError:
            raise InputError(
                f"--ckpt_path: expected a checkpoint at {path}, found no such file. Look in runs/train/."
            ) from None
        except Exception as error:  # torch raises many kinds for a damaged file
            raise InputError(
                f"--ckpt_path: expected a checkpoint of this project in {path}, got a file that cannot be read "
                f"({str(error).splitlines()[0]}). Resume from another one in {path.parent}."
            ) from None
        return checkpoint
