"""A merged weight in the forward pass, factors in the backward pass: the form "factored".

    y = x W^T + b,  W = W_0 + B diag(s) A          forward, W without a graph
    dX = dY W                                      only if x needs a gradient
    ds_r = sum_n (dY B)_nr Z_nr,  Z = X A^T        whole
    ds_gr = sum_{o in g} B_or (dY^T Z)_or          by groups of rows
    ds_rg = sum_{i in g} A_ri ((dY B)^T X)_ri      by groups of columns

Neither the weight's gradient nor any dense update is made. Kept for the backward pass are Z
instead of X (X by columns), and W. Coefficients' gradients are summed in their own precision,
float32 also where the products run in bfloat16.

Shape letters: N tokens, I inputs, O outputs, R ranks, G groups (1 if whole).
"""

from __future__ import annotations

from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor
from torch.autograd.function import once_differentiable

from composition.forms.factors import merge_factors
from composition.granularity import Side


class _Factored(torch.autograd.Function):
    """See the module. All matrices are taken to the precision of x."""

    @staticmethod
    def forward(
        ctx: Any,
        x_NI: Tensor,
        scales_GR: Tensor,
        bias_O: Tensor | None,
        weight_OI: Tensor,
        A_RI: Tensor,
        B_OR: Tensor,
        side: Side,
    ) -> Tensor:
        dtype = x_NI.dtype
        merged_OI = merge_factors(weight_OI, A_RI, B_OR, scales_GR, side, dtype)
        seen = x_NI if side == "columns" else x_NI @ A_RI.to(dtype).T
        ctx.side = side
        ctx.num_groups = len(scales_GR)
        kept = merged_OI if ctx.needs_input_grad[0] else None
        ctx.save_for_backward(seen, kept, B_OR, A_RI if side == "columns" else None)
        return F.linear(x_NI, merged_OI, None if bias_O is None else bias_O.to(dtype))

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_NO: Tensor) -> tuple[Tensor | None, ...]:
        seen, merged_OI, B_OR, A_RI = ctx.saved_tensors
        needs_x, needs_scales, needs_bias, *_ = ctx.needs_input_grad
        grad_x = grad_NO @ merged_OI if needs_x else None
        grad_bias = grad_NO.sum(0) if needs_bias else None
        grad_scales = None
        if needs_scales:
            grad_scales = _scales_gradient(grad_NO, seen, A_RI, B_OR, ctx.side, ctx.num_groups)
        return grad_x, grad_scales, grad_bias, None, None, None, None


def _scales_gradient(
    grad_NO: Tensor, seen: Tensor, A_RI: Tensor | None, B_OR: Tensor, side: Side, num_groups: int
) -> Tensor:
    """Gradient of the coefficients, (G, R); `seen` is X A^T (N, R), or X (N, I) by columns."""
    exact = B_OR.dtype
    if side == "rows":
        moved_OR = B_OR * (grad_NO.T @ seen).to(exact)
        return moved_OR.view(num_groups, -1, B_OR.shape[1]).sum(1)
    written_NR = grad_NO @ B_OR.to(grad_NO.dtype)
    if A_RI is None:
        return (written_NR.to(exact) * seen.to(exact)).sum(0, keepdim=True)
    moved_RI = A_RI * (written_NR.T @ seen).to(exact)
    return moved_RI.view(len(A_RI), num_groups, -1).sum(2).T


def factored_linear(
    x_NI: Tensor,
    weight_OI: Tensor,
    bias_O: Tensor | None,
    A_RI: Tensor,
    B_OR: Tensor,
    scales_GR: Tensor,
    side: Side,
) -> Tensor:
    """Outputs x W^T + b, (N, O), with gradients for x, the bias and the coefficients.

    Args:
        x_NI: tokens, in the precision to compute in.
        weight_OI: the base's weight, frozen.
        bias_O: or None.
        A_RI: stacked factors, frozen, in float32 or finer.
        B_OR: likewise.
        scales_GR: coefficients of the directions, in the precision of the factors.
        side: "whole", "rows" or "columns".
    """
    y: Tensor = _Factored.apply(x_NI, scales_GR, bias_O, weight_OI, A_RI, B_OR, side)
    return y
