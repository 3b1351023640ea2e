"""timm's vision transformers as open_clip uses them: SigLIP, PE, EVA, ViTamin, MobileCLIP-B."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from interpret.towers.affine import affine_of, first_parameter
from interpret.towers.rows import FIRST, Rows
from interpret.towers.tower import Layer, Tower, UnsupportedTowerError

_BLOCKS = {"Block", "EvaBlock", "EvaBlockPostNorm"}


def timm_transformer(visual: Any) -> Tower:
    """Describe an `open_clip.timm_model.TimmModel` around a `VisionTransformer` or an `Eva`.

    Raises:
        UnsupportedTowerError: if blocks, pooling or head are of a kind without an exact sum.
    """
    trunk = visual.trunk
    head = partial(_head, visual)
    if trunk.attn_pool is not None:
        return _attention_pool(visual, head)
    norms = [each for each in (trunk.norm, trunk.fc_norm) if not isinstance(each, nn.Identity)]
    pools = {"token": FIRST, "avg": Rows(trunk.num_prefix_tokens)}
    if trunk.global_pool not in pools or len(norms) > 1 or not _are_layer_norms(norms):
        raise UnsupportedTowerError(
            "expected pooling by class token or average around one LayerNorm, got "
            f"{trunk.global_pool!r} and {len(norms)} of {_names(norms)}."
        )
    if trunk.global_pool == "avg" and getattr(trunk, "pool_include_prefix", False):
        pools["avg"] = Rows()
    norm = norms[0] if norms else None
    rows = pools[trunk.global_pool]
    return Tower(
        run=visual,
        layers=tuple(_layer(block) for block in trunk.blocks),
        project=partial(affine_of, head, trunk.num_features, first_parameter(trunk)),
        entrance=trunk.blocks[0],
        last=trunk.blocks[-1],
        norm=norm,
        norm_first=norm is trunk.norm,
        rows=lambda _: rows,
        grid=partial(_grid, trunk),
        kind=type(trunk).__name__,
    )


def _attention_pool(visual: Any, head: Any) -> Tower:
    """One query that attends to all tokens, and an MLP on its answer (SigLIP, PE)."""
    trunk, pool = visual.trunk, visual.trunk.attn_pool
    if type(pool).__name__ != "AttentionPoolLatent" or pool.pool != "token":
        raise UnsupportedTowerError(
            f"expected attention pooling by a latent query, got {type(pool)}."
        )
    if not isinstance(trunk.fc_norm, nn.Identity):
        raise UnsupportedTowerError("expected no norm after attention pooling, got one.")
    like = first_parameter(pool)
    layer = Layer(
        attention=pool,
        num_heads=pool.num_heads,
        out=partial(affine_of, pool.proj, pool.num_heads * pool.head_dim, like),
        mlp=pool.mlp,
    )
    return Tower(
        run=visual,
        layers=(layer,),
        project=partial(affine_of, head, pool.out_features, like),
        grid=partial(_grid, trunk),
        kind=f"{type(trunk).__name__} with attention pooling",
    )


def _layer(block: Any) -> Layer:
    kind = type(block).__name__
    attention = block.attn
    if kind not in _BLOCKS or getattr(attention, "gate", None) is not None:
        raise UnsupportedTowerError(
            f"expected blocks of kind {', '.join(sorted(_BLOCKS))} without gates, got {kind}."
        )
    inner = getattr(attention, "norm", None)
    inner = None if isinstance(inner, nn.Identity) else inner
    is_post = kind == "EvaBlockPostNorm"
    scale = getattr(getattr(block, "ls1", None), "gamma", getattr(block, "gamma_1", None))
    if not _are_layer_norms([each for each in (inner, block.norm1 if is_post else None) if each]):
        raise UnsupportedTowerError(f"expected LayerNorms in {kind}, got {_names([block.norm1])}.")
    width = attention.num_heads * attention.head_dim
    mlp, mlp_scale = getattr(block, "ls2", block.mlp), getattr(block, "gamma_2", None)
    return Layer(
        attention=attention,
        num_heads=attention.num_heads,
        out=partial(affine_of, attention.proj, width, first_parameter(attention)),
        scale=None if scale is None else scale.detach(),
        inner_norm=inner,
        post_norm=block.norm1 if is_post else None,
        mlp=block.norm2 if is_post else mlp,
        mlp_scale=None if mlp_scale is None else mlp_scale.detach(),
    )


def _head(visual: Any, x: Tensor) -> Tensor:
    """The linear maps after the pool."""
    embedding: Tensor = visual.head(visual.trunk.head(x))
    return embedding


def _grid(trunk: Any, images: Tensor) -> tuple[int, int]:
    down, across = trunk.patch_embed.grid_size
    return int(down), int(across)


def _are_layer_norms(norms: list[nn.Module]) -> bool:
    return all(isinstance(norm, nn.LayerNorm) for norm in norms)


def _names(modules: list[nn.Module]) -> str:
    return ", ".join(type(module).__name__ for module in modules) or "nothing"
