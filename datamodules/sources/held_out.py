"""A validation split for data sets that have none: one training image in ten, by its name."""

from __future__ import annotations

import hashlib

_ONE_IN = 10


def with_validation(image: str, split: str, *, group: str = "") -> str:
    """The split of an image: every tenth of "train" is "validation", the others stay.

    The choice depends on the name alone, so other images, their order and their number never move
    an image from one split to another.

    Args:
        image: identifier of the image.
        split: its official split.
        group: what must stay together, such as a person; by default the image itself.
    """
    digest = hashlib.sha256((group or image).encode(errors="surrogatepass")).digest()
    held_out = int.from_bytes(digest[:8], "big") % _ONE_IN == 0
    return "validation" if split == "train" and held_out else split
