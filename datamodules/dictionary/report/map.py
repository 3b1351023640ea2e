"""Where the page draws each word: word features in two dimensions.

t-SNE (van der Maaten and Hinton, JMLR 2008) keeps near words near; it starts at the principal
components, so that the map's broad order is theirs. More words than it can place in half a minute
stay at their principal components.

Shape letters: W words, D features, P the plane's two axes.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

MAX_TSNE = 3000  # words
MIN_TSNE = 10
EXTENT = 10.0

Points = NDArray[np.float64]


def map_points(texts: Sequence[str], features: NDArray[np.floating]) -> Points:
    """Place words on a plane: the same words and features give the same points, in any order.

    Args:
        texts: the words, each once.
        features: one finite row a word, (W, D).

    Returns:
        Points (W, 2) around 0, the farthest coordinate at 10, rounded to 3 decimals.

    Raises:
        ValueError: if there is not one finite row of features a word.
    """
    from threadpoolctl import threadpool_limits

    rows_WD = np.asarray(features, dtype=np.float64)
    if rows_WD.ndim != 2 or len(rows_WD) != len(texts) or not np.isfinite(rows_WD).all():
        raise ValueError(f"expected {len(texts)} finite rows of features, got {rows_WD.shape}")
    order = sorted(range(len(texts)), key=texts.__getitem__)
    # Sums over several threads differ in their last bits, and t-SNE magnifies such differences.
    with threadpool_limits(1):
        placed_WP = _place(rows_WD[order])
    points_WP = np.empty_like(placed_WP)
    points_WP[order] = placed_WP
    return points_WP


def _place(rows_WD: Points) -> Points:
    if not (rows_WD != rows_WD[:1]).any():
        return np.zeros((len(rows_WD), 2))
    points_WP = (_tsne if MIN_TSNE <= len(rows_WD) <= MAX_TSNE else _principal)(rows_WD)
    points_WP = points_WP - (points_WP.max(axis=0) + points_WP.min(axis=0)) / 2
    # Adding 0 turns -0.0 into 0.0.
    rounded_WP: Points = np.round(points_WP * (EXTENT / np.abs(points_WP).max()), 3) + 0.0
    return rounded_WP


def _tsne(rows_WD: Points) -> Points:
    from sklearn.manifold import TSNE

    size = len(rows_WD)
    model = TSNE(
        init="pca",
        perplexity=min(30.0, (size - 1) / 3),
        max_iter=1000 if size <= 1000 else 500,
        random_state=0,
    )
    return np.asarray(model.fit_transform(rows_WD), dtype=np.float64)


def _principal(rows_WD: Points) -> Points:
    from sklearn.decomposition import PCA

    points_WP = np.zeros((len(rows_WD), 2))
    count = min(2, *rows_WD.shape)
    # Of the features' covariance, which is small however many words there are.
    points_WP[:, :count] = PCA(count, svd_solver="covariance_eigh").fit_transform(rows_WD)
    return points_WP
