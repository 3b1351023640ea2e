"""Chefer, Gur and Wolf (ICCV 2021): attention weighted by its gradient, followed through layers.

    R <- R + C_l R,  C_l = mean over heads of relu(A_l * dS/dA_l),  S = cos(image, text)

Shape letters: B images, T texts, H heads, Q queries, S keys, N tokens, Y x X patches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from interpret.heatmap.watch import (
    check_layers,
    check_texts,
    from_layer,
    similarity,
    to_grid,
    watch_weights,
)
from interpret.towers import Tower


@torch.enable_grad()
def chefer(tower: Tower, images: Tensor, texts: Tensor | None, *, start: int = -1) -> Tensor:
    """Relevance of the patches to the rows that are read, (B, T, Y, X), at least 0.

    Args:
        tower: from `image_tower`.
        images: preprocessed.
        texts: text embeddings (T, E), or (B, T, E) where each image has its own.
        start: the first layer that counts; the authors take the last alone for CLIP.

    Raises:
        InputError: if the tower has no attention that can be seen, is in training mode, or has no
            such layer, or there is no text.
    """
    check_layers(tower, "chefer")
    texts = check_texts(texts, "chefer", images)
    layers = from_layer(tower, start)
    with watch_weights(tower, layers) as weights:
        scores_BT = similarity(tower.run(images), texts)
    attention = [weights[layer] for layer in layers]
    rows, maps = tower.rows(images), []
    for score_B in scores_BT.unbind(1):
        gradients = torch.autograd.grad(score_B.sum(), attention, retain_graph=True)
        relevance_BQS: Tensor | None = None
        for weights_BHQS, gradient_BHQS in zip(attention, gradients, strict=True):
            own_BQS = (weights_BHQS.detach() * gradient_BHQS).clamp(min=0).mean(1)
            if tower.entrance is not None:
                before = torch.eye(own_BQS.shape[-1]).to(own_BQS)
                before = before if relevance_BQS is None else relevance_BQS
                # A last block may ask for the class token alone, which comes first.
                own_BQS = before[..., : own_BQS.shape[1], :] + own_BQS @ before
            relevance_BQS = own_BQS
        assert relevance_BQS is not None  # there is a layer
        maps.append(rows.take(relevance_BQS, 1).mean(1))
    return to_grid(torch.stack(maps, dim=1), tower, images)
