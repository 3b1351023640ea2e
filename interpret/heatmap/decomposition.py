"""What each patch adds to the product of image and text, through all heads or some of them.

Gandelsman, Efros and Steinhardt (ICLR 2024). The map is exact: summed over all tokens, it is the
contribution of the heads, times the text. It is found by pulling the text back into each head, see
`interpret.decompose.tokens`.

Shape letters: B images, L layers, H heads, E embedding width, T texts, Y x X patches.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.decompose import (
    Convention,
    Readout,
    Trace,
    position_scores,
    readout,
    token_scores,
    trace,
)
from interpret.heatmap.watch import check_texts, to_grid
from interpret.towers import Tower


@torch.no_grad()
def decomposition(
    tower: Tower,
    images: Tensor,
    texts: Tensor | None,
    *,
    heads: Sequence[tuple[int, int]] | None = None,
    convention: Convention = "shared",
    maps: Readout | None = None,
) -> Tensor:
    """Contribution of each patch to cos(image, text), (B, T, Y, X), of either sign.

    Args:
        tower: from `image_tower`.
        images: preprocessed.
        texts: text embeddings (T, E), or (B, T, E) where each image has its own.
        heads: (layer, head) pairs that count; None counts all. One pair gives the map of a head.
        convention: what becomes of the constants, see `interpret.decompose.codes`; it shifts a map
            as a whole.
        maps: `readout(tower, convention)`, to spare building it for every batch.

    Raises:
        InputError: if the tower is in training mode, cannot be tapped or has no such head, or there
            is no text.
    """
    texts = check_texts(texts, "decomposition", images)
    found = trace(tower, images, with_tokens=True)  # first: it may compose weights that are read
    maps = readout(tower, convention) if maps is None else maps
    marked_LH = None if heads is None else _marked(tower, heads)
    scores = partial(_scores, tower, found, maps, marked_LH)
    if texts.ndim == 2:
        return to_grid(scores(texts), tower, images)
    count, num_texts = texts.shape[:2]
    every_BBTS = scores(texts.flatten(0, 1)).reshape(count, count, num_texts, -1)
    own_B = torch.arange(count, device=every_BBTS.device)
    return to_grid(every_BBTS[own_B, own_B], tower, images)


def _scores(
    tower: Tower, found: Trace, maps: Readout, marked_LH: Tensor | None, texts_TE: Tensor
) -> Tensor:
    """Contributions of the tokens, (B, T, S)."""
    if not tower.layers:
        return position_scores(found, maps, texts_TE)
    if marked_LH is None:
        return token_scores(found, maps, texts_TE)
    layers = tuple(marked_LH.any(1).nonzero().flatten().tolist())
    return token_scores(found, maps, texts_TE, layers=layers, heads=marked_LH)


def _marked(tower: Tower, heads: Sequence[tuple[int, int]]) -> Tensor:
    """Bool (L, H), true at the heads that count.

    Raises:
        InputError: if there are none, a pair names no head, or the tower has no heads.
    """
    if not tower.layers:
        raise InputError(f"expected no choice of heads for {tower.kind}, which has none.")
    marked_LH = torch.zeros(len(tower.layers), tower.num_heads, dtype=torch.bool)
    for layer, head in heads:
        if not (0 <= layer < len(tower.layers) and 0 <= head < tower.num_heads):
            raise InputError(
                f"expected (layer, head) pairs below ({len(tower.layers)}, {tower.num_heads}), got "
                f"({layer}, {head}). Count from 0."
            )
        marked_LH[layer, head] = True
    if not marked_LH.any():
        raise InputError("expected at least one (layer, head) pair, got none.")
    return marked_LH
