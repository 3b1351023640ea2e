"""Raw attention: where the last layer looks, whatever the text.

Shape letters: B images, H heads, R rows that are read, S keys, Y x X patches.
"""

from __future__ import annotations

import torch
from torch import Tensor

from interpret.heatmap.watch import check_layers, to_grid, watch_weights
from interpret.towers import Tower


@torch.no_grad()
def raw_attention(tower: Tower, images: Tensor) -> Tensor:
    """The last layer's attention at the rows that are read, mean over heads: (B, 1, Y, X).

    Raises:
        InputError: if the tower has no attention that can be seen, or is in training mode.
    """
    check_layers(tower, "raw_attention")
    last = len(tower.layers) - 1
    with watch_weights(tower, [last]) as weights:
        tower.run(images)
    rows_BHRS = tower.rows(images).take(weights[last], 2)
    return to_grid(rows_BHRS.mean((1, 2))[:, None], tower, images)
