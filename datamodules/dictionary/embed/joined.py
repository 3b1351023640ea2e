"""Several sources of vectors as one: their unit rows side by side, each times its weight.

    row = unit([w_1 unit(row_1), w_2 unit(row_2), ...])

A product of two rows is then the mean of the sources' cosines, weighted by the squares of the
weights. A text that only one source knows keeps what that one knows.

Shape letters: W texts, D features.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import numpy as np

from datamodules.dictionary.embed.protocol import Embedder, Mask, Rows
from datamodules.dictionary.words.evidence import Array
from datamodules.dictionary.words.vectors import unit_rows
from datamodules.errors import InputError
from datamodules.files import sha256_json


class JoinedVectors:
    """A weighted concatenation.

    Args:
        parts: weights above 0, each with its source.

    Raises:
        InputError: if there is no part, or a weight is not a finite number above 0.
    """

    def __init__(self, parts: Sequence[tuple[float, Embedder]]) -> None:
        self.parts = tuple(parts)
        if not self.parts:
            raise InputError("expected vectors to join, got none. Give one source or more.")
        for weight, part in self.parts:
            if not (math.isfinite(weight) and weight > 0):
                raise InputError(
                    f"expected a weight above 0 for {part.name}, got {weight:g}. Correct it or "
                    "leave that source out."
                )

    @property
    def name(self) -> str:
        """The parts' names with their weights, such as "sentence:x+0.5*word2vec"."""
        return "+".join(
            part.name if weight == 1 else f"{weight:g}*{part.name}" for weight, part in self.parts
        )

    @property
    def content_hash(self) -> str:
        """Hash of the parts' hashes and weights."""
        return sha256_json([[float(weight), part.content_hash] for weight, part in self.parts])

    def encode(self, texts: Sequence[str]) -> Rows:
        """One unit row for each text, (W, D); zeros where no part knows it."""
        views = [part.encode(texts).astype(np.float64) for _, part in self.parts]
        return self.join(views).astype(np.float32)

    def known(self, texts: Sequence[str]) -> Mask:
        """Which texts some part knows, (W,)."""
        return np.asarray(np.any([part.known(texts) for _, part in self.parts], axis=0))

    def join(self, views: Sequence[Array]) -> Array:
        """Join one array of rows from each part."""
        weights = [weight for weight, _ in self.parts]
        weighted = [weight * unit_rows(view) for weight, view in zip(weights, views, strict=True)]
        return unit_rows(np.hstack(weighted))
