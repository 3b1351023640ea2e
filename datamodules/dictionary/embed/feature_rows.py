"""Texts -> rows whose products say how alike two words are: what typing and clustering work on.

    f(w) = unit(row(w) - mean over known texts of row)

The word is embedded bare, without a sentence around it, and what all words of the vocabulary share
is subtracted: it says nothing about their types. Rows of unknown texts stay zero.

Shape letters: W texts, D features.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datamodules.dictionary.embed.joined import JoinedVectors
from datamodules.dictionary.embed.protocol import Embedder
from datamodules.dictionary.words.evidence import Array
from datamodules.dictionary.words.vectors import centered, unit_rows


def features(embedder: Embedder, texts: Sequence[str]) -> Array:
    """Unit rows, (W, D), centered over the texts that the embedder knows.

    Joined sources are centered one by one, each over the texts it knows itself: a text that is
    missing from one of them would else get minus the mean there.

    Raises:
        InputError: if the vectors cannot be had.
    """
    if isinstance(embedder, JoinedVectors):
        return embedder.join([features(part, texts) for _, part in embedder.parts])
    rows_WD = embedder.encode(texts).astype(np.float64)
    known_W = embedder.known(texts) & rows_WD.any(axis=1)
    rows_WD[~known_W] = 0.0
    if known_W.any():
        rows_WD[known_W] = unit_rows(centered(rows_WD[known_W]))
    return rows_WD
