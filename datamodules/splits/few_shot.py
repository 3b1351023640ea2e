"""Few-shot selections as CoOp published them (Zhou et al., IJCV 2022).

    state <- seed
    train:       for each label, in order of first appearance: k of its items, drawn from the state
    validation:  the same with min(k, 4), from the state that train left behind

A class with fewer than k items gives all of them, in file order, and draws nothing. The draw is
Python's `random.sample`, which picks positions and so depends on the class's size alone; a
generator of its own gives what CoOp's `random.seed(seed)` gives and leaves the global one alone.
"""

from __future__ import annotations

import random
from collections.abc import Hashable, Mapping, Sequence
from typing import NamedTuple

from datamodules.errors import InputError
from datamodules.splits.coop_files import Item
from datamodules.splits.split import Split, check_seed, positions_by

MAX_SHOTS = 16
MAX_VALIDATION_SHOTS = 4


class FewShot(NamedTuple):
    """Positions among the train items, and among the validation items, in the order drawn."""

    train: tuple[int, ...]
    validation: tuple[int, ...]


def draw_shots(
    train: Sequence[Hashable], validation: Sequence[Hashable] = (), *, shots: int, seed: int
) -> FewShot:
    """Choose k items a class.

    Args:
        train: labels of the train items, in file order.
        validation: labels of the validation items, in file order.
        shots: k, from 1 to 16; CoOp reports 1, 2, 4, 8 and 16.
        seed: 0 or more; CoOp reports 1, 2 and 3.

    Raises:
        InputError: if shots or seed are out of range.

    Example:
        >>> draw_shots(["b", "a", "b", "b"], ["a", "b"], shots=1, seed=1)
        FewShot(train=(0, 1), validation=(0, 1))
    """
    check_seed(seed)
    if shots not in range(1, MAX_SHOTS + 1):
        raise InputError(
            f"expected shots from 1 to {MAX_SHOTS}, got {shots!r}. Choose a number among them; "
            "CoOp reports 1, 2, 4, 8 and 16."
        )
    state = random.Random(seed)
    return FewShot(
        _sample(train, shots, state), _sample(validation, min(shots, MAX_VALIDATION_SHOTS), state)
    )


def few_shot_split(
    items: Mapping[str, Sequence[Item]], *, shots: int, seed: int, source: str
) -> Split:
    """CoOp's few-shot split of a data set: k of train, min(k, 4) of validation, all of test.

    Args:
        items: the items of "train", "test" and, where there is one, "validation", as
            `read_split_zhou` gives them.
        shots: k, from 1 to 16.
        seed: 0 or more.
        source: name of the data set.

    Raises:
        InputError: if shots or seed are out of range.
    """
    chosen = choose(items, shots=shots, seed=seed)
    return Split(
        "few-shot",
        seed,
        {part: tuple(item.image for item in chosen[part]) for part in chosen},
        source,
        {"shots": shots, "validation_shots": min(shots, MAX_VALIDATION_SHOTS)},
    )


def choose(
    items: Mapping[str, Sequence[Item]], *, shots: int, seed: int
) -> dict[str, tuple[Item, ...]]:
    """The items of each part after `draw_shots`; those of test stay."""
    train, validation = items["train"], items.get("validation", ())
    chosen = draw_shots(
        [item.label for item in train],
        [item.label for item in validation],
        shots=shots,
        seed=seed,
    )
    return {
        "train": tuple(train[position] for position in chosen.train),
        "validation": tuple(validation[position] for position in chosen.validation),
        "test": tuple(items["test"]),
    }


def _sample(labels: Sequence[Hashable], shots: int, state: random.Random) -> tuple[int, ...]:
    chosen: list[int] = []
    for positions in positions_by(labels).values():
        chosen += state.sample(positions, shots) if len(positions) >= shots else positions
    return tuple(chosen)
