"""Texts for what a delta changes: in every head, and in the embedding as a whole.

TextSpan names how the change varies over images and leaves its mean out. A delta often adds much
the same to all images, so the mean shift is named by itself, at both ends.

Shape letters: L layers, H heads, E embedding width, T texts.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.adapters.difference import Readouts, added, difference
from interpret.adapters.sides import Sides
from interpret.moments import HeadMoments
from interpret.pools import TextPool
from interpret.textspan import Ends, TextSpan, mean_shift, nearest_texts, text_span


@dataclass(frozen=True)
class Named:
    """Texts of one or more changes.

    Args:
        span: of how they vary, one entry for each head; one alone for a whole embedding.
        shift: texts at both ends of their means, head by head.
        shift_share_LH: of the mean square change that the mean is, in [0, 1].
    """

    span: TextSpan
    shift: tuple[Ends, ...]
    shift_share_LH: Tensor

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        found = self.span.to_json()
        shares = self.shift_share_LH.flatten().tolist()
        for row, ends, share in zip(found["heads"], self.shift, shares, strict=True):
            row["shift"] = {
                "share": share,
                "towards": [each._asdict() for each in ends.positive],
                "away": [each._asdict() for each in ends.negative],
            }
        return found


@dataclass(frozen=True)
class ChangeTexts:
    """Texts of every head's change, and of the whole embedding's."""

    heads: Named
    whole: Named


@torch.no_grad()
def name_changes(
    sides: Sides,
    batches: Sequence[Tensor],
    pool: TextPool,
    text_TE: Tensor,
    identity: str,
    *,
    num_texts: int = 10,
) -> ChangeTexts:
    """Name what a delta changes.

    Args:
        sides: base and adapted model.
        batches: what the image towers take; of fewer images than the embedding is wide, as many
            directions are named as there are images.
        pool: T texts.
        text_TE: their unit-norm embeddings by the base, as of `encode_pool`.
        identity: what the moments are of, see `HeadMoments`.
        num_texts: of each head.

    Raises:
        InputError: if there is no image, or see `text_span`.
    """
    maps = Readouts.of(sides)
    heads: HeadMoments | None = None
    whole: HeadMoments | None = None
    for batch in batches:
        found = difference(sides, batch, maps=maps)
        heads = added(heads, found.paired_BLHC, identity)
        whole = added(whole, found.output_BE[:, None, None], identity)
    if heads is None or whole is None:
        raise InputError("expected images to compare the models on, got none.")
    eye_11EE = torch.eye(whole.sum_LHC.shape[-1], dtype=torch.float64)[None, None]

    def named(moments: HeadMoments, maps_LHCE: Tensor) -> Named:
        maps_LHCE = maps_LHCE.to(moments.sum_LHC.device)
        rank = moments.count if moments.count < min(maps_LHCE.shape[-2:]) else None
        span = text_span(moments, maps_LHCE, pool, text_TE, num_texts=num_texts, rank=rank)
        shift = mean_shift(moments, maps_LHCE)
        ends = nearest_texts(shift.direction_LHE.flatten(0, 1), pool, text_TE)
        return Named(span, ends, shift.share_LH)

    return ChangeTexts(named(heads, maps.paired_LHCE), named(whole, eye_11EE))
