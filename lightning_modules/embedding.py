"""Embeddings of the images of a data module, by image number and in a fixed order.

Shape letters: M images asked for, D embedding width.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.attribute import AttributeDataModule
from lightning_modules.progress import progress

_BATCH = 250


@torch.no_grad()
def embed(
    encode: Callable[[Tensor], Tensor],
    data: AttributeDataModule,
    members: NDArray[np.int64],
    *,
    device: torch.device,
    text: str = "images",
) -> Tensor:
    """Embeddings (M, D), float32, on the device.

    The batches depend on `members` alone, so that equal calls give equal bits.

    Args:
        encode: uint8 (B, 3, H, W) -> (B, D).
        data: the data module, after its `setup`.
        members: image numbers.
        device: where `encode` wants the images.
        text: shown beside the progress bar.
    """
    pixels = data.pixels()
    parts = []
    with progress(text, len(members)) as advance:
        for start in range(0, len(members), _BATCH):
            batch = members[start : start + _BATCH]
            images = torch.from_numpy(np.ascontiguousarray(pixels[batch * data.crops]))
            parts.append(encode(images.permute(0, 3, 1, 2).to(device)).float())
            advance(len(batch))
    return torch.cat(parts)
