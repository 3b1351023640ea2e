"""Beyond a word's neighbors: does it describe the image, and which words does it rule out?

Two measures, both from counts alone:

    lift(w)       = P(w in a caption and in another of the same image) / P(w in a caption)^2
    overlap(v, w) = images that mention both / images expected to mention both by chance

A word that describes the image comes back in its other captions (lift near 1 / share of images); a
word of the caption's frame ("picture", "object") comes back by chance (lift 1). Two values of one
exclusive attribute never share an image (overlap 0), values of different attributes do so by chance
(overlap 1).

Shape letters: I images, W words.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Array = NDArray[np.float64]


def caption_lift(mentions_IW: csr_array, captions_I: list[int]) -> tuple[Array, Array]:
    """Lift of each word between two captions of one image, and its standard error under chance.

    Args:
        mentions_IW: number of captions of each image that mention each word.
        captions_I: number of captions of each image; at least one image needs two.

    Returns:
        lift_W and error_W.
    """
    per_image = np.asarray(captions_I, dtype=np.float64)
    pairs = float((per_image * (per_image - 1)).sum())
    mentioned_W = np.asarray(mentions_IW.sum(axis=0), dtype=np.float64).ravel()
    square_W = np.asarray(mentions_IW.multiply(mentions_IW).sum(axis=0), dtype=np.float64).ravel()
    expected_W = (mentioned_W / per_image.sum()) ** 2 * pairs
    # Ordered pairs come in twos, so the variance of their number is twice its mean.
    return (square_W - mentioned_W) / expected_W, np.sqrt(2 / expected_W)


def describes_image(lift_W: Array, error_W: Array, *, min_lift: float) -> NDArray[np.bool_]:
    """Words that come back in other captions more than chance: by `min_lift` and by 3 errors."""
    return (lift_W >= min_lift) & (lift_W - 1 > 3 * error_W)


def shared_images(mentions_IW: csr_array) -> Array:
    """Number of images that mention both words, (W, W); of one word on the diagonal."""
    present = (mentions_IW > 0).astype(np.float64)
    return np.asarray((present.T @ present).toarray(), dtype=np.float64)


def exclusion(shared_WW: Array, *, images: int) -> Array:
    """How clearly two words rule each other out, 0 (not) to 1 (surely), (W, W); 1 on the diagonal.

    Half of the expected overlap or more counts as 0. Below 5 expected images the evidence is thin
    and is scaled down.
    """
    count_W = np.diag(shared_WW)
    expected_WW = np.outer(count_W, count_W) / max(images, 1)
    ratio_WW = shared_WW / np.maximum(expected_WW, 1e-12)
    clear_WW = np.clip(1 - 2 * ratio_WW, 0, 1) * expected_WW / (expected_WW + 5)
    np.fill_diagonal(clear_WW, 1.0)
    return np.asarray(clear_WW)


def overlap(shared_VV: Array, *, images: int) -> tuple[float, float]:
    """Overlap of a set of values: pairs that share an image over pairs expected by chance.

    Returns:
        The ratio (1.0 when nothing is expected) and the expected number of pairs.
    """
    count_V = np.diag(shared_VV)
    expected = float((count_V.sum() ** 2 - (count_V**2).sum()) / max(images, 1))
    found = float(shared_VV.sum() - count_V.sum())
    return (found / expected if expected else 1.0), expected
