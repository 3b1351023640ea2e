"""An embedding as the sum of its parts: heads, MLPs, the entrance of the stream, constants.

Direct effects only: what a part adds to the residual stream and so to the output, with attention
and LayerNorm statistics frozen at this image. What it does to later parts is theirs.

Gandelsman, Efros, Steinhardt, "Interpreting CLIP's Image Representation via Text-Based
Decomposition", ICLR 2024.

Shape letters: B images or texts, L layers, H heads, M layers with an MLP, C code width, E embedding
width.
"""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor

from interpret.decompose.codes import Convention, Readout, codes, lengths, readout
from interpret.decompose.trace import Trace, trace
from interpret.towers import Tower


@dataclass(frozen=True)
class Decomposition:
    """The parts of some embeddings; they sum to them.

    Args:
        codes_BLHC: of the heads.
        readout: maps of the tower.
        mlps_BME: contributions of the MLPs.
        embedding_BE: contribution of the stream before the first layer (class token and positions);
            zeros in towers that have no such term.
        constant_BE: biases; zeros in the "shared" convention, where the other parts hold them.
        output_BE: the tower's own output, divided by its length if normalized.
        length_B: of the tower's output, whether or not the parts were divided by it.
    """

    codes_BLHC: Tensor
    readout: Readout
    mlps_BME: Tensor
    embedding_BE: Tensor
    constant_BE: Tensor
    output_BE: Tensor
    length_B: Tensor

    @property
    def heads_BLHE(self) -> Tensor:
        """Contributions of the heads, built anew at every call."""
        return torch.einsum("blhk,lhkd->blhd", self.codes_BLHC, self.readout.maps_LHCE)

    @property
    def total_BE(self) -> Tensor:
        """The sum of all parts: `output_BE` up to rounding."""
        heads_BE = torch.einsum("blhk,lhkd->bd", self.codes_BLHC, self.readout.maps_LHCE)
        return heads_BE + self.mlps_BME.sum(dim=1) + self.embedding_BE + self.constant_BE

    def residual_error(self) -> float:
        """Largest length of `total - output`, relative to the output's."""
        error_B = (self.total_BE - self.output_BE).norm(dim=-1) / self.output_BE.norm(dim=-1)
        return float(error_B.max())


def decompose(
    tower: Tower,
    inputs: Tensor,
    *,
    convention: Convention = "shared",
    normalize: bool = True,
    maps: Readout | None = None,
) -> Decomposition:
    """Take embeddings apart.

    Args:
        tower: from `image_tower` or `text_tower`.
        inputs: what the tower takes: preprocessed images or tokens.
        convention: what becomes of the constants, see `interpret.decompose.codes`.
        normalize: divide all parts by the output's length: they sum to a unit vector.
        maps: `readout(tower, convention)`, to spare building it for every batch. It holds the
            weights as they were: build it again after an adapter changed.

    Raises:
        InputError: if the model is in training mode or cannot be tapped, or the convention is
            unknown.
    """
    found = trace(tower, inputs)
    maps = readout(tower, convention) if maps is None else maps
    count, width = found.output_BE.shape
    length_B = lengths(found)
    divisor = (length_B if normalize else torch.ones_like(length_B))[:, None]
    mlps = [
        maps.fold(each.mlp_BD, found.mean_B) for each in found.layers if each.mlp_BD is not None
    ]
    zeros_BE = found.output_BE.new_zeros(count, width)
    entrance = zeros_BE if found.entrance_BD is None else maps.fold(found.entrance_BD, found.mean_B)
    if found.entrance_BD is None and not found.layers and found.last_BRD is not None:
        last_BD = torch.einsum("br,brd->bd", found.weights_BR, found.last_BRD)
        entrance = maps.fold(last_BD, found.mean_B)
    return Decomposition(
        codes_BLHC=codes(found, maps, normalize=normalize),
        readout=maps,
        mlps_BME=torch.stack(mlps, 1) / divisor[:, None] if mlps else zeros_BE[:, None][:, :0],
        embedding_BE=entrance / divisor,
        constant_BE=_constant(found, maps) / divisor,
        output_BE=found.output_BE / divisor,
        length_B=length_B,
    )


def _constant(found: Trace, maps: Readout) -> Tensor:
    if maps.convention == "shared":
        return torch.zeros_like(found.output_BE)
    rows_B = found.weights_BR.sum(dim=1)
    constant_BE = maps.constant_E.expand_as(found.output_BE)
    for layer, (bias_E, _, norm_bias_E) in zip(found.layers, maps.biases_L3E, strict=True):
        own_BE = layer.weight_B[:, None] * bias_E
        constant_BE = constant_BE + own_BE + rows_B[:, None] * norm_bias_E
    return constant_BE
