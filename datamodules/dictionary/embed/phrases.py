"""Phrases from word vectors: the mean of their words, frequent ones counting less.

    row(phrase) = sum_w s(w) row(w) / sum_w s(w),    s(w) = a / (a + p(w)),  a = 0.001

over the words w of the phrase that have a vector, p(w) being a word's share of all running words
(smooth inverse frequency, Arora, Liang & Ma, ICLR 2017). The removal of the common component is
left to `features`, which centers.

Shape letters: W texts, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from datamodules.dictionary.embed.protocol import Mask, Rows

_A = 1e-3


def words_of(texts: Sequence[str]) -> set[str]:
    """Every string that may decide a row: each text as a whole, and each of its words."""
    return {*texts, *(word for text in texts for word in text.split())}


def known_phrases(texts: Sequence[str], words: Mapping[str, Rows]) -> Mask:
    """Which texts have a vector, or a word that has one, (W,)."""
    found = [text in words or any(word in words for word in text.split()) for text in texts]
    return np.asarray(found, dtype=bool)


def phrase_rows(
    texts: Sequence[str],
    words: Mapping[str, Rows],
    share: Callable[[str], float],
    width: int,
) -> Rows:
    """One row for each text: its own vector if it has one, else the weighted mean of its words.

    Args:
        texts: words, or phrases with blanks between the words.
        words: vectors, each (D,).
        share: a known word's share of all running words, 0..1.
        width: D.

    Returns:
        The rows, (W, D); zeros for a text of which no word is known.
    """
    rows_WD = np.zeros((len(texts), width), dtype=np.float32)
    for row, text in enumerate(texts):
        if text in words:
            rows_WD[row] = words[text]
        elif found := [word for word in text.split() if word in words]:
            weights = np.asarray([_A / (_A + share(word)) for word in found])
            vectors = np.asarray([words[word] for word in found], dtype=np.float64)
            rows_WD[row] = weights @ vectors / weights.sum()
    return rows_WD
