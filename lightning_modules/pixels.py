"""From uint8 images to what an image tower reads, in the batch and on its device.

Shape letters: B images, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn


class Pixels(nn.Module):
    """Resize to a square and normalise each channel; holds nothing that a checkpoint stores.

    Args:
        size: side of the output in pixels.
        mean: of each channel, for values in [0, 1].
        std: of each channel.
    """

    mean: Tensor
    std: Tensor

    def __init__(self, size: int, mean: Sequence[float], std: Sequence[float]) -> None:
        super().__init__()
        self.size = size
        self.register_buffer("mean", torch.tensor(mean).view(3, 1, 1), persistent=False)
        self.register_buffer("std", torch.tensor(std).view(3, 1, 1), persistent=False)

    def forward(self, image: Tensor) -> Tensor:
        """uint8 (B, 3, H, W) to float32 (B, 3, size, size), bicubic with antialiasing."""
        scaled = image.float() / 255
        if scaled.shape[-2:] != (self.size, self.size):
            sides = (self.size, self.size)
            scaled = F.interpolate(scaled, size=sides, mode="bicubic", antialias=True).clamp(0, 1)
        return (scaled - self.mean) / self.std
