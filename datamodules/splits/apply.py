"""A split put to work on a table of annotations."""

from __future__ import annotations

from datamodules.annotations import Annotations
from datamodules.errors import InputError
from datamodules.splits.split import Split


def in_parts(annotations: Annotations, split: Split) -> Annotations:
    """The annotations with the parts of a split; images it does not name are in none.

    Args:
        annotations: of the data set that the split is of.
        split: its members are image names.

    Raises:
        InputError: if the split names images that are not in the table.
    """
    part_of = {str(image): part for part, images in split.members.items() for image in images}
    known = set(annotations.names.images)
    if strange := [image for image in part_of if image not in known]:
        raise InputError(
            f"expected a split of these {len(known):,} images, got one of {split.source} that "
            f"names {len(strange):,} others, such as {strange[0]!r}. Make the split again from "
            "this data set."
        )
    return annotations.with_splits(part_of)
