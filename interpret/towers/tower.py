"""What a tower must tell about itself to be taken apart.

A tower adds terms into a residual stream, reads some rows of it, and maps their mean to an
embedding. What lies between a term and the embedding is affine once the LayerNorms' statistics are
frozen at the values they had for that image. So the embedding is a sum over the terms.

A tower that pools by attention (CoCa, SigLIP, RN50, ...) is described from its pool on: one layer,
whose heads write the embedding.

Shape letters: B images or texts, N tokens.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from functools import cached_property

import torch
from torch import Tensor, nn

from datamodules.errors import InputError
from interpret.towers.affine import Affine
from interpret.towers.rows import FIRST, Rows


class UnsupportedTowerError(InputError):
    """The tower does something that has no exact direct-effect decomposition here."""


@dataclass(frozen=True)
class Layer:
    """One attention and, after it, one MLP.

    Args:
        attention: the module that calls scaled-dot-product attention, once.
        num_heads: H.
        out: reads the output projection as it is now, adapters included.
        scale: LayerScale of the attention, (width,).
        inner_norm: a LayerNorm over all heads before the output projection.
        post_norm: a LayerNorm after the output projection.
        mlp: the module whose output is added to the stream.
        mlp_scale: LayerScale of the MLP, where `mlp` leaves it out.
    """

    attention: nn.Module
    num_heads: int
    out: Callable[[], Affine]
    scale: Tensor | None = None
    inner_norm: nn.LayerNorm | None = None
    post_norm: nn.LayerNorm | None = None
    mlp: nn.Module | None = None
    mlp_scale: Tensor | None = None


@dataclass(frozen=True)
class Tower:
    """A tower, from the embedding of its tokens to its output.

    Args:
        run: inputs -> embeddings (B, E), not normalized.
        layers: in order.
        project: reads the map from the normed stream to the embedding as it is now.
        entrance: the module whose input is the stream before the first layer; None: no such term.
        last: the module whose output is the stream after the last layer, (B, N, width).
        norm: the LayerNorm before the projection.
        norm_first: whether it is applied to every row, and the rows are averaged after it.
        rows: inputs -> the rows that are read.
        grid: inputs -> patches down and across; None for texts.
        is_map: whether `last` gives a feature map (B, width, height, width).
        kind: for messages.
    """

    run: Callable[[Tensor], Tensor]
    layers: tuple[Layer, ...]
    project: Callable[[], Affine]
    entrance: nn.Module | None = None
    last: nn.Module | None = None
    norm: nn.LayerNorm | None = None
    norm_first: bool = False
    rows: Callable[[Tensor], Rows] = field(default=lambda _: FIRST)
    grid: Callable[[Tensor], tuple[int, int]] | None = None
    is_map: bool = False
    kind: str = "tower"

    @cached_property
    def attentions(self) -> dict[str, nn.Module]:
        """Attention modules by the number of their layer, as text."""
        return {str(number): layer.attention for number, layer in enumerate(self.layers)}

    @property
    def num_heads(self) -> int:
        """Heads of a layer; 0 where there are no layers."""
        return self.layers[0].num_heads if self.layers else 0

    @property
    def num_mlps(self) -> int:
        """Layers that have an MLP."""
        return sum(layer.mlp is not None for layer in self.layers)

    @property
    def num_blocks(self) -> int:
        """Terms among which the "shared" convention divides the constants: 2 L + 1 in a ViT."""
        return len(self.layers) + self.num_mlps + (self.entrance is not None or self.is_map)

    def check(self) -> None:
        """See that nothing is random.

        Raises:
            InputError: if a module is in training mode, where dropout would break the sum.
        """
        modules = [layer.attention for layer in self.layers]
        modules += [each for each in (self.last, self.entrance, self.norm) if each is not None]
        if any(module.training for module in modules):
            raise InputError(
                "expected a model in evaluation mode, got one in training mode, where dropout "
                "makes every pass another sum. Call model.eval() first."
            )


def gain(norm: nn.LayerNorm | None, like: Tensor) -> tuple[Tensor, Tensor]:
    """Weight and bias (width,) of a LayerNorm; ones and zeros where it has none."""
    width = like.shape[-1]
    ones = torch.ones(width, dtype=like.dtype, device=like.device)
    weight: Tensor | None = None if norm is None else norm.weight
    bias: Tensor | None = None if norm is None else norm.bias
    return (
        ones if weight is None else weight.detach().to(like.dtype),
        torch.zeros_like(ones) if bias is None else bias.detach().to(like.dtype),
    )
