"""open_clip's own text transformers: the embedding of a prompt from one row of its tokens."""

from __future__ import annotations

from functools import partial
from typing import Any

from torch import Tensor, nn

from interpret.towers.affine import Affine, affine_of, identity
from interpret.towers.rows import FIRST, Rows
from interpret.towers.tower import Tower, UnsupportedTowerError
from interpret.towers.vit import residual_layer


def text_transformer(clip: Any) -> Tower:
    """Describe the text tower of a CLIP, built in or a `TextTransformer` of its own.

    Raises:
        UnsupportedTowerError: if it is of another kind (transformers models) or pools all tokens.
    """
    text = getattr(clip, "text", clip)
    if not hasattr(text, "token_embedding") or not hasattr(text.transformer, "resblocks"):
        raise UnsupportedTowerError(
            f"expected a text transformer of open_clip, got {type(text).__name__}: its tokens "
            "cannot be taken apart."
        )
    blocks = list(text.transformer.resblocks)
    return Tower(
        run=partial(_encode, clip),
        layers=tuple(residual_layer(block) for block in blocks),
        project=partial(_projection, text),
        entrance=blocks[0],
        last=blocks[-1],
        norm=text.ln_final,
        norm_first=True,
        rows=partial(_rows, text),
        kind="text transformer",
    )


def _encode(clip: Any, tokens: Tensor) -> Tensor:
    output = clip.text(tokens) if hasattr(clip, "text") else clip.encode_text(tokens)
    embedding: Tensor = output[0] if isinstance(output, tuple) else output
    return embedding


def _rows(text: Any, tokens: Tensor) -> Rows:
    """The row that open_clip's `text_global_pool` reads."""
    kind = getattr(text, "pool_type", None) or getattr(text, "text_pool_type", "argmax")
    if getattr(text, "cls_emb", None) is not None or kind == "last":
        return Rows(-1)
    if kind == "first":
        return FIRST
    if kind == "argmax":
        return Rows(index_B=tokens.argmax(dim=-1))
    if kind == "eos":
        end: int = getattr(text, "eos_id", None) or text.text_eos_id
        return Rows(index_B=tokens.eq(end).int().argmax(dim=-1))
    raise UnsupportedTowerError(f"expected a text tower that reads one token, got {kind!r}.")


def _projection(text: Any) -> Affine:
    projection = text.text_projection
    width: int = text.ln_final.normalized_shape[0]
    like: Tensor = text.ln_final.weight
    if isinstance(projection, nn.Module):
        return affine_of(projection, width, like)
    if projection is None:
        return identity(width, like)
    weight = projection.detach().T
    return Affine(weight, weight.new_zeros(len(weight)))
