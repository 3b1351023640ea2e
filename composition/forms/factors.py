"""Low-rank updates with scaled directions: the merged weight and the activation form.

Both are plain tensor expressions; autograd finds the coefficients' gradients through the scaled
factor alone, so that no dense update is ever kept. The merged weight with a gradient is the form
"contraction" of `choice`.

Shape letters: N tokens, I inputs, O outputs, R ranks, G groups of rows or columns (1 if whole).
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor

from composition.granularity import Side


def scale_factors(
    A_RI: Tensor, B_OR: Tensor, scales_GR: Tensor, side: Side
) -> tuple[Tensor, Tensor]:
    """Both factors, one of them times the coefficients: columns scale A, all else B."""
    if side == "columns":
        groups = A_RI.view(len(A_RI), len(scales_GR), -1)
        return (groups * scales_GR.T[:, :, None]).view_as(A_RI), B_OR
    if side == "rows":
        groups = B_OR.view(len(scales_GR), -1, B_OR.shape[1])
        return A_RI, (groups * scales_GR[:, None, :]).view_as(B_OR)
    return A_RI, B_OR * scales_GR


def merge_factors(
    weight_OI: Tensor,
    A_RI: Tensor,
    B_OR: Tensor,
    scales_GR: Tensor,
    side: Side,
    dtype: torch.dtype,
) -> Tensor:
    """W_0 + B diag(s) A, (O, I), in the given precision; the product is made in that precision."""
    a, b = scale_factors(A_RI, B_OR, scales_GR, side)
    if weight_OI.dtype == dtype == a.dtype:
        return torch.addmm(weight_OI, b, a)
    return (weight_OI + b.to(dtype) @ a.to(dtype)).to(dtype)


def add_activations(
    x_NI: Tensor,
    weight_OI: Tensor,
    bias_O: Tensor | None,
    A_RI: Tensor,
    B_OR: Tensor,
    scales_GR: Tensor,
    side: Side,
) -> Tensor:
    """W_0 x + b + B (s * (A x)), (N, O), in the precision of x."""
    dtype = x_NI.dtype
    base = F.linear(x_NI, weight_OI.to(dtype), None if bias_O is None else bias_O.to(dtype))
    if side == "whole":
        read_NR = F.linear(x_NI, A_RI.to(dtype)) * scales_GR
        return torch.addmm(base, read_NR.to(dtype), B_OR.to(dtype).T)
    a, b = scale_factors(A_RI, B_OR, scales_GR, side)
    return torch.addmm(base, F.linear(x_NI, a.to(dtype)), b.to(dtype).T)
