"""Contributions of single tokens, and their products with texts without ever building them.

A head's contribution is a sum over the tokens it attends to: `sum_i a_i v_i` through one matrix.
Pulled back through that matrix, a text becomes a short vector in the head's value space, and a heat
map is one small product a head: tokens x heads x E numbers are never made.

Shape letters: B images or texts, L layers, H heads, S tokens, R rows, W head width, C code width,
E embedding width, T texts.
"""

from __future__ import annotations

import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.decompose.codes import Readout, codes, lengths
from interpret.decompose.trace import LayerTrace, Trace


def token_codes(found: Trace, maps: Readout, layer: int, *, normalize: bool = True) -> Tensor:
    """Codes (B, S, H, C) of the tokens of one layer; they sum over tokens to the head's codes.

    Constants are divided evenly over the tokens, as in the paper.

    Raises:
        InputError: if the pass kept no tokens.
    """
    values_BHSW, source_BHS = _tokens(found.layers[layer])
    part_BSHW = torch.einsum("bhs,bhsw->bshw", source_BHS, values_BHSW)
    width, count = part_BSHW.shape[-1], part_BSHW.shape[1]
    constant_BHC = _constants(found, maps, [layer])[:, 0] / count
    part_BSHC = constant_BHC[:, None].repeat(1, count, 1, 1)
    part_BSHC[..., :width] += part_BSHW
    return part_BSHC / lengths(found)[:, None, None, None] if normalize else part_BSHC


def token_scores(
    found: Trace,
    maps: Readout,
    texts_TE: Tensor,
    *,
    normalize: bool = True,
    layers: tuple[int, ...] | None = None,
    heads: Tensor | None = None,
) -> Tensor:
    """Sum over heads of the tokens' contributions, times texts: (B, T, S).

    Args:
        found: a pass that kept tokens.
        maps: of the tower.
        texts_TE: directions in the embedding.
        normalize: divide by the length of the embedding.
        layers: those that count; None counts all.
        heads: bool (L, H), those that count; None counts all.

    Raises:
        InputError: if the pass kept no tokens.
    """
    chosen = list(range(len(found.layers)) if layers is None else layers)
    if not chosen:
        raise InputError("expected at least one layer of heads to read, got none.")
    maps_LHCE = maps.maps_LHCE if layers is None else maps.maps_LHCE[chosen]
    pulled_LHCT = maps_LHCE @ texts_TE.to(maps_LHCE.dtype).T
    if heads is not None:
        pulled_LHCT = pulled_LHCT * heads[chosen].to(pulled_LHCT)[..., None, None]
    parts = [
        _pulled_scores(found.layers[number], pulled_HCT)
        for number, pulled_HCT in zip(chosen, pulled_LHCT, strict=True)
    ]
    scores_BST = torch.stack(parts).sum(dim=0)
    constant_BLHC = _constants(found, maps, chosen) / scores_BST.shape[1]
    constant_BT = torch.einsum("blhc,lhct->bt", constant_BLHC, pulled_LHCT)
    total_BST = scores_BST + constant_BT[:, None]
    if normalize:
        total_BST = total_BST / lengths(found)[:, None, None]
    return total_BST.transpose(1, 2)


def _constants(found: Trace, maps: Readout, layers: list[int]) -> Tensor:
    """The part of the codes (B, L, H, C) that is no key's value, and is divided over the tokens.

    It is known without a subtraction, which would leave rounding in tokens that add little.
    """
    codes_BLHC = codes(found, maps, normalize=False)[:, layers]
    for place, number in enumerate(layers):
        width = found.layers[number].value_BHW.shape[-1]
        rest_BHW = found.layers[number].rest_BHW
        codes_BLHC[:, place, :, :width] = 0 if rest_BHW is None else rest_BHW
    return codes_BLHC


def _pulled_scores(layer: LayerTrace, pulled_HCT: Tensor) -> Tensor:
    """What the tokens' values add to the texts in one layer, (B, S, T)."""
    values_BHSW, source_BHS = _tokens(layer)
    weighted_BHSW = values_BHSW * source_BHS[..., None]
    return torch.einsum("bhsw,hwt->bst", weighted_BHSW, pulled_HCT[:, : values_BHSW.shape[3]])


def position_scores(
    found: Trace, maps: Readout, texts_TE: Tensor, *, normalize: bool = True
) -> Tensor:
    """For towers that average rows: every row's contribution to the output, times texts, (B, T, R).

    The whole output is divided, constants evenly: the rows sum to it.

    Raises:
        InputError: if the tower has no residual stream.
    """
    if found.last_BRD is None:
        raise InputError("expected a tower that averages its positions, got one that does not.")
    rows_BRD = found.weights_BR[..., None] * found.last_BRD
    count = rows_BRD.shape[1]
    texts_ET = texts_TE.to(maps.stream_DE.dtype).T
    pulled_DT = maps.stream_DE @ texts_ET
    constant_BT = maps.constant_E @ texts_ET - found.mean_B[:, None] * pulled_DT.sum(dim=0)
    scores_BRT = rows_BRD @ pulled_DT + constant_BT[:, None] / count
    if normalize:
        scores_BRT = scores_BRT / lengths(found)[:, None, None]
    return scores_BRT.transpose(1, 2)


def _tokens(layer: LayerTrace) -> tuple[Tensor, Tensor]:
    if layer.values_BHSW is None or layer.source_BHS is None:
        raise InputError("expected a pass that kept its tokens, got one without: with_tokens=True.")
    return layer.values_BHSW, layer.source_BHS
