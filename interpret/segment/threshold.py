"""Where the object begins in a heat map.

Shape letters: H x W pixels.
"""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from datamodules.errors import InputError

Threshold = Literal["mean"] | float


def above(maps: Tensor, threshold: Threshold = "mean") -> Tensor:
    """Which pixels belong to the object, bool (..., H, W): those above the threshold, not on it.

    Args:
        maps: (..., H, W), in [0, 1] where the threshold is a number.
        threshold: "mean" for the mean of each map, or a number of at least 0 and below 1. A
            constant map has nothing above its mean, so all of it is background.

    Raises:
        InputError: if the threshold is something else.
    """
    if threshold == "mean":
        # Rounding of the mean must not lift half of a constant map above it.
        is_flat = maps.amax((-2, -1), keepdim=True) == maps.amin((-2, -1), keepdim=True)
        return (maps > maps.double().mean((-2, -1), keepdim=True)) & ~is_flat
    if not isinstance(threshold, int | float) or not 0 <= threshold < 1:  # nor is NaN
        raise InputError(
            f'expected a threshold of "mean" or a number of at least 0 and below 1, got '
            f"{threshold!r}."
        )
    return maps > threshold
