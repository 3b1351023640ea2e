"""The matrix and offset of any affine module, whatever it is built of."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Affine:
    """`x -> x @ weight.T + bias`.

    Args:
        weight: (outputs, inputs).
        bias: (outputs,).
    """

    weight: Tensor
    bias: Tensor


def identity(width: int, like: Tensor) -> Affine:
    """The map that changes nothing, with dtype and device of `like`."""
    eye = torch.eye(width, dtype=like.dtype, device=like.device)
    return Affine(eye, torch.zeros_like(eye[0]))


def first_parameter(module: nn.Module) -> Tensor:
    """One of a module's parameters, for its dtype and device."""
    return next(module.parameters())


@torch.no_grad()
def affine_of(function: Callable[[Tensor], Tensor], width: int, like: Tensor) -> Affine:
    """Read an affine function off its answers on the unit vectors.

    A plain `nn.Linear` hands its own tensors over, without rounding. All else (adapters beside a
    weight, merged or not, composed weights, several maps in a row) is asked.

    Args:
        function: affine, in evaluation mode.
        width: of its inputs.
        like: dtype and device of its inputs.
    """
    if isinstance(function, nn.Linear) and _is_plain(function):
        weight, bias = function.weight.detach(), function.bias
        offset = weight.new_zeros(len(weight)) if bias is None else bias.detach()
        return Affine(weight, offset)
    with _unhooked(function):
        offset = function(torch.zeros(1, width, dtype=like.dtype, device=like.device))[0]
        columns = function(torch.eye(width, dtype=like.dtype, device=like.device))
    return Affine((columns - offset).T.contiguous(), offset)


def _is_plain(linear: nn.Linear) -> bool:
    """Whether the module computes with its own weight: no subclass's or instance's forward."""
    own = "forward" in vars(linear) or hasattr(linear, "parametrizations")
    return type(linear).forward is nn.Linear.forward and not own


@contextmanager
def _unhooked(function: Callable[[Tensor], Tensor]) -> Iterator[None]:
    """Without the forward hooks of the module itself: a question is no use of the model."""
    if not isinstance(function, nn.Module):
        yield
        return
    before, after = function._forward_pre_hooks.copy(), function._forward_hooks.copy()
    function._forward_pre_hooks.clear()
    function._forward_hooks.clear()
    try:
        yield
    finally:
        function._forward_pre_hooks.update(before)
        function._forward_hooks.update(after)
