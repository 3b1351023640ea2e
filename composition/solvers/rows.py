"""Rows of the Jacobian for all images at once: one backward pass for each class.

Coefficients are shared by all images, so their own gradient is a sum over images. But an image's
part of it can be told from what passes each composed module: with y = W_0 x + B diag(s) A x,

    d logit_b / ds_r = sum over tokens n of image b of (dy_n B)_r (A x_n)_r

Shape letters: B images, V classes, N coefficients, L tokens of an image, I inputs, O outputs, R
ranks, G groups of rows or columns (1 if whole).
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any, NamedTuple, cast

import torch
from torch import Tensor, nn

from composition.composed import Composition
from composition.linear import ComposedLinear
from composition.terms import LowRank, StreamedLowRank
from composition.tower import Tower


class _Call(NamedTuple):
    """What passed a composed module: its inputs, its outputs, whose coefficients it used."""

    update: LowRank | StreamedLowRank
    places: Tensor
    x: Tensor
    y: Tensor


def rows_at_once(
    composition: Composition, logits: Callable[[Tensor], Tensor], images: Tensor
) -> Tensor | None:
    """The Jacobian (B, V, N) of all images, or None where images cannot be told apart.

    That is so if a composed weight is summed and not applied as factors, lies outside of the image
    tower, or sees something else than one row of tokens for each image.
    """
    visual = set(cast("nn.Module", composition.model.visual).modules())
    users = [user for tower in composition.towers for user in cast("Tower", tower).users]
    if not all(isinstance(user, ComposedLinear) and user in visual for user in users):
        return None
    calls: list[_Call] = []
    with torch.enable_grad(), _recorded(composition, calls):
        values_BV = logits(images)
    # Modules whose coefficients are kept have no graph.
    calls = [call for call in calls if call.y.requires_grad]
    if any(call.x.dim() < 2 or len(call.x) != len(images) for call in calls):
        return None
    num_coefficients = composition.coefficients.numel()
    rows_BVN = composition.coefficients.new_zeros(*values_BV.shape, num_coefficients)
    if not calls or not values_BV.requires_grad:
        return rows_BVN
    outputs = [call.y for call in calls]
    for number, total in enumerate(values_BV.sum(0)):
        gradients = torch.autograd.grad(total, outputs, retain_graph=True, allow_unused=True)
        for call, gradient in zip(calls, gradients, strict=True):
            if gradient is not None:
                rows_BVN[:, number].index_add_(1, call.places, _by_image(call, gradient))
    return rows_BVN


def _by_image(call: _Call, gradient: Tensor) -> Tensor:
    """Gradients of a module's coefficients (B, G R), image by image."""
    a_RI, b_OR = call.update.A_RI, call.update.B_OR
    groups = len(call.places) // len(a_RI)
    rows, columns = (groups if call.update.side == side else 1 for side in ("rows", "columns"))
    x_BLGI = _grouped(call.x.detach(), columns).to(a_RI.dtype)
    y_BLGO = _grouped(gradient, rows).to(b_OR.dtype)
    read = torch.einsum("blgi,rgi->blgr", x_BLGI, a_RI.view(len(a_RI), columns, -1))
    written = torch.einsum("blgo,gor->blgr", y_BLGO, b_OR.view(rows, -1, len(a_RI)))
    return (read * written).sum(1).flatten(1)


def _grouped(x: Tensor, groups: int) -> Tensor:
    """(B, ..., I) -> (B, L, G, I / G)."""
    return x.reshape(len(x), -1, groups, x.shape[-1] // groups)


@contextmanager
def _recorded(composition: Composition, calls: list[_Call]) -> Iterator[None]:
    hooks: list[Any] = []
    for tower in cast("list[Tower]", list(composition.towers)):
        parts = torch.split(tower.places.detach(), tower.sizes)
        for user, places in zip(tower.users, parts, strict=True):
            assert isinstance(user, ComposedLinear)
            hooks.append(user.register_forward_hook(partial(_record, calls, user.held[0], places)))
    try:
        yield
    finally:
        for hook in hooks:
            hook.remove()


def _record(
    calls: list[_Call],
    update: LowRank | StreamedLowRank,
    places: Tensor,
    module: nn.Module,
    inputs: tuple[Tensor],
    output: Tensor,
) -> None:
    calls.append(_Call(update, places, inputs[0], output))
