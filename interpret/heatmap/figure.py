"""Images with their heat maps laid over them, as one picture.

Shape letters: N images, H x W pixels.
"""

from __future__ import annotations

import textwrap
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from datamodules.images import Pixels
from lightning_modules.callbacks.figures import INK

if TYPE_CHECKING:
    from matplotlib.figure import Figure

_OUTLINE = "#ffffff"
_CELL = 1.25  # inches a picture is wide
_LETTERS = 18  # a line beside an image
_COLORS = "inferno"
_STRENGTH = 0.62  # how much of the map covers the image

Maps = NDArray[np.floating[Any]]
Masks = NDArray[np.bool_]


def heat_figure(
    images: Pixels,
    maps: Mapping[str, Maps],
    *,
    title: str = "",
    labels: Sequence[str] | None = None,
    masks: Masks | None = None,
) -> Figure:
    """A row an image: the image, then each map over its gray copy.

    Args:
        images: uint8 (N, H, W, 3).
        maps: {name: (N, H, W) in [0, 1]}, a column each.
        title: printed above.
        labels: printed beside each image.
        masks: bool (N, H, W), outlined in white.

    Raises:
        InputError: if there is no image or no map, or the shapes differ.
    """
    from matplotlib.figure import Figure

    _check(images, maps, masks)
    height, width = _CELL * len(images), _CELL * (1 + len(maps))
    figure = Figure(
        figsize=(width + 0.2, height + (0.75 if title else 0.4)),
        facecolor="white",
        layout="constrained",
    )
    if title:
        figure.suptitle(title, fontsize=11, color=INK, x=0.01, ha="left")
    axes = figure.subplots(len(images), 1 + len(maps), squeeze=False)
    grays = images.mean(-1)
    for row, image in enumerate(images):
        axes[row, 0].imshow(image)
        if labels is not None:
            wrapped = textwrap.fill(labels[row], _LETTERS)
            axes[row, 0].set_ylabel(wrapped, fontsize=7, color=INK)
        for column, each in enumerate(maps.values(), start=1):
            axes[row, column].imshow(grays[row], cmap="gray", vmin=0, vmax=255)
            style = {"cmap": _COLORS, "vmin": 0, "vmax": 1, "alpha": _STRENGTH}
            axes[row, column].imshow(each[row], **style)
            if masks is not None:
                axes[row, column].contour(masks[row], [0.5], colors=_OUTLINE, linewidths=0.8)
    for column, name in enumerate(["image", *maps]):
        axes[0, column].set_title(name, fontsize=9, color=INK)
    for axis in axes.ravel():
        axis.set_xticks([])
        axis.set_yticks([])
        axis.spines[:].set_visible(False)
    return figure


def _check(images: Pixels, maps: Mapping[str, Maps], masks: Masks | None) -> None:
    if not maps or not len(images):
        raise InputError("expected at least one image and one map to draw, got none.")
    shown: dict[str, NDArray[Any]] = dict(maps)
    if masks is not None:
        shown["masks"] = masks
    for name, each in shown.items():
        if each.shape != images.shape[:3]:
            raise InputError(
                f"expected {name} of the images' shape {images.shape[:3]}, got {each.shape}. "
                "Enlarge the maps to the images first."
            )
