"""Rows as features: centered, of length one, joined with rows of exclusion.

Neighbors say which slot of a phrase a word fills; exclusion says which words compete for it.

Shape letters: C candidate words, D features.
"""

from __future__ import annotations

import numpy as np

from datamodules.dictionary.words.evidence import Array


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


def centered(rows_CD: Array) -> Array:
    """Subtract the mean row: what all words share says nothing about their type."""
    mean_D: Array = rows_CD.mean(axis=0)
    return rows_CD - mean_D


def unit_rows(rows_CD: Array) -> Array:
    """Rows of length one; a row of zeros stays."""
    length_C = np.linalg.norm(rows_CD, axis=1)
    unit_CD: Array = rows_CD / np.maximum(length_C, 1e-12)[:, None]
    return unit_CD
