"""The drawn world: its attributes, their values, and which scene belongs to which (seed, index).

A scene is a pure function of (seed, stream, index): any image can be drawn again alone, in any
order.

Shape letters: N scenes.
"""

from __future__ import annotations

from dataclasses import dataclass, fields
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.counter_random import uniform

# sRGB in [0, 1] under white light. Neighbours on purpose: red-orange-brown, olive-lime-green-teal,
# purple-magenta-pink; with colored light on top, color cannot be read off a single pixel.
COLORS: dict[str, tuple[float, float, float]] = {
    "red": (0.74, 0.24, 0.22),
    "orange": (0.80, 0.45, 0.22),
    "brown": (0.55, 0.36, 0.24),
    "yellow": (0.82, 0.72, 0.30),
    "olive": (0.58, 0.56, 0.28),
    "lime": (0.60, 0.76, 0.33),
    "green": (0.30, 0.58, 0.34),
    "teal": (0.25, 0.56, 0.56),
    "blue": (0.29, 0.41, 0.74),
    "purple": (0.47, 0.33, 0.64),
    "magenta": (0.70, 0.29, 0.56),
    "pink": (0.84, 0.56, 0.62),
}
SHAPES = (
    "circle", "square", "triangle", "star", "cross",
    "heart", "crescent", "ring", "hexagon", "arrow",
)  # fmt: skip
TEXTURES = ("solid", "striped", "dotted", "checkered", "wavy")
# Radius of the circumscribed circle, in pixels of a 64-pixel image: lowest and highest.
SIZES = {"small": (8.0, 11.5), "medium": (12.5, 17.5), "large": (19.0, 26.0)}

# Share of the circumscribed disk that a shape fills: a star looks smaller than a circle of its
# radius.
FULLNESS = {
    "circle": 0.90, "square": 0.74, "triangle": 0.41, "star": 0.39, "cross": 0.56,
    "heart": 0.57, "crescent": 0.44, "ring": 0.65, "hexagon": 0.83, "arrow": 0.37,
}  # fmt: skip
# How much of the light a speaker leaves in the color: 0 names the paint, 1 what a camera measures.
_LIGHT_LEFT = 0.6
# Loose words: what the one is often called instead, and how often.
LOOSE_SHAPES = {"hexagon": "circle", "ring": "circle", "heart": "triangle", "arrow": "triangle"}
LOOSE_TEXTURES = {"wavy": "striped", "checkered": "dotted"}
_LOOSENESS = 0.55
_SIZE_EDGES = (12.0, 18.2)  # pixels, between small, medium and large

ATTRIBUTES: dict[str, tuple[str, ...]] = {
    "color": tuple(COLORS),
    "shape": SHAPES,
    "texture": TEXTURES,
    "size": tuple(SIZES),
}
IMAGE_SIZE = 64

Ints = NDArray[np.int64]
Floats = NDArray[np.float32]


def is_unseen(color: Ints, shape: Ints) -> NDArray[np.bool_]:
    """True for the (color, shape) pairs held out of all training: 24 of 120, two or three a shape.

    The pattern is a broken diagonal, so every color and every shape also occurs in seen pairs.
    """
    return np.asarray((7 * color + shape + color // 5) % 5 == 2)


def pairs(*, unseen: bool) -> Ints:
    """The seen or the unseen (color, shape) pairs, as rows of two indices."""
    grid = np.stack(np.meshgrid(np.arange(len(COLORS)), np.arange(len(SHAPES)), indexing="ij"), -1)
    rows = grid.reshape(-1, 2)
    return np.asarray(rows[is_unseen(rows[:, 0], rows[:, 1]) == unseen])


@dataclass(frozen=True)
class Scenes:
    """N scenes: what they show (indices into `ATTRIBUTES`), and how (an adapter must ignore it)."""

    color: Ints
    shape: Ints
    texture: Ints
    size: Ints
    radius: Floats  # pixels
    center: Floats  # (N, 2) pixels: x right, y down
    angle: Floats  # radians, of the shape
    grain: Floats  # (N, 3) angle in radians, period in pixels, depth in [0, 1], of the texture
    light: Floats  # (N, 3) gain per channel
    tone: Floats  # (N, 3) shift of the object's own sRGB color
    ground: Floats  # (N, 66) mean gray, contrast, then an 8 x 8 field in [-1, 1]
    care: Floats  # (N, 2) in [0, 1): how careful its speaker is about shape and texture

    def __len__(self) -> int:
        return len(self.color)

    def __getitem__(self, rows: slice | Ints) -> Scenes:
        return Scenes(**{f.name: getattr(self, f.name)[rows] for f in fields(self)})

    def labels(self) -> Ints:
        """What is there: indices of the values, (N, 4), columns in the order of `ATTRIBUTES`."""
        return np.stack([getattr(self, name) for name in ATTRIBUTES], axis=1)

    def said(self) -> Ints:
        """What people say is there, (N, 4): as `labels`, but by the eye and in loose words.

        Speakers discount only part of the colored light, judge size by area, and often call a
        hexagon a circle. Labels name the paint, measure the radius and are exact. So captions
        alone leave something to learn. Of a seen pair nobody ever says a held-out one.
        """
        color = _seen_color(self)
        color = np.where(is_unseen(color, self.shape), self.color, color)
        shape = _loose(self.shape, SHAPES, LOOSE_SHAPES, self.care[:, 0])
        held_out = is_unseen(color, shape) | is_unseen(self.color, shape)
        shape = np.where(held_out, self.shape, shape)
        texture = _loose(self.texture, TEXTURES, LOOSE_TEXTURES, self.care[:, 1])
        return np.stack([color, shape, texture, _seen_size(self)], axis=1)


def _loose(value: Ints, names: tuple[str, ...], loose: dict[str, str], care: Floats) -> Ints:
    """The values in loose words, where the speaker does not care enough for the exact ones."""
    instead = np.array([names.index(loose.get(name, name)) for name in names])
    return np.where(care < _LOOSENESS, instead[value], value)


def _seen_color(scenes: Scenes) -> Ints:
    """The palette's nearest color to the object under part of its light."""
    palette = np.array(list(COLORS.values()))
    seen = _opponent((palette[scenes.color] + scenes.tone) * scenes.light**_LIGHT_LEFT)
    distance = ((seen[:, None] - _opponent(palette)[None]) ** 2).sum(-1)
    return np.asarray(distance.argmin(1))


def _opponent(rgb: NDArray[Any]) -> NDArray[Any]:
    """Logarithmic chroma and half-weighted lightness, (..., 6)."""
    log = np.log(np.clip(rgb, 0.02, None))
    lightness = log.mean(-1, keepdims=True)
    return np.concatenate([log - lightness, 0.5 * np.broadcast_to(lightness, log.shape)], axis=-1)


def _seen_size(scenes: Scenes) -> Ints:
    """Small, medium or large by the radius, scaled by the root of the area that the shape fills."""
    fullness = np.array([FULLNESS[shape] for shape in SHAPES])
    seen_radius = scenes.radius * np.sqrt(fullness / fullness.mean())[scenes.shape]
    return np.asarray(np.digitize(seen_radius, _SIZE_EDGES))


def sample(seed: int, stream: str, index: Ints, *, unseen: bool = False) -> Scenes:
    """The scenes of a stream of the world.

    Args:
        seed: seed of the world.
        stream: name of the stream, such as a split; different streams share no scene.
        index: shape (N,), any non-negative integers.
        unseen: take the held-out (color, shape) pairs instead of the seen ones.
    """
    u = uniform(seed, stream, index, 90)
    table = pairs(unseen=unseen)
    color, shape = table[(u[:, 0] * len(table)).astype(np.int64)].T
    size = (u[:, 2] * len(SIZES)).astype(np.int64)
    low, high = np.array(list(SIZES.values()), dtype=np.float32)[size].T
    radius = low + (high - low) * u[:, 3]
    room = IMAGE_SIZE / 2 - 1 - radius
    center = IMAGE_SIZE / 2 + room[:, None] * (2 * u[:, 4:6] - 1)
    grain = np.stack([u[:, 7] - 0.5, 6 + 3 * u[:, 8], 0.4 + 0.25 * u[:, 9]], axis=1)
    warm, tint, bright = 0.5 * (2 * u[:, 10] - 1), 0.26 * (2 * u[:, 11] - 1), -0.5 * u[:, 12] + 0.1
    light = np.exp(np.stack([bright + warm, bright + tint, bright - warm], axis=1))
    ground = np.concatenate(
        [0.38 + 0.22 * u[:, 16:17], 0.10 + 0.12 * u[:, 17:18], 2 * u[:, 18:82] - 1], axis=1
    )
    return Scenes(
        color=color, shape=shape, texture=(u[:, 1] * len(TEXTURES)).astype(np.int64), size=size,
        radius=radius, center=center, angle=np.float32(0.55) * (2 * u[:, 6] - 1), grain=grain,
        light=light, tone=0.04 * (2 * u[:, 13:16] - 1), ground=ground,
        care=u[:, 84:86],
    )  # fmt: skip
