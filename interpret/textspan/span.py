"""TextSpan of all heads of a model, from the moments of their codes.

Gandelsman et al., "Interpreting CLIP's Image Representation via Text-Based Decomposition" (ICLR
2024, https://arxiv.org/abs/2310.05916). Per head: project the texts onto the leading directions of
the contributions, not centered, without renormalizing them; center the contributions; then choose
the text along which they vary most, take its direction out of contributions and texts, and repeat.

Nothing of it depends on the images but the moments, so the time does not grow with their number.
The difference of two models is one more head: codes [y_a, -y_b] and maps [M_a; M_b].

Shape letters: L layers, H heads, G heads of a chunk, C width of a code, E embedding width, R
coordinates of a span, T texts, S texts chosen.
"""

from __future__ import annotations

import logging
from typing import Literal, NamedTuple, get_args

import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.head_space import TOLERANCE, HeadSpace, check_maps, head_space
from interpret.moments import HeadMoments
from interpret.pools import TextPool
from interpret.textspan.pursuit import Picks, pursue
from interpret.textspan.result import TextSpan

Method = Literal["textspan", "somp"]
_log = logging.getLogger(__name__)
_CHUNK = 2**23  # numbers of projected texts at a time: 64 MiB


@torch.no_grad()
def text_span(
    moments: HeadMoments,
    maps_LHCE: Tensor,
    pool: TextPool,
    text_TE: Tensor,
    *,
    num_texts: int = 60,
    rank: int | None = None,
    method: Method = "textspan",
) -> TextSpan:
    """Choose texts for every head; computed in float64, on the device of the moments.

    Args:
        moments: of the heads' codes.
        maps_LHCE: what turns codes into contributions.
        pool: T texts.
        text_TE: their unit-norm embeddings, as of `encode_pool`.
        num_texts: S, of each head; fewer where nothing is left to explain.
        rank: leading directions that texts are projected onto; None takes all that the images fill,
            those with more than 1e-6 of the largest singular value. The paper takes 80, of which a
            head of width 64 fills 67 at most: never more are taken than are filled.
        method: "textspan", or "somp": simultaneous orthogonal matching pursuit, as of Head Pursuit
            (NeurIPS 2025), which each time takes the text that explains most next to those taken.

    Raises:
        InputError: if a number is out of range, shapes differ, or there are fewer images than rank.
    """
    check_maps(moments, maps_LHCE)
    _check_texts(pool, text_TE, maps_LHCE)
    _check_numbers(moments, maps_LHCE, num_texts, rank, method)
    layers, heads, width, _ = maps_LHCE.shape
    text_TE = text_TE.to(moments.sum_LHC)
    size = max(1, _CHUNK // (width * len(pool)))
    parts = []
    for start in range(0, layers * heads, size):
        space = head_space(moments, maps_LHCE, slice(start, start + size))
        parts.append(_chunk(space, text_TE, min(num_texts, len(pool)), rank, method))
    whole = _Chunk(*(torch.cat(column) for column in zip(*parts, strict=True)))
    found = {
        name.replace("_G", "_LH"): column.reshape(layers, heads, *column.shape[1:])
        for name, column in whole._asdict().items()
    }
    span = TextSpan(
        method=method,
        identity=moments.identity,
        num_images=moments.count,
        pool=pool.texts,
        mean_LHE=moments.mean_of(maps_LHCE),
        **found,
    )
    if rank is not None and (most := int(span.rank_LH.max())) < rank:
        _log.warning(
            "rank %d was asked for, but no head fills more than %d directions.", rank, most
        )
    return span


class _Chunk(NamedTuple):
    """Fields of `TextSpan` for G heads."""

    index_GS: Tensor
    share_GS: Tensor
    correlation_GS: Tensor
    direction_GSE: Tensor
    variance_G: Tensor
    rank_G: Tensor


def _chunk(
    space: HeadSpace, text_TE: Tensor, steps: int, rank: int | None, method: Method
) -> _Chunk:
    span_GQR, rank_G = _span(space.second_GQQ, rank)
    variance_G = space.variance_G
    # A head that says the same of all images has nothing to be named.
    span_GQR = torch.where(variance_G[:, None, None] > 0, span_GQR, 0.0)
    basis_GER = space.basis_GEQ @ span_GQR
    covariance_GRR = span_GQR.mT @ space.covariance_GQQ @ span_GQR
    text_GRT = basis_GER.mT.contiguous() @ text_TE.T
    picks = pursue(text_GRT, covariance_GRR, steps, by_direction=method == "somp")
    share_GS = picks.variance_GS / variance_G.where(variance_G > 0, 1.0)[:, None]
    correlation_GS = _correlation(picks, text_GRT, covariance_GRR)
    direction_GSE = picks.direction_GSR @ basis_GER.mT
    return _Chunk(picks.index_GS, share_GS, correlation_GS, direction_GSE, variance_G, rank_G)


def _span(second_GQQ: Tensor, rank: int | None) -> tuple[Tensor, Tensor]:
    """Leading directions (G, Q, R), columns of zeros beyond a head's own rank; and these ranks."""
    value_GQ, vector_GQQ = torch.linalg.eigh(second_GQQ)
    value_GQ, vector_GQQ = value_GQ.flip(-1), vector_GQQ.flip(-1)
    rank_G = (value_GQ > TOLERANCE * value_GQ[:, :1]).sum(1)
    if rank is not None:
        rank_G = rank_G.clamp_max(rank)
    most = int(rank_G.max())
    is_taken_GR = torch.arange(most, device=rank_G.device) < rank_G[:, None]
    return vector_GQQ[:, :, :most] * is_taken_GR[:, None], rank_G


def _correlation(picks: Picks, text_GRT: Tensor, covariance_GRR: Tensor) -> Tensor:
    """Correlation over images of each whole text's score with that of its direction; 0 if none."""
    index_GRS = picks.index_GS.clamp_min(0)[:, None].expand(-1, text_GRT.shape[1], -1)
    text_GSR = text_GRT.gather(2, index_GRS).mT
    towards_GSR = picks.direction_GSR @ covariance_GRR
    product_GS = (towards_GSR * text_GSR).sum(-1)
    square_GS = (towards_GSR * picks.direction_GSR).sum(-1) * (
        (text_GSR @ covariance_GRR) * text_GSR
    ).sum(-1)
    found = (product_GS / square_GS.clamp_min(torch.finfo(square_GS.dtype).tiny).sqrt()).clamp(
        -1, 1
    )
    return torch.where(picks.index_GS >= 0, found, 0.0)


def _check_texts(pool: TextPool, text_TE: Tensor, maps_LHCE: Tensor) -> None:
    expected = (len(pool), maps_LHCE.shape[-1])
    if tuple(text_TE.shape) != expected:
        raise InputError(
            f"expected embeddings of shape {expected} for the texts of {pool.name}, got "
            f"{tuple(text_TE.shape)}. Encode this pool with the model that the maps are of."
        )
    norm_T = text_TE.float().norm(dim=-1)
    if not bool((norm_T - 1).abs().max() < 1e-2):  # float16 included; NaN is refused
        raise InputError(
            f"expected text embeddings of unit norm, got norms from {norm_T.min():.3g} to "
            f"{norm_T.max():.3g}. Divide each by its norm, as encode_pool does."
        )


def _check_numbers(
    moments: HeadMoments, maps_LHCE: Tensor, num_texts: int, rank: int | None, method: str
) -> None:
    if method not in get_args(Method):
        raise InputError(f"--method is {method!r}, expected {' or '.join(get_args(Method))}.")
    if num_texts < 1:
        raise InputError(f"--num_texts is {num_texts}, expected at least 1 text a head.")
    most = min(maps_LHCE.shape[-2:])
    if rank is not None and rank < 1:
        raise InputError(f"--rank is {rank}, expected at least 1, or none for all directions.")
    needed = most if rank is None else min(rank, most)
    if moments.count < needed:
        raise InputError(
            f"expected at least {needed} images, as many as the rank, got moments of "
            f"{moments.count}. Gather more images, or give a --rank of at most {moments.count}."
        )
