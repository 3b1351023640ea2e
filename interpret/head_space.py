"""Orthonormal coordinates of what heads contribute, as wide as a code instead of the embedding.

    M^T = Q T (QR)   so   c = y M = Q x   with   x = T y

Lengths, angles and variances of c are those of x.

Shape letters: G heads, C width of a code, E embedding width, Q coordinates: the smaller of C and E.
"""

from __future__ import annotations

from typing import NamedTuple

import torch
from torch import Tensor

from datamodules.errors import InputError
from interpret.moments import HeadMoments

# Of a variance, or 1e-6 of a length: codes in float32 tell no less from nothing, and eigenvalues in
# float64 are good to 1e-15 of the largest.
TOLERANCE = 1e-12


class HeadSpace(NamedTuple):
    """Moments of G heads in their own coordinates, float64.

    Args:
        basis_GEQ: Q, coordinates -> contribution.
        triangle_GQC: T, code -> coordinates.
        mean_GQ: mean coordinates.
        second_GQQ: mean of x x^T, not centered.
    """

    basis_GEQ: Tensor
    triangle_GQC: Tensor
    mean_GQ: Tensor
    second_GQQ: Tensor

    @property
    def covariance_GQQ(self) -> Tensor:
        """Covariance of the coordinates, over n."""
        return self.second_GQQ - self.mean_GQ[:, :, None] * self.mean_GQ[:, None]

    @property
    def variance_G(self) -> Tensor:
        """Total variance of the contributions; 0 where it is too little to be told from none."""
        total_G = _trace(self.covariance_GQQ)
        return torch.where(total_G > TOLERANCE * _trace(self.second_GQQ), total_G, 0.0)


def head_space(moments: HeadMoments, maps_LHCE: Tensor, heads: slice = slice(None)) -> HeadSpace:
    """The coordinates of some heads, counted through all layers: number layer * H + head.

    Args:
        moments: of the codes; all is computed on their device.
        maps_LHCE: the maps.
        heads: which; all by default.

    Raises:
        InputError: if moments and maps do not fit each other, or there are no images.
    """
    check_maps(moments, maps_LHCE)
    maps_GCE = maps_LHCE.flatten(0, 1)[heads].to(moments.sum_LHC)
    basis_GEQ, triangle_GQC = torch.linalg.qr(maps_GCE.mT)
    mean_GQ = (triangle_GQC @ moments.mean_LHC.flatten(0, 1)[heads, :, None])[..., 0]
    second_GCC = moments.square_LHCC.flatten(0, 1)[heads] / moments.count
    second_GQQ = triangle_GQC @ second_GCC @ triangle_GQC.mT
    return HeadSpace(basis_GEQ, triangle_GQC, mean_GQ, (second_GQQ + second_GQQ.mT) / 2)


def check_maps(moments: HeadMoments, maps_LHCE: Tensor) -> None:
    """Check that codes and maps can be of one model.

    Raises:
        InputError: if layers, heads or widths differ.
    """
    expected = tuple(moments.sum_LHC.shape)
    if maps_LHCE.ndim != 4 or maps_LHCE.shape[:3] != expected:
        raise InputError(
            f"expected maps of shape {expected} and the embedding width, as the moments are, got "
            f"{tuple(maps_LHCE.shape)}. Take maps and codes from one decomposition."
        )


def _trace(matrix_GQQ: Tensor) -> Tensor:
    return matrix_GQQ.diagonal(dim1=1, dim2=2).sum(-1)
