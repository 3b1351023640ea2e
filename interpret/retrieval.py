"""Nearest images by what one head contributes to their embeddings.

    raw        the inner product c_q . c_x, as in the paper
    centered   the cosine of c_q - mean and c_x - mean
    whitened   the cosine after every principal component has been scaled to variance 1

A contribution is c = y M, so all three are inner products of linear features of the codes, as wide
as a code: contributions are never built.

Shape letters: N images searched, B queries, C width of a code, E embedding width, R features of a
code, S images found.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple, get_args

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

from datamodules.errors import InputError
from interpret.head_space import head_space
from interpret.moments import HeadMoments

Likeness = Literal["raw", "centered", "whitened"]
_BLOCK = 16384  # images searched at a time
# Components below this share of the root mean square are what float32 towers have rounded.
_LEAST = 1e-5


class Nearest(NamedTuple):
    """Images most like each query, best first.

    Args:
        index_BS: their numbers, int64.
        score_BS: likeness, float64.
    """

    index_BS: Tensor
    score_BS: Tensor


@dataclass(frozen=True)
class HeadFeatures:
    """Features of a head's codes whose inner products are a likeness.

    Args:
        shift_C: taken off the codes.
        features_CR: code -> features, float64.
        is_unit: whether they are brought to unit norm.
    """

    shift_C: Tensor
    features_CR: Tensor
    is_unit: bool

    def __call__(self, codes_NC: Any) -> Tensor:
        """Features (N, R) of codes, a tensor or array of any precision."""
        if not isinstance(codes_NC, Tensor):
            codes_NC = torch.from_numpy(np.array(codes_NC))  # a copy: a map may be read-only
        features_NR: Tensor = (codes_NC.to(self.shift_C) - self.shift_C) @ self.features_CR
        return F.normalize(features_NR, dim=1) if self.is_unit else features_NR


@torch.no_grad()
def head_features(
    moments: HeadMoments, maps_LHCE: Tensor, layer: int, head: int, likeness: Likeness = "centered"
) -> HeadFeatures:
    """How the images of one head are compared.

    Args:
        moments: whose mean and covariance count, such as those of the images searched.
        maps_LHCE: the maps.
        layer: from 0; negative ones count from the last.
        head: from 0.
        likeness: see above. Whitened leaves out components below 1e-5 of the head's root mean
            square, which are rounding.

    Raises:
        InputError: if there is no such head or likeness, or the head is the same for all images.
    """
    if likeness not in get_args(Likeness):
        raise InputError(
            f"--likeness is {likeness!r}, expected one of {', '.join(get_args(Likeness))}."
        )
    layers, heads = maps_LHCE.shape[:2]
    if not (-layers <= layer < layers and 0 <= head < heads):
        raise InputError(
            f"expected a head of {layers} layers with {heads} heads, counted from 0, got layer "
            f"{layer}, head {head}."
        )
    number = layer % layers * heads + head
    space = head_space(moments, maps_LHCE, slice(number, number + 1))
    features_CQ, mean_C = space.triangle_GQC[0].T, moments.mean_LHC[layer, head]
    if likeness == "raw":
        return HeadFeatures(torch.zeros_like(mean_C), features_CQ, is_unit=False)
    if not space.variance_G[0] > 0:
        raise InputError(
            f"head {head} of layer {layer % layers} contributes the same to all images, so none is "
            "nearer than another. Choose another head, or --likeness raw."
        )
    if likeness == "whitened":
        value_Q, vector_QQ = torch.linalg.eigh(space.covariance_GQQ[0])
        kept = value_Q > _LEAST**2 * space.second_GQQ[0].trace()
        features_CQ = features_CQ @ (vector_QQ[:, kept] / value_Q[kept].sqrt())
    return HeadFeatures(mean_C, features_CQ, is_unit=True)


@torch.no_grad()
def nearest_images(query_BC: Any, codes_NC: Any, features: HeadFeatures, most: int = 10) -> Nearest:
    """The images most like each query; a query that is among them finds itself.

    Args:
        query_BC: codes of one head for the queries.
        codes_NC: its codes for the images searched: a tensor or array, memory-mapped ones included.
        features: of `head_features`.
        most: S, images to find; fewer if there are fewer.

    Raises:
        InputError: if widths differ, there are no images, or fewer than one is asked for.
    """
    width = len(features.shift_C)
    for what, codes in (("queries", query_BC), ("images", codes_NC)):
        if codes.ndim != 2 or codes.shape[1] != width or not len(codes):
            raise InputError(
                f"expected codes of shape ({what}, {width}), got {tuple(codes.shape)}. Take those "
                "of one head of the decomposition that the moments are of."
            )
    if most < 1:
        raise InputError(f"--most is {most}, expected at least 1 image.")
    query_BR = features(query_BC)
    index_BS = torch.empty(len(query_BR), 0, dtype=torch.int64, device=query_BR.device)
    score_BS = query_BR.new_empty(len(query_BR), 0)
    for start, block_NR in _blocks(codes_NC, features):
        new_BN = query_BR @ block_NR.T
        number_BN = torch.arange(start, start + len(block_NR), device=new_BN.device).expand(
            len(new_BN), -1
        )
        score_BN = torch.cat([score_BS, new_BN], 1)
        score_BS, place_BS = score_BN.topk(min(most, score_BN.shape[1]), dim=1)
        index_BS = torch.cat([index_BS, number_BN], 1).gather(1, place_BS)
    return Nearest(index_BS, score_BS)


def _blocks(codes_NC: Any, features: HeadFeatures) -> Iterator[tuple[int, Tensor]]:
    for start in range(0, len(codes_NC), _BLOCK):
        yield start, features(codes_NC[start : start + _BLOCK])
