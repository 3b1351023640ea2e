"""Training images mirrored and shifted, each in a way fixed by (seed, epoch, image number).

Neither changes a color, a shape, a texture or a size. No random state is drawn from, so a resumed
run and any number of processes see the same pictures.

Shape letters: B images, C channels, H x W pixels.
"""

from __future__ import annotations

import numpy as np
import torch
from torch import Tensor

from datamodules.counter_random import uniform

_SHARE = 16  # the largest shift is the side / 16


class Augmentation:
    """The images as each epoch shows them.

    An epoch's numbers are drawn once and kept beside the images: to look at image numbers in every
    step would make a GPU wait.

    Args:
        num_images: images of the source.
        seed: of the run.
    """

    def __init__(self, num_images: int, *, seed: int) -> None:
        self.num_images, self.seed = num_images, seed
        self._drawn: tuple[int, torch.device] | None = None

    def __call__(self, image: Tensor, index: Tensor, epoch: int) -> Tensor:
        """The images (B, C, H, W) of the numbers (B,), moved as this epoch, from 0, moves them."""
        if self._drawn != (epoch, image.device):
            u = uniform(self.seed, f"augment/{epoch}", np.arange(self.num_images), 3)
            self._u_N3 = torch.from_numpy(u).to(image.device)
            self._drawn = (epoch, image.device)
        return mirror_and_shift(image, self._u_N3[index])


def mirror_and_shift(image: Tensor, u: Tensor) -> Tensor:
    """Mirror half of the images left to right, and shift each by up to a sixteenth of its side.

    What a shift leaves empty is filled by reflection.

    Args:
        image: (B, C, H, W), of any type.
        u: numbers in [0, 1), (B, 3): whether to mirror, how far to shift along x and along y.
    """
    height, width = image.shape[-2:]
    x_BW, y_BH = _shifted(width, u[:, 1]), _shifted(height, u[:, 2])
    x_BW = torch.where(u[:, :1] < 0.5, width - 1 - x_BW, x_BW)
    rows = torch.arange(len(image), device=image.device)[:, None, None]
    moved = image.permute(0, 2, 3, 1)[rows, y_BH[:, :, None], x_BW[:, None, :]]
    return moved.permute(0, 3, 1, 2)


def _shifted(size: int, u_B: Tensor) -> Tensor:
    """Pixel numbers (B, size) along one axis, shifted and reflected at both borders."""
    shift_B = ((2 * u_B - 1) * (size // _SHARE + 0.5)).round().long()
    index = (torch.arange(size, device=u_B.device) + shift_B[:, None]).abs()
    return (size - 1) - ((size - 1) - index).abs()
