"""An attribute asked of the images of a table: which texts are its values, and which are true.

Shape letters: N images, C texts, V values of the attribute, M images whose value is known.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from interpret.parts.scores import Floats, Ints, PartScores


@dataclass(frozen=True)
class Asked:
    """One attribute of some images.

    Args:
        name: of the attribute.
        columns: (V,) the texts of the table that are its values.
        label: (N,) the true value as an index into `columns`; -1 is unknown and not scored.

    Raises:
        InputError: if there are fewer than two values, or a label is not one of them.
    """

    name: str
    columns: Ints
    label: Ints

    def __post_init__(self) -> None:
        if len(self.columns) < 2:
            raise InputError(f"expected at least two values of {self.name}, got a single one.")
        if self.label.size and not -1 <= self.label.min() <= self.label.max() < len(self.columns):
            raise InputError(
                f"expected labels of {self.name} from -1 (unknown) to {len(self.columns) - 1}, got "
                f"{self.label.min()} to {self.label.max()}."
            )

    @classmethod
    def of(cls, name: str, scores: PartScores, values: Sequence[str], label: Ints) -> Asked:
        """Find the values among the texts of a table.

        Raises:
            InputError: if the table has no such text, or the labels do not fit its images.
        """
        asked = cls(name, scores.columns(values), np.asarray(label, dtype=np.int64))
        asked.check(scores)
        return asked

    def check(self, scores: PartScores) -> None:
        """See that there is one label for each image.

        Raises:
            InputError: if not, or if no label is known.
        """
        if self.label.shape != (len(scores),):
            raise InputError(
                f"expected a label of {self.name} for each of {len(scores)} images, got "
                f"{len(self.label)}."
            )
        if not (self.label >= 0).any():
            raise InputError(f"expected an image whose {self.name} is known, got none.")

    def images(self, items: NDArray[np.integer] | NDArray[np.bool_]) -> Asked:
        """The same of some images: their numbers, or a mask."""
        return replace(self, label=self.label[items])

    def correct(self, logits_NC: Floats) -> NDArray[np.bool_]:
        """Whether the highest value is the true one, (M,), of the images whose value is known."""
        known = self.label >= 0
        found = logits_NC[:, self.columns][known].argmax(axis=1)
        return np.asarray(found == self.label[known])

    def accuracy(self, logits_NC: Floats) -> float:
        """Share of right answers among the images whose value is known."""
        return float(self.correct(logits_NC).mean())
