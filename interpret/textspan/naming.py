"""Texts at both ends of a direction: of principal components, of TextSpan, of a mean shift.

A direction has two ends, and images lie towards both. Texts are taken about the mean of their pool,
as all texts of CLIP share a large part: score = cos(direction, text - mean text), in [-1, 1].

Shape letters: N directions, L layers, H heads, E embedding width, T texts, S components, U: 1.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
import torch.nn.functional as F
from torch import Tensor

from interpret.head_space import head_space
from interpret.moments import HeadMoments
from interpret.pools import TextPool


class Scored(NamedTuple):
    """A text and its cosine with a direction."""

    text: str
    score: float


class Ends(NamedTuple):
    """The texts nearest to either end of a direction, nearest first."""

    positive: tuple[Scored, ...]
    negative: tuple[Scored, ...]


class Principal(NamedTuple):
    """Principal directions of every head, by falling variance.

    Args:
        direction_LHSE: orthonormal; the entry of largest size is positive.
        share_LHS: of the head's variance; 0 for a head that does not vary.
    """

    direction_LHSE: Tensor
    share_LHS: Tensor


class MeanShift(NamedTuple):
    """How much of what heads contribute is the same for all images.

    That is what a delta adds as a constant where the codes are those of a difference, and TextSpan
    leaves it out.

    Args:
        direction_LHE: mean contribution, not of unit norm.
        share_LH: |mean|^2 over |mean|^2 + variance, in [0, 1].
    """

    direction_LHE: Tensor
    share_LH: Tensor


def nearest_texts(
    direction_NE: Tensor, pool: TextPool, text_TE: Tensor, most: int = 5
) -> tuple[Ends, ...]:
    """Name both ends of directions.

    Args:
        direction_NE: of any norm; zeros have no ends.
        pool: T texts.
        text_TE: their embeddings.
        most: texts at each end; those that point to the other end are left out.
    """
    text_TE = text_TE.to(direction_NE)
    centered_TE = F.normalize(text_TE - text_TE.mean(0), dim=-1)
    score_NT = F.normalize(direction_NE, dim=-1) @ centered_TE.T
    most = min(most, len(pool))
    positive, negative = ((sign * score_NT).topk(most, dim=1) for sign in (1, -1))

    def named(index: Tensor, score: Tensor, sign: int) -> tuple[Scored, ...]:
        pairs = zip(index.tolist(), score.tolist(), strict=True)
        return tuple(Scored(pool.texts[each], sign * value) for each, value in pairs if value > 0)

    return tuple(
        Ends(
            named(positive.indices[row], positive.values[row], 1),
            named(negative.indices[row], negative.values[row], -1),
        )
        for row in range(len(direction_NE))
    )


@torch.no_grad()
def principal_directions(
    moments: HeadMoments, maps_LHCE: Tensor, num_directions: int = 5
) -> Principal:
    """Principal components of every head's contributions, about their mean.

    Raises:
        InputError: if moments and maps do not fit each other, or there are no images.
    """
    space = head_space(moments, maps_LHCE)
    value_GQ, vector_GQQ = torch.linalg.eigh(space.covariance_GQQ)
    first_GQS = vector_GQQ.flip(-1)[:, :, :num_directions]
    value_GS = value_GQ.flip(-1)[:, :num_directions].clamp_min(0)
    direction_GSE = (space.basis_GEQ @ first_GQS).mT
    largest_GSU = direction_GSE.abs().argmax(-1, keepdim=True)
    direction_GSE = direction_GSE * direction_GSE.gather(-1, largest_GSU).sign()
    variance_GU = space.variance_G[:, None]
    share_GS = torch.where(variance_GU > 0, value_GS / variance_GU.where(variance_GU > 0, 1.0), 0.0)
    layers, heads = maps_LHCE.shape[:2]
    return Principal(
        direction_GSE.reshape(layers, heads, *direction_GSE.shape[1:]),
        share_GS.view(layers, heads, -1),
    )


@torch.no_grad()
def mean_shift(moments: HeadMoments, maps_LHCE: Tensor) -> MeanShift:
    """Mean contributions and their share of the mean square.

    Raises:
        InputError: if moments and maps do not fit each other, or there are no images.
    """
    space = head_space(moments, maps_LHCE)
    square_G = space.mean_GQ.square().sum(1)
    all_G = square_G + space.variance_G
    share_G = square_G / all_G.where(all_G > 0, 1.0)
    return MeanShift(moments.mean_of(maps_LHCE), share_G.view(maps_LHCE.shape[:2]))
