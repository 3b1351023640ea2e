"""Scenes -> pictures: one mottled ground, one textured object under colored light; vectorised.

Each shape is an implicit function in coordinates where its circumscribed circle has radius 1:
positive inside, and near the edge about the distance to it, which makes anti-aliasing one clip.

Shape letters: N images, H = W = 64 pixels.
"""

from __future__ import annotations

from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from functools import reduce
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.sources.glyphs.world import COLORS, IMAGE_SIZE, SHAPES, TEXTURES, Floats, Scenes

Plane = NDArray[Any]  # (N, H, W) of real numbers; single or double precision

_CHUNK = 128  # images drawn together: their planes stay in the processor's cache


def draw(scenes: Scenes, *, num_threads: int = 2) -> NDArray[np.uint8]:
    """Pictures of the scenes, uint8, shape (N, H, W, 3).

    Args:
        scenes: what to draw.
        num_threads: NumPy leaves the interpreter's lock, so threads scale.
    """
    images = np.empty((len(scenes), IMAGE_SIZE, IMAGE_SIZE, 3), dtype=np.uint8)
    starts = range(0, len(scenes), _CHUNK)

    def fill(start: int) -> None:
        images[start : start + _CHUNK] = _draw_chunk(scenes[start : start + _CHUNK])

    with ThreadPoolExecutor(num_threads) as pool:
        list(pool.map(fill, starts))
    return images


def mask(scenes: Scenes) -> Floats:
    """How much of each pixel the object covers, in [0, 1], shape (N, H, W)."""
    return _coverage(scenes, *_local(scenes))


def _draw_chunk(scenes: Scenes) -> NDArray[np.uint8]:
    u, v = _local(scenes)
    cover = _coverage(scenes, u, v)[..., None]
    shade = 1 - scenes.grain[:, 2, None, None] * _pattern(scenes)
    shade *= 1.06 - 0.12 * np.clip(v, -1, 1)  # light falls from above
    rgb = np.array(list(COLORS.values()), dtype=np.float32)[scenes.color] + scenes.tone
    figure = shade[..., None] * rgb[:, None, None, :]
    # A soft shadow, the object's outline shifted down and right, sets it off the ground.
    shadow = np.zeros_like(cover)
    shadow[:, 2:, 1:] = cover[:, :-2, :-1]
    ground = _ground(scenes)[..., None] * (1 - 0.3 * shadow)
    picture = (ground + (figure - ground) * cover) * scenes.light[:, None, None, :]
    return np.asarray(np.clip(picture * 255 + 0.5, 0, 255).astype(np.uint8))


def _local(scenes: Scenes) -> tuple[Floats, Floats]:
    """Coordinates turned, centred and scaled to the object, each (N, H, W); v points down."""
    axis = np.arange(IMAGE_SIZE, dtype=np.float32) + 0.5
    x = (axis[None, :] - scenes.center[:, :1]) / scenes.radius[:, None]
    y = (axis[None, :] - scenes.center[:, 1:]) / scenes.radius[:, None]
    cos, sin = (f(scenes.angle)[:, None] for f in (np.cos, np.sin))
    u = (cos * x)[:, None, :] + (sin * y)[:, :, None]
    v = (cos * y)[:, :, None] - (sin * x)[:, None, :]
    return u.astype(np.float32), v.astype(np.float32)


def _coverage(scenes: Scenes, u: Floats, v: Floats) -> Floats:
    inside = np.empty_like(u)
    for shape in np.unique(scenes.shape):
        rows = scenes.shape == shape
        inside[rows] = _OUTLINES[SHAPES[shape]](u[rows], v[rows])
    return np.asarray(np.clip(inside * scenes.radius[:, None, None] + 0.5, 0, 1))


def _pattern(scenes: Scenes) -> Floats:
    """How deep the texture darkens each pixel, in [0, 1], shape (N, H, W)."""
    axis = np.arange(IMAGE_SIZE, dtype=np.float32)
    wave = np.float32(2 * np.pi) / scenes.grain[:, 1]
    cos, sin = (f(scenes.grain[:, 0]) * wave for f in (np.cos, np.sin))
    x, y = axis - scenes.center[:, :1], axis - scenes.center[:, 1:]
    p = (cos[:, None] * x)[:, None, :] + (sin[:, None] * y)[:, :, None]
    q = (cos[:, None] * y)[:, :, None] - (sin[:, None] * x)[:, None, :]
    depth: Plane = np.zeros_like(p)
    for texture in np.unique(scenes.texture):
        rows = scenes.texture == texture
        depth[rows] = _GRAINS[TEXTURES[texture]](p[rows], q[rows])
    return depth


def _ground(scenes: Scenes) -> Floats:
    """A gray field with blotches: 8 x 8 random values, smoothly enlarged, plus their fine copy."""
    field = scenes.ground[:, 2:].reshape(-1, 8, 8)
    coarse: NDArray[Any] = _ENLARGE @ field @ _ENLARGE.T
    fine = np.tile(coarse[:, ::4, ::4], (1, 4, 4))
    mottle: NDArray[Any] = coarse + np.float32(0.35) * fine
    return np.asarray(scenes.ground[:, 0, None, None] + scenes.ground[:, 1, None, None] * mottle)


def _enlarge(small: int, large: int) -> Floats:
    """Cosine interpolation from `small` to `large` samples, as a matrix (large, small)."""
    at = np.linspace(0, small - 1, large, dtype=np.float32)
    gap = np.clip(np.abs(at[:, None] - np.arange(small)), 0, 1)
    return np.asarray(0.5 + 0.5 * np.cos(np.pi * gap), dtype=np.float32)


_ENLARGE = _enlarge(8, IMAGE_SIZE)


def _polygon(u: Plane, v: Plane, sides: int) -> Plane:
    """A regular polygon with one corner up."""
    apothem = np.cos(np.pi / sides)
    turns = [2 * np.pi * (k + 0.5) / sides for k in range(sides)]
    edges = [apothem - (u * np.sin(t) - v * np.cos(t)) for t in turns]
    return np.asarray(reduce(np.minimum, edges).astype(np.float32))


def _star(u: Plane, v: Plane) -> Plane:
    """Five points: fold the plane into one half of one point, then one straight edge."""
    sector = np.float32(np.pi / 5)
    angle = np.abs((np.arctan2(u, -v) + sector) % (2 * sector) - sector)
    radius = np.hypot(u, v)
    inner = np.float32(0.42)
    corner = inner * np.array([np.cos(sector), np.sin(sector)])
    edge = corner - np.array([1.0, 0.0])
    normal = np.array([edge[1], -edge[0]]) / np.hypot(*edge)
    inside = (1 - radius * np.cos(angle)) * normal[0] - radius * np.sin(angle) * normal[1]
    return np.asarray(inside.astype(np.float32))


def _box(u: Plane, v: Plane, half_width: float, half_height: float) -> Plane:
    return np.asarray(np.minimum(half_width - np.abs(u), half_height - np.abs(v)))


def _disk(u: Plane, v: Plane, x: float, y: float, radius: float) -> Plane:
    return np.asarray(radius - np.hypot(u - x, v - y))


def _heart(u: Plane, v: Plane) -> Plane:
    """A square standing on a corner, with a disk on each upper side."""
    half = 0.5
    a, b = (u + v - 0.2) / np.sqrt(2), (v - u - 0.2) / np.sqrt(2)
    tip = _box(a, b, half, half)
    shift = half / np.sqrt(2)
    lobes = np.maximum(
        _disk(u, v, -shift, 0.2 - shift, half), _disk(u, v, shift, 0.2 - shift, half)
    )
    return np.asarray(np.maximum(tip, lobes))


def _arrow(u: Plane, v: Plane) -> Plane:
    """A triangle above a shaft."""
    head = np.minimum(0.05 - v, (0.95 + v - np.abs(u) * 1.35) / np.hypot(1, 1.35))
    return np.asarray(np.maximum(head, _box(u, v - 0.42, 0.24, 0.5)))


_OUTLINES: dict[str, Callable[[Plane, Plane], Plane]] = {
    "circle": lambda u, v: _disk(u, v, 0, 0, 0.95),
    "square": lambda u, v: _box(u, v, 0.76, 0.76),
    "triangle": lambda u, v: _polygon(u, v - 0.15, 3),
    "star": _star,
    "cross": lambda u, v: np.maximum(_box(u, v, 0.28, 0.92), _box(u, v, 0.92, 0.28)),
    "heart": _heart,
    "crescent": lambda u, v: np.minimum(_disk(u, v, 0, 0, 0.97), -_disk(u, v, 0.45, 0, 0.78)),
    "ring": lambda u, v: 0.22 - np.abs(np.hypot(u, v) - 0.74),
    "hexagon": lambda u, v: _polygon(u, v, 6),
    "arrow": _arrow,
}


def _band(phase: Plane) -> Plane:
    """0 or 1 with soft edges, by the sign of a wave."""
    return np.asarray(np.clip(0.5 + 1.8 * phase, 0, 1))


_GRAINS: dict[str, Callable[[Plane, Plane], Plane]] = {
    "solid": lambda p, q: np.zeros_like(p),
    "striped": lambda p, q: _band(np.sin(p)),
    "dotted": lambda p, q: _band(np.cos(p * 0.9) + np.cos(q * 0.9) - 0.75),
    # Two crossing bands, so that a check has three tones.
    "checkered": lambda p, q: np.asarray((_band(np.sin(p)) + _band(np.sin(q))) / 2),
    # Thin lines, far apart.
    "wavy": lambda p, q: _band(np.sin(0.75 * p + 1.5 * np.sin(0.6 * q)) - 0.55),
}
