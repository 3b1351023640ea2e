"""Train, validation and test for data sets that come without parts: 80, 10 and 10 in a hundred."""

from __future__ import annotations

from datamodules.splits.by_hash import uniform

_TRAIN, _VALIDATION = 0.8, 0.9  # ends of the stretches of [0, 1); test has the rest


def hashed_part(name: str) -> str:
    """The split of an image, which depends on its name alone; see `datamodules.splits.by_hash`.

    Args:
        name: identifier of the image, or of the group that must stay together.

    Example:
        >>> hashed_part("a.jpg"), hashed_part("l.jpg")
        ('train', 'validation')
    """
    number = uniform(name, 0)
    return "train" if number < _TRAIN else "validation" if number < _VALIDATION else "test"
