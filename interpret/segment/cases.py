"""Images with masks and texts, one after the other, from where they are kept.

Shape letters: H x W pixels.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

from datamodules.errors import InputError
from datamodules.images import Mask, MaskedFile, Pixels
from datamodules.sources.imagenet_segmentation import Segmented


class Case(NamedTuple):
    """An image and where its object is.

    Attributes:
        image: uint8 (H, W, 3).
        mask: bool (H, W), true on the object.
        text: number of the text that is explained; None for the one the model likes best, as in
            the papers.
    """

    image: Pixels
    mask: Mask
    text: int | None = None


def cases_of_files(files: Iterable[MaskedFile]) -> Iterator[Case]:
    """Images and masks of two folders, see `masked_files`; the text is left to the model.

    Raises:
        InputError: if a file is broken, image and mask differ in size, or a mask is empty.
    """
    for each in files:
        yield Case(*each.read())


def cases_of_records(
    source: Segmented, classes: Sequence[str] | None = None, *, most: int | None = None
) -> Iterator[Case]:
    """Images of ImageNet-Segmentation with their first mask, as published figures take them.

    Args:
        source: the opened data set.
        classes: the class that each text names: the image's own class is explained. None leaves
            the text to the model.
        most: stop after so many images; None takes all.

    Raises:
        InputError: if the file is broken, or a class has no text.
    """
    count = len(source.annotations)
    for index in range(count if most is None else min(count, most)):
        image, masks, category = source.record(index)
        if classes is not None and category not in classes:
            raise InputError(
                f"expected a text for every class, got none for {category!r}. Add a prompt for "
                "it, or leave the classes out."
            )
        yield Case(image, masks[0], None if classes is None else classes.index(category))
