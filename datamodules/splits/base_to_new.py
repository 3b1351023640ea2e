"""Base-to-new generalisation (CoCoOp, Zhou et al., CVPR 2022).

Of the n labels in ascending order, the first ceil(n / 2) are base, the rest new. Training sees base
classes only; each half is tested among its own names, relabelled from 0. (This is not generalised
zero-shot learning, where both halves compete for every image: see `zero_shot`.)
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple, TypeVar

from datamodules.errors import InputError
from datamodules.splits.coop_files import Item
from datamodules.splits.few_shot import choose
from datamodules.splits.split import Split

L = TypeVar("L", str, int)


class Relabelled(NamedTuple):
    """The images that stay, and the new label of each: the place of its class in the chosen."""

    positions: tuple[int, ...]
    labels: tuple[int, ...]


def base_and_new(labels: Sequence[L]) -> tuple[tuple[L, ...], tuple[L, ...]]:
    """The labels that are base, and those that are new, ascending.

    Raises:
        InputError: if there are fewer than two labels.

    Example:
        >>> base_and_new([2, 0, 7, 0, 5, 9])
        ((0, 2, 5), (7, 9))
    """
    distinct = sorted(set(labels))
    if len(distinct) < 2:
        raise InputError(
            f"expected two classes or more to divide into base and new, got {len(distinct)}. "
            "Add classes."
        )
    half = (len(distinct) + 1) // 2
    return tuple(distinct[:half]), tuple(distinct[half:])


def relabel(labels: Sequence[L], chosen: Sequence[L]) -> Relabelled:
    """Keep the images of the chosen labels and count these from 0.

    Example:
        >>> relabel([2, 0, 7, 5, 7], (5, 7))
        Relabelled(positions=(2, 3, 4), labels=(1, 0, 1))
    """
    number = {label: place for place, label in enumerate(chosen)}
    positions = tuple(position for position, label in enumerate(labels) if label in number)
    return Relabelled(positions, tuple(number[labels[position]] for position in positions))


def base_to_new_split(
    items: Mapping[str, Sequence[Item]],
    *,
    source: str,
    shots: int | None = None,
    seed: int | None = None,
) -> Split:
    """CoOp's base-to-new split: train and validation of base classes, a test part of each half.

    The shots are drawn over all classes before the new ones are dropped, as CoOp does, so a base
    class has the same shots as in the few-shot split of that seed.

    Args:
        items: the items of "train", "test" and, where there is one, "validation", as
            `read_split_zhou` gives them.
        source: name of the data set.
        shots: shots a class, from 1 to 16; CoOp takes 16. None: all images.
        seed: of the shots; None without shots.

    Returns:
        Protocol "base-to-new", parts "train", "validation", "test_base" and "test_new"; settings
        "base" and "new" hold the class names in the order of their new labels.

    Raises:
        InputError: if there are fewer than two classes, a class without train images, shots without
            seed, or either out of range.
    """
    if (shots is None) != (seed is None):
        raise InputError(
            f"expected shots and seed together, got shots {shots} and seed {seed}. Give both, or "
            "neither to keep all images."
        )
    base, new = base_and_new([item.label for item in items["train"]])
    names = {item.label: item.name for item in items["train"]}
    for part in items.values():
        if stray := [item for item in part if item.label not in names]:
            raise InputError(
                f"expected train images of every class, got none of {stray[0].name!r} (label "
                f"{stray[0].label}), the class of {stray[0].image!r}. Add some, or remove it."
            )
    if shots is not None and seed is not None:
        items = choose(items, shots=shots, seed=seed)

    members = {
        "train": _images(items["train"], base),
        "validation": _images(items.get("validation", ()), base),
        "test_base": _images(items["test"], base),
        "test_new": _images(items["test"], new),
    }
    settings = {
        "shots": shots,
        "base": [names[label] for label in base],
        "new": [names[label] for label in new],
    }
    return Split("base-to-new", seed, members, source, settings)


def _images(items: Sequence[Item], chosen: Sequence[int]) -> tuple[str, ...]:
    kept = relabel([item.label for item in items], chosen).positions
    return tuple(items[position].image for position in kept)
