"""A validation split for data sets that have none: one training image in ten, by its name."""

from __future__ import annotations

from datamodules.splits.by_hash import uniform

_SHARE = 0.1


def with_validation(image: str, split: str, *, group: str = "") -> str:
    """The split of an image: every tenth of "train" is "validation", the others stay.

    The choice depends on the name alone, so other images, their order and their number never move
    an image from one split to another.

    Args:
        image: identifier of the image.
        split: its official split.
        group: what must stay together, such as a person; by default the image itself.
    """
    held_out = split == "train" and uniform(group or image, 0) < _SHARE
    return "validation" if held_out else split
