"""What a CLIP is shown while it learns the world from nothing: from easy to the full world.

A small ViT learns color in minutes and shape hardly at all, for two reasons: color predicts shape
(the held-out pairs leave every color with eight shapes of ten), and a shape is a few edges among
grain and blotches. So the first lessons are large, centred, black or white shapes on flat ground,
named by their shape alone; they grow harder, and the full world replaces them image by image.

Shape letters: B images of a batch, H = W = 64 pixels.
"""

from __future__ import annotations

from dataclasses import fields, replace
from typing import Any, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.counter_random import uniform
from datamodules.sources.glyphs.captions import MENTIONS, Mention, same_mention
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.world import COLORS, Floats, Scenes, is_unseen, sample

_PLAIN_RADIUS = 22.0
# How often a batch's second caption names color, texture or size alone.
_SINGLE: dict[Mention, float] = {("color",): 0.25, ("texture",): 0.5, ("size",): 0.25}
_TOGETHER = {mention: often for mention, often in MENTIONS.items() if len(mention) > 1}


class CaptionGroup(NamedTuple):
    """Captions of the first images of a batch, all naming the same attributes in the same words.

    Within a group, equal captions are positives of each other and every other one is a true
    negative. `comparable` is False where image and caption together would name a held-out (color,
    shape) pair. A red image is never told "not a star" when no red star can occur: otherwise color
    would predict shape, and the model would learn which pairs exist in place of what a star is.
    """

    texts: list[str]  # the U distinct captions
    target: Tensor  # int64 (n,): the caption of each of the first n images
    comparable: Tensor  # bool (n, U): which captions the loss compares with which images


class CaptionBatch(NamedTuple):
    """Images and the groups of captions that go with them."""

    image: Tensor  # uint8 (B, 3, H, W)
    groups: list[CaptionGroup]


def lesson(seed: int, step: int, batch_size: int, hard: float) -> CaptionBatch:
    """The batch of one step: fresh images, drawn for it and never shown again.

    Args:
        seed: seed of the world.
        step: number of the step; the batch is a pure function of (seed, step, batch_size, hard).
        batch_size: number of images.
        hard: share of the batch that shows the full world, in [0, 1].
    """
    index = np.arange(step * batch_size, (step + 1) * batch_size)
    scenes = sample(seed, "pretraining", index)
    draws = uniform(seed, "pretraining/lesson", index, 1)[:, 0]
    u = uniform(seed, "pretraining/captions", np.array([step]), 8)[0]
    num_hard = round(batch_size * hard)
    ease = np.where(np.arange(batch_size) < num_hard, 0.0, 1 - draws * (0.3 + 0.7 * hard))
    scenes = easier(scenes, ease.astype(np.float32))
    groups = [_group(scenes, ("shape",), u[0:2])]
    if num_hard >= batch_size // 8:
        full = scenes[:num_hard]
        groups += [
            _group(full, _choose(_SINGLE, u[2]), u[4:6]),
            _group(full, _choose(_TOGETHER, u[3]), u[6:8]),
        ]
    return CaptionBatch(torch.from_numpy(draw(scenes)).permute(0, 3, 1, 2), groups)


def easier(scenes: Scenes, ease: Floats) -> Scenes:
    """Scenes brought towards a large, centred, black or white shape on flat ground.

    Only the shape label stays true of what is drawn.

    Args:
        scenes: N scenes.
        ease: shape (N,), 0 leaves a scene as it is, 1 is the easiest.
    """
    e = ease[:, None]
    black_or_white = np.where(scenes.ground[:, 40:41] > 0, 0.87, 0.12)
    gray = black_or_white - np.array(list(COLORS.values()))[scenes.color]
    ground = scenes.ground.copy()
    ground[:, 1] *= 1 - ease
    simple = replace(
        scenes,
        radius=scenes.radius * (1 - ease) + ease * _PLAIN_RADIUS,
        center=32 + (scenes.center - 32) * (1 - e),
        angle=scenes.angle * (1 - 0.5 * ease),
        light=scenes.light ** (1 - e),
        tone=gray,
        ground=ground,
        texture=np.where(ease > 0.5, 0, scenes.texture),
        care=np.ones_like(scenes.care),
    )
    chosen = {
        f.name: _where(ease > 0, getattr(simple, f.name), getattr(scenes, f.name))
        for f in fields(scenes)
    }
    return Scenes(**chosen)


def _where(rows: NDArray[np.bool_], yes: NDArray[Any], no: NDArray[Any]) -> NDArray[Any]:
    """`yes` in these rows and `no` in the others, (N, ...), in the type of `no`."""
    return np.where(rows.reshape(-1, *[1] * (no.ndim - 1)), yes, no).astype(no.dtype)


def _choose(rates: dict[Mention, float], u: float) -> Mention:
    ends = np.cumsum(list(rates.values()))
    return list(rates)[int(np.searchsorted(ends, u * ends[-1] * 0.999))]


def _group(scenes: Scenes, mention: Mention, u: Floats) -> CaptionGroup:
    texts, first, target = np.unique(
        same_mention(scenes, mention, u), return_index=True, return_inverse=True
    )
    comparable: NDArray[np.bool_] = np.ones((len(scenes), len(texts)), dtype=np.bool_)
    said_color, said_shape = scenes.said()[:, :2].T
    if "shape" in mention and "color" not in mention:
        for color in (scenes.color, said_color):
            comparable &= ~is_unseen(color[:, None], said_shape[first][None, :])
    elif "color" in mention and "shape" not in mention:
        for shape in (scenes.shape, said_shape):
            comparable &= ~is_unseen(said_color[first][None, :], shape[:, None])
    return CaptionGroup(
        texts.tolist(), torch.from_numpy(target.astype(np.int64)), torch.from_numpy(comparable)
    )
