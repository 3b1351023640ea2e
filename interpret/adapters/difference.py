"""What a delta changes in an embedding, part by part: an exact sum.

    f_adapted - f_base = sum_p (c_p adapted - c_p base)

A part of unchanged weights may move all the same, as what it reads has moved; see `shapley`.
Heads keep short codes here, too: with y = [y_adapted, -y_base] and M = [M_adapted; M_base] the
change of a head is y M, so moments, TextSpan and principal components take a change for a head of
double width.

Shape letters: B images, L layers, H heads, C width of a code, E embedding width, P parts.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.adapters.sides import Sides
from interpret.decompose import Convention, Decomposition, Readout, decompose, readout
from interpret.moments import HeadMoments


@dataclass(frozen=True)
class Readouts:
    """The maps of both models at their present weights; read them again when adapters change."""

    base: Readout
    adapted: Readout

    @classmethod
    def of(cls, sides: Sides, convention: Convention = "separate") -> Readouts:
        """Read them.

        Raises:
            InputError: if the towers are of different shape, or the convention is unknown.
        """
        with sides.base() as tower:
            base = readout(tower, convention)
        with sides.adapted() as tower:
            adapted = readout(tower, convention)
        if base.maps_LHCE.shape != adapted.maps_LHCE.shape:
            raise InputError(
                "expected a base and an adapted model of one architecture, got heads of shape "
                f"{tuple(base.maps_LHCE.shape)} and {tuple(adapted.maps_LHCE.shape)}."
            )
        return cls(base, adapted)

    @property
    def paired_LHCE(self) -> Tensor:
        """Maps of a change, (L, H, 2C, E)."""
        return torch.cat([self.adapted.maps_LHCE, self.base.maps_LHCE], dim=2)


@dataclass(frozen=True)
class Difference:
    """The parts of the same images' embeddings before and after."""

    base: Decomposition
    adapted: Decomposition

    @property
    def paired_BLHC(self) -> Tensor:
        """Codes of the heads' changes, (B, L, H, 2C); their maps are `Readouts.paired_LHCE`."""
        return torch.cat([self.adapted.codes_BLHC, -self.base.codes_BLHC], dim=3)

    @property
    def heads_BLHE(self) -> Tensor:
        """Changes of the heads' contributions."""
        return self.adapted.heads_BLHE - self.base.heads_BLHE

    @property
    def parts_BPE(self) -> Tensor:
        """Changes of all parts in the order of `interpret.parts.score_parts`."""
        base, adapted = self.base, self.adapted
        others = [
            adapted.mlps_BME - base.mlps_BME,
            (adapted.embedding_BE - base.embedding_BE)[:, None],
            (adapted.constant_BE - base.constant_BE)[:, None],
        ]
        return torch.cat([self.heads_BLHE.flatten(1, 2), *others], dim=1)

    @property
    def output_BE(self) -> Tensor:
        """Change of the whole embedding."""
        return self.adapted.output_BE - self.base.output_BE


@torch.no_grad()
def difference(
    sides: Sides,
    images: Tensor,
    *,
    convention: Convention = "separate",
    normalize: bool = True,
    maps: Readouts | None = None,
) -> Difference:
    """Take the change of some embeddings apart.

    Args:
        sides: base and adapted model.
        images: what the towers take.
        convention: what becomes of the constants, see `interpret.decompose`.
        normalize: divide each embedding by its own length: parts sum to the difference of two unit
            vectors.
        maps: of this convention, to spare reading them for every batch.

    Raises:
        InputError: see `interpret.decompose.decompose`.
    """
    maps = Readouts.of(sides, convention) if maps is None else maps
    with sides.base() as tower:
        base = decompose(tower, images, normalize=normalize, maps=maps.base)
    with sides.adapted() as tower:
        adapted = decompose(tower, images, normalize=normalize, maps=maps.adapted)
    return Difference(base, adapted)


def difference_moments(
    sides: Sides, batches: Iterable[Tensor], identity: str, *, maps: Readouts | None = None
) -> HeadMoments:
    """Moments of the heads' changes; their maps are `Readouts.paired_LHCE`.

    Args:
        sides: base and adapted model.
        batches: what the towers take.
        identity: what the moments are of, see `HeadMoments`.
        maps: of both models.

    Raises:
        InputError: if there is no image, or see `difference`.
    """
    maps = Readouts.of(sides) if maps is None else maps
    moments: HeadMoments | None = None
    for batch in batches:
        codes_BLHC = difference(sides, batch, maps=maps).paired_BLHC
        moments = added(moments, codes_BLHC, identity)
    if moments is None:
        raise InputError("expected images to compare the models on, got none.")
    return moments


def added(moments: HeadMoments | None, codes_BLHC: Tensor, identity: str) -> HeadMoments:
    """Moments with a batch of codes added; new ones for the first."""
    if moments is None:
        _, layers, heads, width = codes_BLHC.shape
        moments = HeadMoments.empty(identity, layers, heads, width, device=codes_BLHC.device)
    moments.update(codes_BLHC)
    return moments
