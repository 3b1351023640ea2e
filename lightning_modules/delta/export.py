"""One model out of a base and its deltas, in the layout that plain open_clip loads."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor, nn

from datamodules.errors import InputError
from lightning_modules.attention import fused_state_dict, split_state_dict
from lightning_modules.backbone import Backbone, save_local_dir
from lightning_modules.delta.factors import Delta
from lightning_modules.delta.store import check_delta
from lightning_modules.tensors import first_five


def merged_state_dict(model: nn.Module, update: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """Base plus update in open_clip's own layout; a plain model loads it with `strict=True`.

    Args:
        model: the base, split or plain; it stays as it is.
        update: weight name of the split model -> difference, such as `delta.dense()` or a sum.

    Raises:
        InputError: if the update names weights that the model does not have.
    """
    state = split_state_dict(fused_state_dict(model))
    if unknown := sorted(update.keys() - state.keys()):
        raise InputError(
            f"{len(unknown)} weights of the update are not in the model: {first_five(unknown)}. "
            "Load the backbone that the deltas were trained on."
        )
    with torch.no_grad():
        for name, difference in update.items():
            state[name] = state[name] + difference.to(state[name])
    return fused_state_dict(state)


def export_merged(delta: Delta, backbone: Backbone, folder: Path, *, half: bool = False) -> None:
    """Write base plus delta as a folder for `open_clip.create_model("local-dir:<folder>")`.

    Args:
        delta: what to add.
        backbone: what it was trained on.
        folder: replaced as a whole, or left as it was.
        half: store float16.

    Raises:
        InputError: if the delta does not belong to the backbone, or the disk is full.
    """
    check_delta(delta, backbone)
    state = merged_state_dict(backbone.model, delta.dense())
    save_local_dir(state, backbone.model_cfg, backbone.preprocess_cfg, folder, half=half)
