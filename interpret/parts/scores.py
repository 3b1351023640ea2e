"""The table of what every part of a model adds to the score of every image with every text.

An embedding is a sum of parts, so its product with a text is the sum of the parts' products:

    <embedding of image n, text c> = sum_p values[n, p, c]

Ablation, head roles and the removal of a spurious cue need nothing else.

Shape letters: N images, P parts, C texts, K chosen parts.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace
from functools import cached_property
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from interpret.arrays import BROKEN, write_arrays
from interpret.parts.part import Part
from lightning_modules.tensors import first_five

Floats = NDArray[np.floating]
Ints = NDArray[np.int64]

_FIELDS = ("values", "parts", "texts")


@dataclass(frozen=True)
class PartScores:
    """Products of every part's contribution with every text.

    Args:
        values: float32 or float64 (N, P, C); N x P x C numbers are kept, so choose texts for a
            question and not a vocabulary.
        parts: names of the P parts.
        texts: names of the C texts: values, classes, or directions.

    Raises:
        InputError: if shapes do not fit, a name occurs twice, or a value is not finite.
    """

    values: Floats
    parts: tuple[Part, ...]
    texts: tuple[str, ...]

    def __post_init__(self) -> None:
        if self.values.ndim != 3 or self.values.shape[1:] != (len(self.parts), len(self.texts)):
            raise InputError(
                f"expected scores (images, {len(self.parts)} parts, {len(self.texts)} texts), got "
                f"{self.values.shape}."
            )
        if len(set(self.parts)) < len(self.parts) or len(set(self.texts)) < len(self.texts):
            raise InputError("expected every part and every text once, got one of them twice.")
        if not np.isfinite(self.values).all():
            raise InputError("expected finite scores, got NaN or infinity. Check the embeddings.")

    def __len__(self) -> int:
        return len(self.values)

    @cached_property
    def logits_NC(self) -> Floats:
        """Sum over all parts, float64, read-only: cosines, if the parts sum to unit vectors."""
        total: Floats = self.values.sum(axis=1, dtype=np.float64)
        total.setflags(write=False)
        return total

    def index(self, parts: Collection[Part]) -> Ints:
        """Places of some parts, ascending, (K,).

        Raises:
            InputError: if the table has no such part.
        """
        place = {part: number for number, part in enumerate(self.parts)}
        if missing := [str(part) for part in parts if part not in place]:
            raise InputError(
                f"expected parts of this model, it has no {first_five(missing)}. Its parts are "
                f"{self.parts[0]} to {self.parts[-1]}."
            )
        return np.array(sorted(place[part] for part in set(parts)), dtype=np.int64)

    def columns(self, texts: Sequence[str]) -> Ints:
        """Places of some texts, in the order asked for.

        Raises:
            InputError: if the table has no such text.
        """
        place = {text: number for number, text in enumerate(self.texts)}
        if missing := [text for text in texts if text not in place]:
            raise InputError(
                f"expected texts of this table, it has no {first_five(missing)}. It has "
                f"{first_five(list(self.texts))}."
            )
        return np.array([place[text] for text in texts], dtype=np.int64)

    def images(self, items: NDArray[np.integer] | NDArray[np.bool_]) -> PartScores:
        """The table of some images: their numbers, or a mask."""
        return replace(self, values=self.values[items])

    def save(self, path: Path) -> None:
        """Write an npz file, atomically.

        Raises:
            InputError: if the disk is full or the folder cannot be written.
        """
        parts = np.array([str(part) for part in self.parts])
        write_arrays(path, values=self.values, parts=parts, texts=np.array(self.texts))

    @classmethod
    def load(cls, path: Path) -> PartScores:
        """Read what `save` wrote.

        Raises:
            InputError: if the file is missing or holds something else.
        """
        try:
            with np.load(path, allow_pickle=False) as file:
                values, parts, texts = (file[name] for name in _FIELDS)
        except BROKEN as error:
            raise InputError(
                f"expected an npz file with {', '.join(_FIELDS)} at {path}, got none that can be "
                f"read ({type(error).__name__}). Write it again."
            ) from None
        return cls(values, tuple(Part.parse(str(p)) for p in parts), tuple(map(str, texts)))
