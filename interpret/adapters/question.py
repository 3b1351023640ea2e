"""What is asked of images while an adapter is taken apart: an attribute's values, and the truth.

Shape letters: N images, V values, E embedding width.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from interpret.parts import Asked, PartScores
from interpret.parts.scores import Ints


@dataclass(frozen=True)
class Question:
    """One attribute of some images.

    Args:
        name: of the attribute.
        values: V names.
        text_VE: unit-norm embeddings of the values.
        label_N: the true value of each image; -1 is unknown.
    """

    name: str
    values: tuple[str, ...]
    text_VE: Tensor
    label_N: Ints

    @property
    def columns(self) -> tuple[str, ...]:
        """Names of the values in a table of several attributes."""
        return tuple(f"{self.name}: {value}" for value in self.values)

    def of(self, scores: PartScores) -> Asked:
        """The question to such a table.

        Raises:
            InputError: if the labels do not fit it, or it does not have the values.
        """
        return Asked.of(self.name, scores, self.columns, self.label_N)


def all_columns(questions: Sequence[Question]) -> tuple[Tensor, tuple[str, ...]]:
    """Texts (T, E) and names of all values of all questions."""
    names = tuple(name for each in questions for name in each.columns)
    return torch.cat([each.text_VE for each in questions]), names
