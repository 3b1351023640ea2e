"""Pictures that cost what photographs cost to decode: 1/f noise, as in nature, cut by edges.

The amplitude of natural images falls as 1/frequency; most of a JPEG file's bytes, and so of its
decoding, go into what is left at fine scales. Plain shapes would decode several times faster.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw
from PIL.Image import Image as Picture

SIZE = (500, 375)  # width and height in pixels
QUALITY = 90
_FIELDS = 8  # larger pictures of noise that photographs are cut from
_SHAPES = 12
_CONTRAST = 32.0  # standard deviation of gray levels
_COLOR = 0.3  # of the contrast; the rest is common to the three channels


def write_photographs(folder: Path, count: int, seed: int = 0) -> list[Path]:
    """Write JPEG files of 500 x 375 pixels, of quality 90 and with full color resolution.

    Args:
        folder: where they go.
        count: number of files.
        seed: the same seed gives the same pictures.

    Returns:
        The files.
    """
    rng = np.random.default_rng(seed)
    fields = [_noise(rng, 2 * SIZE[0], 2 * SIZE[1]) for _ in range(_FIELDS)]
    paths = [folder / f"{number}.jpg" for number in range(count)]
    for path in paths:
        photograph(rng, fields).save(path, quality=QUALITY, subsampling=0)
    return paths


def photograph(rng: np.random.Generator, fields: list[Picture]) -> Picture:
    """Two cuts of the fields, one seen through random polygons and ellipses."""
    ground, figure = (_cut(rng, fields) for _ in range(2))
    mask = Image.new("L", SIZE)
    pen = ImageDraw.Draw(mask)
    for number in range(_SHAPES):
        corners = rng.uniform(-0.2, 1.2, (4, 2)) * SIZE
        if number % 2:
            low, high = corners[:2].min(0), corners[:2].max(0)
            pen.ellipse([*low, *high], fill=int(rng.integers(256)))
        else:
            pen.polygon([tuple(corner) for corner in corners.tolist()], fill=int(rng.integers(256)))
    return Image.composite(figure, ground, mask)


def _cut(rng: np.random.Generator, fields: list[Picture]) -> Picture:
    left, top = (int(rng.integers(side + 1)) for side in SIZE)
    field = fields[rng.integers(len(fields))]
    return field.crop((left, top, left + SIZE[0], top + SIZE[1]))


def _noise(rng: np.random.Generator, width: int, height: int) -> Picture:
    """RGB noise whose amplitude falls as 1/frequency."""
    frequency = np.hypot(np.fft.fftfreq(height)[:, None], np.fft.rfftfreq(width)[None])
    frequency[0, 0] = np.inf  # no common brightness
    planes = []
    for _ in range(4):
        plane = np.fft.irfft2(np.fft.rfft2(rng.normal(size=(height, width))) / frequency)
        planes.append(plane / plane.std())
    gray, color_HWC = planes[0], np.stack(planes[1:], axis=-1)
    mixed = np.sqrt(1 - _COLOR**2) * gray[..., None] + _COLOR * color_HWC
    return Image.fromarray((128 + _CONTRAST * mixed).clip(0, 255).astype(np.uint8))
