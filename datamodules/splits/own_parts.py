"""CoOp's rules for data sets that come without parts: how its split_zhou files were made.

`three_parts` made those of Caltech-101, DTD, EuroSAT, Food-101 and Oxford Flowers; `hold_out` cut
validation from the official train part of Pets, Cars, SUN397 and UCF-101. The published files hold
one draw of unknown order and seed: read those to compare with papers, use these rules for own data.
Unlike `by_hash`, adding an image draws its whole class, and all classes after it, anew.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Sequence

from datamodules.errors import InputError
from datamodules.splits.split import check_seed, positions_by

Parts = dict[str, tuple[int, ...]]


def three_parts(
    labels: Sequence[Hashable], *, seed: int, train: float = 0.5, validation: float = 0.2
) -> Parts:
    """Shuffle each class and cut it: `train`, then `validation` of it, the rest is test.

    Classes are taken in order of first appearance; sizes are rounded to the nearest whole number,
    halves to the even one.

    Args:
        labels: label of each image, in file order (CoOp: folders by name).
        seed: 0 or more.
        train: share of train, between 0 and 1.
        validation: share of validation, between 0 and 1.

    Returns:
        Positions of "train", "validation" and "test".

    Raises:
        InputError: if a class is too small to be in all three parts.
    """
    parts: dict[str, list[int]] = {"train": [], "validation": [], "test": []}
    for label, positions in _shuffled(labels, seed):
        first = round(len(positions) * train)
        second = first + round(len(positions) * validation)
        cuts = positions[:first], positions[first:second], positions[second:]
        _extend(parts, cuts, label, len(positions))
    return {part: tuple(positions) for part, positions in parts.items()}


def hold_out(labels: Sequence[Hashable], *, seed: int, validation: float = 0.2) -> Parts:
    """Shuffle each class of a train part and take the first `validation` of it for validation.

    Args:
        labels: label of each image, in file order.
        seed: 0 or more.
        validation: share of validation, between 0 and 1.

    Returns:
        Positions of "train" and "validation".

    Raises:
        InputError: if a class is too small to be in both parts.
    """
    parts: dict[str, list[int]] = {"train": [], "validation": []}
    for label, positions in _shuffled(labels, seed):
        cut = round(len(positions) * validation)
        _extend(parts, (positions[cut:], positions[:cut]), label, len(positions))
    return {part: tuple(positions) for part, positions in parts.items()}


def _shuffled(labels: Sequence[Hashable], seed: int) -> list[tuple[Hashable, list[int]]]:
    check_seed(seed)
    state = random.Random(seed)
    groups = positions_by(labels)
    for positions in groups.values():
        state.shuffle(positions)
    return list(groups.items())


def _extend(
    parts: dict[str, list[int]], cuts: tuple[list[int], ...], label: Hashable, count: int
) -> None:
    for part, cut in zip(parts, cuts, strict=True):
        if not cut:
            raise InputError(
                f"class {label!r} has {count} images, too few for one in {part}. Add images of it, "
                "leave the class out, or change the shares."
            )
        parts[part] += cut
