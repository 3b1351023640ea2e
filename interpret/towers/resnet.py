"""CLIP's ResNets: the heads of their attention pool, by position of the feature map."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor

from interpret.towers.affine import Affine, affine_of, identity
from interpret.towers.tower import Layer, Tower, UnsupportedTowerError


def modified_resnet(visual: Any) -> Tower:
    """Describe an `open_clip.modified_resnet.ModifiedResNet`, split or not.

    Raises:
        UnsupportedTowerError: if it does not end in an attention pool.
    """
    pool = visual.attnpool
    if type(pool).__name__ not in {"AttentionPool2d", "SplitAttentionPool"}:
        raise UnsupportedTowerError(f"expected an attention pool, got {type(pool).__name__}.")
    positions, width = pool.positional_embedding.shape
    side = round((positions - 1) ** 0.5)
    like: Tensor = pool.positional_embedding
    layer = Layer(
        attention=pool,
        num_heads=pool.num_heads,
        out=partial(affine_of, pool.c_proj, width, like),
    )
    return Tower(
        run=visual,
        layers=(layer,),
        project=partial(_nothing, pool),
        grid=lambda _: (side, side),
        kind="ResNet with attention pooling",
    )


def _nothing(pool: Any) -> Affine:
    """The pool's own output projection is the projection of the tower."""
    linear = getattr(pool.c_proj, "base_layer", pool.c_proj)
    return identity(linear.out_features, pool.positional_embedding)
