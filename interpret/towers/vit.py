"""open_clip's own vision transformer: class token or average pooling, LayerScale, CoCa's pool."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from interpret.towers.affine import Affine, affine_of, first_parameter, identity
from interpret.towers.rows import FIRST, Rows
from interpret.towers.tower import Layer, Tower, UnsupportedTowerError
from lightning_modules.attention import SplitMHA

_CHILDREN = {"ln_1", "attn", "ls_1", "ln_2", "mlp", "ls_2"}


def vision_transformer(visual: Any) -> Tower:
    """Describe an `open_clip.transformer.VisionTransformer`.

    Raises:
        UnsupportedTowerError: if it scales heads, norms inside attention, or pools in two stages.
    """
    if visual.attn_pool is not None:
        return _coca(visual)
    blocks = list(visual.transformer.resblocks)
    if visual.pool_type not in {"tok", "avg"}:
        raise UnsupportedTowerError(
            f"expected a vision transformer that pools by class token or average, got pool_type "
            f"{visual.pool_type!r}, which has no single embedding."
        )
    rows = FIRST if visual.pool_type == "tok" else Rows(1)
    return Tower(
        run=partial(_first, visual),
        layers=tuple(residual_layer(block) for block in blocks),
        project=partial(_projection, visual),
        entrance=blocks[0],
        last=blocks[-1],
        norm=visual.ln_post,
        norm_first=not visual.final_ln_after_pool,
        rows=lambda _: rows,
        grid=partial(_grid, visual.patch_size),
        kind="vision transformer",
    )


def residual_layer(block: nn.Module) -> Layer:
    """Describe a block of open_clip's transformers.

    Raises:
        UnsupportedTowerError: if it is not a plain pre-norm block.
    """
    children = dict(block.named_children())
    attention: Any = children.get("attn")
    is_split = isinstance(attention, SplitMHA)
    if set(children) != _CHILDREN or not (is_split or isinstance(attention, nn.MultiheadAttention)):
        raise UnsupportedTowerError(
            f"expected pre-norm blocks with plain attention, got a {type(block).__name__} with "
            f"{type(attention).__name__}. Load the model with split attention, or choose another."
        )
    out: Any = attention.out_proj
    width: int = attention.embed_dim
    gamma = getattr(block.ls_1, "gamma", None)
    return Layer(
        attention=attention,
        num_heads=attention.num_heads,
        out=partial(affine_of, out, width, first_parameter(attention)),
        scale=None if gamma is None else gamma.detach(),
        mlp=children["ls_2"],
    )


def _coca(visual: Any) -> Tower:
    """The pool of CoCa: many queries, of which the first is the embedding."""
    pool = visual.attn_pool
    if visual.attn_pool_contrastive is not None or visual.pool_type != "tok":
        raise UnsupportedTowerError(
            "expected CoCa's attention pool with one stage and a first query as embedding, got "
            f"pool_type {visual.pool_type!r} and two stages."
        )
    attention = pool.attn
    out: Any = attention.out_proj
    width: int = attention.embed_dim
    layer = Layer(
        attention=attention,
        num_heads=attention.num_heads,
        out=partial(affine_of, out, width, first_parameter(attention)),
    )
    return Tower(
        run=partial(_first, visual),
        layers=(layer,),
        project=partial(_projection, visual),
        last=pool,
        norm=visual.ln_post,
        grid=partial(_grid, visual.patch_size),
        kind="CoCa",
    )


def _projection(visual: Any) -> Affine:
    norm: nn.LayerNorm = visual.ln_post
    width = norm.normalized_shape[0]
    if visual.proj is None:
        return identity(width, norm.weight)
    weight = visual.proj.detach().T
    return Affine(weight, weight.new_zeros(len(weight)))


def _first(visual: nn.Module, images: Tensor) -> Tensor:
    output = visual(images)
    embedding: Tensor = output[0] if isinstance(output, tuple) else output
    return embedding


def _grid(patch: tuple[int, int], images: Tensor) -> tuple[int, int]:
    return images.shape[-2] // patch[0], images.shape[-1] // patch[1]
