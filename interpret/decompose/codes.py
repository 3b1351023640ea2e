"""Heads as short codes: what a head adds to the embedding is `codes @ maps`, exactly.

A head writes `head width` numbers through a fixed matrix. Everything else that its contribution
depends on is a handful of scalars an image. So C = head width + a few numbers an image and head
stand for E numbers, and all moments of the contributions follow from moments of the codes.

Two conventions say what becomes of the constants, both exact (they sum to the output):

- "shared", of Gandelsman, Efros and Steinhardt (ICLR 2024): the mean that the final LayerNorm takes
  away, its bias, and the biases of the output projections are divided evenly among the parts.
  Codes: [value, weight, mean, 1].
- "separate": every part is centered by itself (the LayerNorm's centering is linear), and all biases
  are one part of their own, the constant. Codes: [value].

Shape letters: B images, L layers, H heads, W head width, C code width, D stream width, E embedding
width.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.decompose.trace import LayerTrace, Trace
from interpret.towers import Affine, Layer, Tower, gain

Convention = Literal["shared", "separate"]
CONVENTIONS = ("shared", "separate")


@dataclass(frozen=True)
class Readout:
    """The maps of a tower at its present weights; rebuild it when they change.

    Args:
        convention: what becomes of the constants.
        maps_LHCE: from codes to contributions.
        stream_DE: from the stream to the embedding, the final LayerNorm's gain included; its
            centering too in the "separate" convention.
        constant_E: the final LayerNorm's bias and the projection's, in the embedding.
        biases_L3E: of every layer, in the embedding: bias of the output projection, gain of a
            LayerNorm after it, bias of that LayerNorm.
        num_blocks: parts that share constants.
    """

    convention: Convention
    maps_LHCE: Tensor
    stream_DE: Tensor
    constant_E: Tensor
    biases_L3E: Tensor
    num_blocks: int

    @property
    def code_width(self) -> int:
        """C, numbers that stand for one head of one image."""
        return self.maps_LHCE.shape[2]

    def fold(self, x_BD: Tensor, mean_B: Tensor) -> Tensor:
        """A whole block's term (an MLP, the entrance) in the embedding, (B, E)."""
        if self.convention == "separate":
            return x_BD @ self.stream_DE
        share = 1 / self.num_blocks
        shared_BD = x_BD - share * mean_B[:, None]
        return shared_BD @ self.stream_DE + share * self.constant_E


def check_convention(convention: str) -> None:
    """See that a convention is known.

    Raises:
        InputError: if not.
    """
    if convention not in CONVENTIONS:
        raise InputError(
            f"expected a convention among {', '.join(CONVENTIONS)}, got {convention!r}."
        )


@torch.no_grad()
def readout(tower: Tower, convention: Convention = "shared") -> Readout:
    """Read the maps of a tower off its weights, adapters included.

    Raises:
        InputError: if the convention is unknown.
    """
    check_convention(convention)
    project = tower.project()
    dtype = torch.promote_types(project.weight.dtype, torch.float32)
    weight_ED = project.weight.to(dtype)
    scale_D, bias_D = gain(tower.norm, weight_ED[0])
    stream_DE = scale_D[:, None] * weight_ED.T
    constant_E = project.bias.to(dtype) + bias_D @ weight_ED.T
    if convention == "separate" and tower.norm is not None:
        stream_DE = stream_DE - stream_DE.mean(dim=0)  # the LayerNorm's centering, as a matrix
    folded = [
        _layer_maps(tower, layer, stream_DE, constant_E, convention) for layer in tower.layers
    ]
    if folded:
        maps, biases = (torch.stack(each) for each in zip(*folded, strict=True))
    else:
        maps = stream_DE.new_zeros(0, 0, 0, stream_DE.shape[1])
        biases = stream_DE.new_zeros(0, 3, stream_DE.shape[1])
    return Readout(convention, maps, stream_DE, constant_E, biases, tower.num_blocks)


def _layer_maps(
    tower: Tower, layer: Layer, stream_DE: Tensor, constant_E: Tensor, convention: Convention
) -> tuple[Tensor, Tensor]:
    """Maps (H, C, E) and biases (3, E) of one layer."""
    out: Affine = layer.out()
    heads = layer.num_heads
    weight_DV, bias_D = out.weight.to(stream_DE.dtype), out.bias.to(stream_DE.dtype)
    norm_scale_D, norm_bias_D = gain(layer.post_norm, bias_D)
    rows = torch.stack([bias_D, norm_scale_D, norm_bias_D])
    columns_VD = weight_DV.T
    if convention == "separate" and layer.post_norm is not None:
        columns_VD = _center(columns_VD)
        rows[0] = _center(rows[0])
    if layer.post_norm is not None:
        columns_VD, rows[0] = columns_VD * norm_scale_D, rows[0] * norm_scale_D
    if layer.scale is not None:
        columns_VD, rows = columns_VD * layer.scale, rows * layer.scale
    maps_HWE = (columns_VD @ stream_DE).view(heads, -1, stream_DE.shape[1])
    biases_3E = rows @ stream_DE
    if convention == "separate":
        return maps_HWE, biases_3E
    share = 1 / (tower.num_blocks * heads)
    extra = [biases_3E[0] / heads, -share * stream_DE.sum(dim=0), share * constant_E]
    if layer.post_norm is not None:
        extra += [-biases_3E[1] / heads, biases_3E[2] / heads]
    extra_HCE = torch.stack(extra).expand(heads, -1, -1)
    return torch.cat([maps_HWE, extra_HCE], dim=1), biases_3E


def codes(trace: Trace, readout: Readout, *, normalize: bool = True) -> Tensor:
    """Codes (B, L, H, C) of the heads.

    Args:
        trace: of the tower whose maps these are.
        readout: its maps.
        normalize: divide by the length of the output, so that parts sum to a unit vector.
    """
    if not trace.layers:
        return trace.output_BE.new_zeros(len(trace.output_BE), 0, 0, 0)
    parts = [_layer_codes(trace, layer, readout) for layer in trace.layers]
    codes_BLHC = torch.stack(parts, dim=1)
    return codes_BLHC / lengths(trace)[:, None, None, None] if normalize else codes_BLHC


def lengths(trace: Trace) -> Tensor:
    """Length (B,) of every output.

    Raises:
        InputError: if one is zero, which has no direction.
    """
    lengths_B: Tensor = trace.output_BE.norm(dim=-1)
    if not bool((lengths_B > 0).all()):
        raise InputError("expected embeddings longer than 0, got one of length 0 or NaN.")
    return lengths_B


def _layer_codes(trace: Trace, layer: LayerTrace, readout: Readout) -> Tensor:
    value_BHW = layer.value_BHW
    if readout.convention == "separate":
        return value_BHW
    scalars = [layer.weight_B, trace.mean_B, torch.ones_like(trace.mean_B)]
    if readout.code_width - value_BHW.shape[2] > len(scalars):  # a LayerNorm after the projection
        scalars += [layer.post_mean_B, trace.weights_BR.sum(dim=1)]
    scalars_BHC = torch.stack(scalars, dim=-1)[:, None].expand(-1, value_BHW.shape[1], -1)
    return torch.cat([value_BHW, scalars_BHC], dim=-1)


def _center(x: Tensor) -> Tensor:
    return x - x.mean(dim=-1, keepdim=True)
