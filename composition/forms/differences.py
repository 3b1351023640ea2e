"""Dense updates: merged in one pass, their coefficients' gradients contracted in one more.

    theta_g = theta_0g + sum_m c_gm T_gm        forward, one product a tensor
    dc_gm = <dtheta_g, T_gm>                    backward, one product a tensor

theta is what the model computes with, so its gradient is made once however often it is used, and no
graph ever runs over the M updates. Where these stay in host memory they pass one by one.
Partitions pass one by one too: each entry looks its coefficient up by the hash of `partition`.

Shape letters: M deltas that change the tensor, G groups of rows or columns (1 if whole), D entries
of a group or of a tensor, K parts.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import Tensor
from torch.autograd.function import once_differentiable

from composition.granularity import Side
from composition.partition import parts


def to_groups(tensor: Tensor, num_groups: int, side: Side) -> Tensor:
    """(G, D): the entries of each group of rows or columns together."""
    if side == "columns":
        return tensor.view(len(tensor), num_groups, -1).transpose(0, 1).reshape(num_groups, -1)
    return tensor.reshape(num_groups, -1)


def from_groups(grouped_GD: Tensor, like: Tensor, side: Side) -> Tensor:
    """The inverse of `to_groups`, in the shape of `like`."""
    if side == "columns":
        return grouped_GD.view(len(grouped_GD), len(like), -1).transpose(0, 1).reshape(like.shape)
    return grouped_GD.view(like.shape)


def merge_differences(theta: Tensor, updates_GMD: Tensor, scales_GM: Tensor, side: Side) -> Tensor:
    """Theta plus its scaled updates, in the precision of the updates.

    Args:
        theta: of any shape.
        updates_GMD: updates by groups, on theta's device, frozen.
        scales_GM: coefficients.
        side: how the groups lie in theta.
    """
    grouped = to_groups(theta, len(scales_GM), side).to(updates_GMD.dtype)
    merged = torch.baddbmm(grouped[:, None], scales_GM[:, None], updates_GMD)
    return from_groups(merged[:, 0], theta, side)


class _Streamed(torch.autograd.Function):
    """Updates are called for one by one, in both passes."""

    @staticmethod
    def forward(
        ctx: Any,
        theta: Tensor,
        scales_GM: Tensor,
        update: Callable[[int], Tensor],
        side: Side,
    ) -> Tensor:
        ctx.update, ctx.side, ctx.shape = update, side, scales_GM.shape
        num_groups, num_updates = scales_GM.shape
        merged = to_groups(theta, num_groups, side).to(scales_GM.dtype, copy=True)
        for m in range(num_updates):
            merged += scales_GM[:, m, None] * to_groups(update(m), num_groups, side)
        return from_groups(merged, theta, side)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        num_groups, num_updates = ctx.shape
        grouped = to_groups(grad, num_groups, ctx.side)
        products = [
            (grouped * to_groups(ctx.update(m), num_groups, ctx.side)).sum(1)
            for m in range(num_updates)
        ]
        return (grad if ctx.needs_input_grad[0] else None), torch.stack(products, 1), None, None


def stream_differences(
    theta: Tensor, update: Callable[[int], Tensor], scales_GM: Tensor, side: Side
) -> Tensor:
    """As `merge_differences`, for updates that are fetched one by one.

    Args:
        theta: of any shape.
        update: m -> update of theta's shape, on its device, in the precision of the coefficients.
        scales_GM: coefficients.
        side: how the groups lie in theta.
    """
    merged: Tensor = _Streamed.apply(theta, scales_GM, update, side)
    return merged


class _Partitioned(torch.autograd.Function):
    """Each entry has a part, each part and update a coefficient."""

    @staticmethod
    def forward(
        ctx: Any, theta: Tensor, scales_KM: Tensor, update: Callable[[int], Tensor], seed: int
    ) -> Tensor:
        ctx.update, ctx.seed, ctx.shape = update, seed, scales_KM.shape
        num_parts, num_updates = scales_KM.shape
        part_D = parts(seed, theta.numel(), num_parts, theta.device)
        merged = theta.flatten().to(scales_KM.dtype, copy=True)
        for m in range(num_updates):
            merged.addcmul_(scales_KM[:, m][part_D], update(m).flatten())
        return merged.view(theta.shape)

    @staticmethod
    @once_differentiable
    def backward(ctx: Any, grad: Tensor) -> tuple[Tensor | None, ...]:
        num_parts, num_updates = ctx.shape
        part_D = parts(ctx.seed, grad.numel(), num_parts, grad.device)
        # Many numbers end in few sums: float64 keeps them.
        sums = torch.zeros(ctx.shape, dtype=torch.float64, device=grad.device)
        for m in range(num_updates):
            products = (grad * ctx.update(m)).flatten().double()
            sums[:, m].index_add_(0, part_D, products)
        return (grad if ctx.needs_input_grad[0] else None), sums.to(grad.dtype), None, None


def merge_partitioned(
    theta: Tensor, update: Callable[[int], Tensor], scales_KM: Tensor, seed: int
) -> Tensor:
    """Theta plus its updates, each entry of each scaled by the coefficient of its part.

    Args:
        theta: of any shape.
        update: m -> update of theta's shape, on its device, in the precision of the coefficients.
        scales_KM: coefficients of parts and updates.
        seed: of the parts, see `composition.partition`.
    """
    merged: Tensor = _Partitioned.apply(theta, scales_KM, update, seed)
    return merged
