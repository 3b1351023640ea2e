"""Do heat maps find the drawn object? All methods on drawn images, whose masks are known exactly.

Shape letters: N images.
"""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.errors import InputError
from datamodules.sources.glyphs.captions import caption, named
from datamodules.sources.glyphs.draw import draw, mask
from datamodules.sources.glyphs.world import ATTRIBUTES, Scenes, sample
from datamodules.text_table import text_table
from interpret.heatmap import METHODS
from interpret.segment.localization import SCORES, LocalizationScores
from interpret.segment.run import own_maps
from interpret.segment.scores import SegmentationScores
from interpret.towers import image_tower
from lightning_modules.backbone import Backbone
from lightning_modules.pixels import Pixels
from lightning_modules.value_text import value_embeddings

STREAM = "heat maps"  # scenes that nothing is trained on
PROMPTS = (("color",), ("shape",), ("texture",), ("size",), tuple(ATTRIBUTES))


@dataclass(frozen=True)
class Found:
    """How well one method finds the objects that one kind of prompt names.

    Attributes:
        method: of the heat maps.
        prompt: the attributes that the prompts name.
        relative: whether prompts were taken against all prompts of the kind.
        images: number of images.
        scores: of `LocalizationScores`, with standard errors, and of `SegmentationScores`.
    """

    method: str
    prompt: tuple[str, ...]
    relative: bool
    images: int
    scores: Mapping[str, float]


def localize_glyphs(
    backbone: Backbone,
    model: nn.Module | None = None,
    *,
    count: int = 300,
    prompts: Sequence[Sequence[str]] = PROMPTS,
    methods: Sequence[str] = tuple(METHODS),
    relative: bool = True,
    seed: int = 0,
    batch_size: int = 50,
) -> list[Found]:
    """Scores of every method for every kind of prompt, on the same images.

    Args:
        backbone: a CLIP that knows the drawn world.
        model: what is looked at, such as the backbone with an adapter; None for the backbone.
        count: number of images.
        prompts: kinds of prompts, each the attributes that are named with their true values.
        methods: of `heat_map`.
        relative: explain what tells a prompt from all others of its kind.
        seed: of the scenes.
        batch_size: images at a time; the scores do not depend on it.

    Raises:
        InputError: if there is no image, or a method or an attribute is unknown.
    """
    _check(count, prompts, methods)
    tower = image_tower(backbone.model if model is None else model)
    scenes = sample(seed, STREAM, np.arange(count))
    preprocess = Pixels(backbone.image_size, backbone.mean, backbone.std)
    device = next(backbone.model.parameters()).device
    pixels = torch.from_numpy(draw(scenes)).permute(0, 3, 1, 2).to(device)
    images = preprocess.to(device)(pixels)
    masks = _masks(scenes, backbone.image_size).to(device)
    found = []
    for prompt in prompts:
        texts_TE, text_N = _texts(backbone, scenes, prompt)
        for method in methods:
            near, apart = LocalizationScores().to(device), SegmentationScores().to(device)
            for rows in torch.split(torch.arange(count, device=device), batch_size):
                maps = own_maps(tower, images[rows], texts_TE, text_N[rows], method, relative)
                near.update(maps, masks[rows])
                apart.update(maps, masks[rows])
            scores = {**near.compute(), **apart.compute()}
            numbers = {name: value.item() for name, value in scores.items()}
            found.append(Found(method, tuple(prompt), relative, count, numbers))
    return found


def localization_table(found: Sequence[Found]) -> list[str]:
    """Lines of a table: means over images, and standard errors where there are any."""
    head = ["prompt", "method", *SCORES, "pix acc", "miou", "map"]
    return text_table(head, map(_cells, found))


def _cells(found: Found) -> list[str]:
    scores = found.scores
    means = [f"{scores[name]:.3f} +- {scores[f'{name}_error']:.3f}" for name in SCORES]
    plain = [f"{scores[name]:.3f}" for name in ("pix_acc", "miou", "map")]
    return ["+".join(found.prompt), found.method, *means, *plain]


def _masks(scenes: Scenes, size: int) -> Tensor:
    """Bool (N, size, size): pixels that the object covers by more than half."""
    cover = torch.from_numpy(mask(scenes))[:, None]
    if cover.shape[-1] != size:
        cover = F.interpolate(cover, size=(size, size), mode="bilinear")
    return cover[:, 0] > 0.5


@torch.no_grad()
def _texts(backbone: Backbone, scenes: Scenes, prompt: Sequence[str]) -> tuple[Tensor, Tensor]:
    """Embeddings of all prompts of a kind, and the number of each image's own."""
    values = [ATTRIBUTES[name] for name in prompt]
    every = [
        caption(dict(zip(prompt, each, strict=True)), style=0)
        for each in itertools.product(*values)
    ]
    number = {text: index for index, text in enumerate(every)}
    own = [caption(named(row, tuple(prompt)), style=0) for row in scenes.labels().tolist()]
    texts_TE = value_embeddings(backbone.model, backbone.tokenizer, [[text] for text in every])
    return texts_TE, torch.tensor([number[text] for text in own], device=texts_TE.device)


def _check(count: int, prompts: Sequence[Sequence[str]], methods: Sequence[str]) -> None:
    if count < 1:
        raise InputError(f"expected a count of at least 1 image, got {count}.")
    for given, known, what in (
        (methods, METHODS, "method"),
        ([name for prompt in prompts for name in prompt], ATTRIBUTES, "attribute"),
    ):
        if unknown := [each for each in given if each not in known]:
            raise InputError(f"expected every {what} among {', '.join(known)}, got {unknown[0]!r}.")
