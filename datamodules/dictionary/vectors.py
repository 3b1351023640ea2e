"""Words as features: Word2Vec trained on the captions, joined with rows of exclusion.

Neighbours say which slot of a phrase a word fills; exclusion says which words compete for it.

Shape letters: W words, C candidate words, D features.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence

import numpy as np

from datamodules.dictionary.evidence import Array


def stable_hash(text: str) -> int:
    """A hash that does not depend on PYTHONHASHSEED."""
    return zlib.crc32(text.encode())


def word_vectors(
    sentences: list[list[str]],
    words: Sequence[str],
    *,
    size: int,
    window: int,
    min_count: int,
    epochs: int,
    updates: int,
    seed: int,
) -> Array:
    """Train Word2Vec on `sentences` and return one row for each of `words`, (W, `size`).

    One worker and a fixed hash make the result a pure function of the arguments.
    """
    from gensim.models import Word2Vec

    passes = updates // max(sum(map(len, sentences)), 1)
    model = Word2Vec(
        sentences, vector_size=size, window=window, min_count=min_count, seed=seed,
        epochs=max(epochs, min(passes, 100)), sg=1, negative=5, workers=1, hashfxn=stable_hash,
    )  # fmt: skip
    return np.asarray(model.wv[list(words)], dtype=np.float64)


def combine(vectors_CD: Array, exclusion_CC: Array) -> tuple[Array, float]:
    """Join both views so that a product of rows is their weighted mean cosine.

    The weight of exclusion is the share of words that rule out at least one other word: 1 where
    every attribute is exclusive, near 0 where images carry several values, so that it cannot hurt
    there.

    Returns:
        The unit rows, (C, D + C), and the weight.
    """
    partners_C = exclusion_CC.sum(axis=1) - np.diag(exclusion_CC)
    weight = float((partners_C > 0.5).mean()) if len(partners_C) else 0.0
    joined = np.hstack([vectors_CD, np.sqrt(weight) * unit_rows(exclusion_CC)])
    return joined / np.sqrt(1 + weight), weight


def centred(rows_CD: Array) -> Array:
    """Subtract the mean row: what all words share says nothing about their type."""
    mean_D: Array = rows_CD.mean(axis=0)
    return rows_CD - mean_D


def unit_rows(rows_CD: Array) -> Array:
    """Rows of length one; a row of zeros stays."""
    length_C = np.linalg.norm(rows_CD, axis=1)
    unit_CD: Array = rows_CD / np.maximum(length_C, 1e-12)[:, None]
    return unit_CD
