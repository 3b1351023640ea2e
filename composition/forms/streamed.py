"""Low-rank updates whose factors pass piece by piece, in both passes: the form "streamed".

    W = W_0 + sum_p B_p diag(s_p) A_p                  forward, a piece after the other
    ds_gr = sum_{o in g} B_or (dW A^T)_or              backward, likewise; whole is one group
    ds_rg = sum_{i in g} A_ri (B^T dW)_ri              by groups of columns

As "contraction", but no factor is kept between the passes: memory does not grow with the number of
deltas. Each step reads all factors twice.

Shape letters: I inputs, O outputs, R ranks of all deltas together, G groups (1 if whole).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from composition.forms.factors import scale_factors
from composition.granularity import Side


class Piece(NamedTuple):
    """Some directions, on the weight's device and in the precision of the coefficients.

    Args:
        places: which of the R they are.
        A: rows of A_RI.
        B: columns of B_OR.
    """

    places: slice
    A: Tensor
    B: Tensor


class _Streamed(torch.autograd.Function):
    """See the module."""

    @staticmethod
    def forward(
        ctx: Any,
        weight_OI: Tensor,
        scales_GR: Tensor,
        pieces: Callable[[], Iterator[Piece]],
        side: Side,
    ) -> Tensor:
        ctx.pieces, ctx.side, ctx.shape = pieces, side, scales_GR.shape
        ctx.dtype = scales_GR.dtype
        merged_OI = weight_OI.to(scales_GR.dtype, copy=True)
        for places, a, b in pieces():
            a, b = scale_factors(a, b, scales_GR[:, places], side)
            merged_OI.addmm_(b, a)
        return merged_OI

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad_OI: Tensor) -> tuple[Tensor | None, ...]:
        scales_GR = grad_OI.new_empty(ctx.shape, dtype=ctx.dtype)
        groups = len(scales_GR)
        for places, a, b in ctx.pieces():
            if ctx.side == "columns":
                moved = (a * (b.T @ grad_OI)).view(len(a), groups, -1).sum(2).T
            else:
                moved = (b * (grad_OI @ a.T)).view(groups, -1, len(a)).sum(1)
            scales_GR[:, places] = moved
        return (grad_OI if ctx.needs_input_grad[0] else None), scales_GR, None, None


@torch.compiler.disable  # type: ignore[untyped-decorator]
def stream_factors(
    weight_OI: Tensor, pieces: Callable[[], Iterator[Piece]], scales_GR: Tensor, side: Side
) -> Tensor:
    """W_0 + B diag(s) A, (O, I), in the precision of the coefficients.

    Args:
        weight_OI: W_0.
        pieces: all directions, in order, as often as it is called.
        scales_GR: coefficients of the directions.
        side: "whole", "rows" or "columns".
    """
    merged: Tensor = _Streamed.apply(weight_OI, scales_GR, pieces, side)
    return merged
