"""The table of a tower: one pass over images, nothing larger than the table is kept.

Shape letters: B images of a batch, T texts, L layers, H heads, C code width, E embedding width,
P parts.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.decompose import Convention, Decomposition, decompose, readout
from interpret.parts.part import Part
from interpret.parts.scores import PartScores
from interpret.towers import Tower


@torch.no_grad()
def score_parts(
    tower: Tower,
    batches: Iterable[Tensor],
    texts_TE: Tensor,
    names: Sequence[str],
    *,
    convention: Convention = "separate",
) -> PartScores:
    """Score every part of every image with every text; the parts sum to cosines.

    Args:
        tower: from `image_tower`.
        batches: what the tower takes.
        texts_TE: unit vectors, or any directions.
        names: of the T texts.
        convention: what becomes of the constants, see `interpret.decompose`.

    Raises:
        InputError: if there is no image, or the model cannot be decomposed as it is.
    """
    maps = readout(tower, convention)
    pulled_LHCT = maps.maps_LHCE @ texts_TE.T.to(maps.maps_LHCE)
    tables = [
        _scores(decompose(tower, batch, maps=maps), pulled_LHCT, texts_TE).cpu()
        for batch in batches
    ]
    if not tables:
        raise InputError("expected images to score, got none.")
    return PartScores(torch.cat(tables).numpy(), _parts(tower), tuple(names))


def _scores(found: Decomposition, pulled_LHCT: Tensor, texts_TE: Tensor) -> Tensor:
    """Scores (B, P, T) of a batch, parts in the order of `_parts`."""
    heads = torch.einsum("blhc,lhct->blht", found.codes_BLHC, pulled_LHCT).flatten(1, 2)
    others = [found.mlps_BME, found.embedding_BE[:, None], found.constant_BE[:, None]]
    rest = torch.cat(others, dim=1)
    return torch.cat([heads, rest @ texts_TE.T.to(rest)], dim=1)


def _parts(tower: Tower) -> tuple[Part, ...]:
    parts = [
        Part("head", number, head)
        for number, layer in enumerate(tower.layers)
        for head in range(layer.num_heads)
    ]
    parts += [Part("mlp", n) for n, layer in enumerate(tower.layers) if layer.mlp is not None]
    return (*parts, Part("embedding"), Part("constant"))
