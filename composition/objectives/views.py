"""Two views of images for consistency: one barely moved, one with a part hidden too.

Neither changes colors: a color attribute would be another one then. They draw from torch's global
state, which a run seeds anew for every epoch and process.

Shape letters: B images, C channels, H x W pixels.
"""

from __future__ import annotations

import torch
from torch import Tensor

from lightning_modules.augment import mirror_and_shift

_HIDDEN = 3  # a square of a third of the side is hidden


def weak_view(image: Tensor) -> Tensor:
    """Uint8 images (B, C, H, W), half of them mirrored, all shifted a little."""
    return mirror_and_shift(image, torch.rand(len(image), 3, device=image.device))


def strong_view(image: Tensor) -> Tensor:
    """The same with a square of each image hidden behind its mean color (cutout)."""
    moved = weak_view(image)
    height, width = moved.shape[-2:]
    place_BX = torch.rand(len(moved), 2, device=moved.device)
    rows, columns = (
        _between(size, u_B) for size, u_B in ((height, place_BX[:, 0]), (width, place_BX[:, 1]))
    )
    hidden = (rows[:, :, None] & columns[:, None, :])[:, None]
    mean = moved.float().mean((-2, -1), keepdim=True).to(moved.dtype)
    return torch.where(hidden, mean, moved)


def _between(size: int, u_B: Tensor) -> Tensor:
    """Which of `size` places lie in the hidden stretch, bool (B, size)."""
    length = size // _HIDDEN
    start_B = (u_B * (size - length + 1)).long()
    place = torch.arange(size, device=u_B.device)
    return (place >= start_B[:, None]) & (place < start_B[:, None] + length)
