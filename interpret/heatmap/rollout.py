"""Attention rollout (Abnar and Zuidema, ACL 2020): attention followed through all layers.

    R = A_L A_{L-1} ... A_1,  A_l = (mean over heads + identity) / 2

Half of each layer is the identity, for the residual stream. It knows no text.

Shape letters: B images, Q queries, S keys, N tokens, Y x X patches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from interpret.heatmap.watch import check_layers, from_layer, to_grid, watch_weights
from interpret.towers import Tower


@torch.no_grad()
def rollout(tower: Tower, images: Tensor, *, start: int = 0) -> Tensor:
    """Rollout to the rows that are read, (B, 1, Y, X).

    Towers that pool by attention show their pool alone, which has no residual stream.

    Args:
        tower: from `image_tower`.
        images: preprocessed.
        start: the first layer that counts.

    Raises:
        InputError: if the tower has no attention that can be seen, is in training mode, or has no
            such layer.
    """
    check_layers(tower, "rollout")
    layers = from_layer(tower, start)
    with watch_weights(tower, layers) as weights:
        tower.run(images)
    joint_BQS: Tensor | None = None
    for layer in layers:
        mixed_BQS = weights[layer].mean(1)
        if tower.entrance is not None:
            # A last block may ask for the class token alone, which comes first.
            mixed_BQS = (mixed_BQS + torch.eye(*mixed_BQS.shape[1:]).to(mixed_BQS)) / 2
        joint_BQS = mixed_BQS if joint_BQS is None else mixed_BQS @ joint_BQS
    assert joint_BQS is not None  # there is a layer
    rows_BS = tower.rows(images).take(joint_BQS, 1).mean(1)
    return to_grid(rows_BS[:, None], tower, images)
