"""Why a head's contribution moved: four causes, whose shares sum to the move exactly.

    ov        the head's value and output projections
    qk        its query and key projections: where it looks
    upstream  what the block reads, changed by earlier blocks
    norm      the final LayerNorm's statistics, and the embedding's length where that is divided by

Each cause is taken from the base or from the adapted model: 16 combinations. A cause's share is its
Shapley value, the mean of what it adds over all orders in which the four may come.

Shape letters: B images, S tokens, H heads, W head width, D stream width, E embedding width, L
layers, K causes.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable
from dataclasses import dataclass, replace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from datamodules.errors import InputError
from interpret.adapters.difference import Readouts
from interpret.adapters.sides import Sides
from interpret.decompose import Convention, Readout, Trace, codes, trace
from interpret.plain import plain
from interpret.taps import watch_inputs
from interpret.towers import Affine, Tower, affine_of
from lightning_modules.attention import SplitMHA

CAUSES = ("ov", "qk", "upstream", "norm")
Choice = tuple[int, ...]  # of each cause: 0 from the base, 1 from the adapted model


@dataclass(frozen=True)
class Causes:
    """Shares of the four causes in the change of every head, for some images.

    Args:
        share_KBLHE: vectors; their sum over causes is the change of the head's contribution.
        change_BLHE: that change.
    """

    share_KBLHE: Tensor
    change_BLHE: Tensor


@dataclass(frozen=True)
class CauseShares:
    """The causes over many images, in float64.

    Args:
        signed_KLH: mean projections of the shares onto the change, weighted by its size: sum of
            <share, change> over sum of |change|^2. They sum to 1; NaN for a head that never moves.
        size_KLH: root mean square length of the shares over that of the change; need not sum to 1.
    """

    signed_KLH: Tensor
    size_KLH: Tensor

    def to_json(self) -> dict[str, dict[str, list[list[float | None]]]]:
        """{cause: {signed | size: rows of layers}}; NaN is None."""
        tables = {"signed": self.signed_KLH, "size": self.size_KLH}
        return {
            cause: {name: plain(table[number]) for name, table in tables.items()}
            for number, cause in enumerate(CAUSES)
        }


class _Side(NamedTuple):
    """One model: its projections, what its blocks read, and its final statistics."""

    projections: tuple[dict[str, Affine], ...]
    inputs_LBSD: tuple[Tensor, ...]
    found: Trace
    maps: Readout


@torch.no_grad()
def causes(
    sides: Sides, images: Tensor, *, convention: Convention = "separate", normalize: bool = True
) -> Causes:
    """Divide the change of every head's contribution among the four causes.

    Args:
        sides: base and adapted model.
        images: what the towers take; 16 contributions of all heads are held at a time.
        convention: see `interpret.decompose`.
        normalize: see `difference`.

    Raises:
        InputError: if a tower is not a vision transformer with class token and split attention, or
            the models differ behind the last block.
    """
    maps = Readouts.of(sides, convention)
    with sides.base() as tower:
        base = _side(tower, images, maps.base)
        num_heads = tower.num_heads
    with sides.adapted() as tower:
        adapted = _side(tower, images, maps.adapted)
    if not torch.equal(maps.base.stream_DE, maps.adapted.stream_DE):
        raise InputError(
            "expected models that differ in their blocks, got another final LayerNorm or "
            "projection: its change has no place among the causes."
        )
    both = (base, adapted)
    shares, changes = [], []
    for layer in range(len(base.projections)):
        values = _values(both, layer, num_heads)
        worth = {
            choice: _contribution(both, layer, values[choice[:3]], choice, normalize=normalize)
            for choice in itertools.product((0, 1), repeat=len(CAUSES))
        }
        shares.append(torch.stack([_shapley(worth, cause) for cause in range(len(CAUSES))]))
        changes.append(worth[1, 1, 1, 1] - worth[0, 0, 0, 0])
    return Causes(torch.stack(shares, dim=2), torch.stack(changes, dim=1))


def cause_shares(sides: Sides, batches: Iterable[Tensor]) -> CauseShares:
    """Divide the changes among the four causes over many images, embeddings at unit length.

    Args:
        sides: base and adapted model.
        batches: what the towers take, at most a few dozen images each.

    Raises:
        InputError: if there is no image, or see `causes`.
    """
    found = [_sums(causes(sides, batch)) for batch in batches]
    if not found:
        raise InputError("expected images to compare the models on, got none.")
    product_KLH, square_KLH, moved_LH = (sum(each) for each in zip(*found, strict=True))
    return CauseShares(product_KLH / moved_LH, (square_KLH / moved_LH).sqrt())


def _sums(found: Causes) -> tuple[Tensor, Tensor, Tensor]:
    share_KBLHE, change_BLHE = found.share_KBLHE.double(), found.change_BLHE.double()
    product_KLH = (share_KBLHE * change_BLHE).sum(dim=(1, 4))
    return product_KLH, share_KBLHE.square().sum(dim=(1, 4)), change_BLHE.square().sum(dim=(0, 3))


def _shapley(worth: dict[Choice, Tensor], cause: int) -> Tensor:
    """The mean gain from a cause over all orders of the causes."""
    count, total = len(CAUSES), torch.zeros_like(worth[0, 0, 0, 0])
    for without, value in worth.items():
        if not without[cause]:
            after = (*without[:cause], 1, *without[cause + 1 :])
            size = sum(without)
            orders = math.factorial(size) * math.factorial(count - size - 1)
            total += orders / math.factorial(count) * (worth[after] - value)
    return total


def _side(tower: Tower, images: Tensor, maps: Readout) -> _Side:
    attentions = [_attention(tower, layer.attention) for layer in tower.layers]
    seen: dict[str, Tensor] = {}
    keys: dict[str, nn.Module] = {str(n): each.k_proj for n, each in enumerate(attentions)}
    with watch_inputs(keys, seen.__setitem__):
        found = trace(tower, images)
    inputs = tuple(seen[str(number)].to(found.output_BE.dtype) for number in range(len(attentions)))
    read: list[dict[str, Affine]] = []
    for attention, like in zip(attentions, inputs, strict=True):
        projections: dict[str, Callable[[Tensor], Tensor]] = {
            "q": attention.q_proj, "k": attention.k_proj, "v": attention.v_proj
        }  # fmt: skip
        read.append({n: affine_of(f, like.shape[-1], like) for n, f in projections.items()})
    return _Side(tuple(read), inputs, found, maps)


def _attention(tower: Tower, attention: nn.Module) -> SplitMHA:
    if tower.kind != "vision transformer" or not isinstance(attention, SplitMHA):
        raise InputError(
            "expected a vision transformer of open_clip with split attention, got "
            f"{tower.kind} with {type(attention).__name__}. Load the backbone with split=True, or "
            "choose another."
        )
    return attention


def _values(both: tuple[_Side, _Side], layer: int, num_heads: int) -> dict[Choice, Tensor]:
    """What heads hand to the output projection, (B, H, W), by choice of ov, qk, upstream."""
    attended, written = {}, {}
    for weights, reads in itertools.product((0, 1), repeat=2):
        projection, x_BSD = both[weights].projections[layer], both[reads].inputs_LBSD[layer]
        query_BHW = _heads(_apply(projection["q"], x_BSD[:, :1]), num_heads)[:, :, 0]
        key_BHSW = _heads(_apply(projection["k"], x_BSD), num_heads)
        scores_BHS = torch.einsum("bhw,bhsw->bhs", query_BHW, key_BHSW)
        attended[weights, reads] = (scores_BHS * key_BHSW.shape[-1] ** -0.5).softmax(dim=-1)
        written[weights, reads] = _heads(_apply(projection["v"], x_BSD), num_heads)
    return {
        (ov, qk, x): torch.einsum("bhs,bhsw->bhw", attended[qk, x], written[ov, x])
        for ov, qk, x in itertools.product((0, 1), repeat=3)
    }


def _contribution(
    both: tuple[_Side, _Side], layer: int, value_BHW: Tensor, choice: Choice, *, normalize: bool
) -> Tensor:
    """Contributions (B, H, E) of the heads of one layer."""
    ov, _, _, norm = choice
    found, maps = both[norm].found, both[ov].maps
    own = found.layers[layer]
    part = replace(own, value_BHW=value_BHW * own.weight_B[:, None, None])
    maps = replace(maps, maps_LHCE=maps.maps_LHCE[layer : layer + 1])
    codes_B1HC = codes(replace(found, layers=(part,)), maps, normalize=normalize)
    return torch.einsum("bhc,hce->bhe", codes_B1HC[:, 0], maps.maps_LHCE[0])


def _apply(affine: Affine, x: Tensor) -> Tensor:
    return F.linear(x, affine.weight.to(x.dtype), affine.bias.to(x.dtype))


def _heads(x_BSD: Tensor, num_heads: int) -> Tensor:
    return x_BSD.view(*x_BSD.shape[:2], num_heads, -1).transpose(1, 2)
