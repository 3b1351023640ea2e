"""The study of head roles on the drawn world, where what an image shows is known.

Shape letters: N images, H x W pixels.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.sources.glyphs.captions import caption
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.world import ATTRIBUTES, Scenes, sample
from interpret.heads.study import LabelledImages, RoleStudy, Words, study_roles
from interpret.towers import image_tower
from lightning_modules.backbone import Backbone
from lightning_modules.pixels import Pixels
from lightning_modules.value_text import value_embeddings

_BATCH = 250


def study_glyphs(
    backbone: Backbone,
    *,
    num_images: int = 1000,
    top: int = 2,
    num_runs: int = 24,
    seed: int = 0,
) -> RoleStudy:
    """Find and confirm the heads of color, shape, texture and size.

    Args:
        backbone: a model that knows the drawn world, such as "glyph-clip".
        num_images: drawn to find roles, and again to confirm them.
        top: heads of each attribute that are ablated together.
        num_runs: random sets of heads to compare total effects with.
        seed: of the images and of all that is random.
    """
    found_on, judged_on = (
        _labelled(backbone, sample(seed, f"head roles/{use}", np.arange(num_images)))
        for use in ("found", "judged")
    )
    words = glyph_words(backbone)
    return study_roles(
        image_tower(backbone.model),
        words,
        found_on,
        judged_on,
        top=top,
        num_runs=num_runs,
        seed=seed,
    )


@torch.no_grad()
def glyph_words(backbone: Backbone) -> dict[str, Words]:
    """Every attribute's values, in captions that name nothing else."""
    return {
        attribute: Words(
            values,
            value_embeddings(
                backbone.model,
                backbone.tokenizer,
                [[caption({attribute: v}, style=s) for s in range(2)] for v in values],
            ),
        )
        for attribute, values in ATTRIBUTES.items()
    }


def batches_of(backbone: Backbone, images: NDArray[np.uint8]) -> list[Tensor]:
    """What the image tower takes, from uint8 (N, H, W, 3)."""
    pixels = Pixels(backbone.image_size, backbone.mean, backbone.std)
    device = next(backbone.model.parameters()).device
    channels_first = torch.from_numpy(images).permute(0, 3, 1, 2)
    return [pixels(batch).to(device) for batch in torch.split(channels_first, _BATCH)]


def _labelled(backbone: Backbone, scenes: Scenes) -> LabelledImages:
    labels: Mapping[str, NDArray[np.int64]] = {
        name: scenes.labels()[:, column] for column, name in enumerate(ATTRIBUTES)
    }
    return LabelledImages(batches_of(backbone, draw(scenes)), labels)
