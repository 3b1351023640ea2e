"""Few images a class, left in the splits that a class set trains on and chooses by.

The draw is that of `datamodules.splits.few_shot`; each split is drawn from the seed anew, and the
others stay whole.

Shape letters: N items.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from datamodules.annotations import Annotations
from datamodules.errors import InputError
from datamodules.splits.few_shot import MAX_SHOTS, draw_shots
from datamodules.splits.split import Split, check_seed


@dataclass(frozen=True)
class Shots:
    """How many images of each class are drawn.

    Attributes:
        train: k of the training split, from 1 to 16; None leaves it whole.
        validation: the same of the validation split.
        seed: of the draw, 0 or more.

    Raises:
        InputError: if a number is out of its range.
    """

    train: int | None = None
    validation: int | None = None
    seed: int = 1

    def __post_init__(self) -> None:
        check_seed(self.seed)
        for name, count in (("shots", self.train), ("validation_shots", self.validation)):
            if count is not None and not 1 <= count <= MAX_SHOTS:
                raise InputError(
                    f"--data.{name} is {count}, expected 1 to {MAX_SHOTS}. Leave it out to take "
                    "all images."
                )

    def __bool__(self) -> bool:
        return self.train is not None or self.validation is not None

    def draw(
        self, annotations: Annotations, class_N: NDArray[np.int64], *, source: str, drawn_from: str
    ) -> tuple[Annotations, Split]:
        """Leave the drawn items alone in their splits.

        Args:
            annotations: of the N items.
            class_N: number of each item's class; -1 where it has none, and is not drawn.
            source: name of the data set.
            drawn_from: hash of the splits before.

        Returns:
            The annotations, with the other items in no split, and the numbers of the drawn ones.
        """
        chosen: dict[str, tuple[int, ...]] = {}
        part_N, names = annotations.items.split.copy(), annotations.names.splits
        names = names if "" in names else (*names, "")
        for split, count in (("train", self.train), ("validation", self.validation)):
            if count is None:
                continue
            members = annotations.members(split)
            part_N[members] = names.index("")
            members = members[class_N[members] >= 0]
            drawn = draw_shots(class_N[members].tolist(), shots=count, seed=self.seed).train
            members = members[list(drawn)]
            part_N[members] = names.index(split)
            chosen[split] = tuple(members.tolist())
        left = replace(
            annotations,
            names=annotations.names._replace(splits=names),
            items=annotations.items._replace(split=part_N),
        )
        counts = {"shots": self.train, "validation_shots": self.validation}
        settings = {**counts, "drawn_from": drawn_from}
        return left, Split("few-shot", self.seed, chosen, source, settings)
