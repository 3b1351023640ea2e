"""How much one unit of each coefficient changes: weights, and what modules put out.

A coefficient alone says little: c * delta is the same with c twice as large and delta half. So it
is multiplied by the size of what it scales:

    norm      ||delta_block||_F                   the same for any input
    output    sqrt(sum of E ||delta_block x||^2)  over its weights, at the tokens x that they read

Shape letters: C coefficients, G groups of rows or columns, R directions, N tokens, I inputs, O
outputs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator
from contextlib import ExitStack
from functools import partial
from typing import Any

import torch
from torch import Tensor, nn

from composition import Composition
from composition.attachment import Part
from composition.forms.factors import scale_factors
from composition.linear import ComposedLinear
from datamodules.errors import InputError


@torch.no_grad()
def update_norms(composition: Composition) -> Tensor:
    """Frobenius norm of what each coefficient adds to all its weights at 1, (C,), float64.

    It is 0 for a coefficient that scales nothing.
    """
    square_C = torch.zeros(composition.coefficients.numel(), dtype=torch.float64)
    for part in composition.parts:
        for number, scales in _each(part):
            a, b = _factors(part, scales)
            square = b.square().sum() if a is None else ((b.T @ b) * (a @ a.T)).sum()
            square_C[number] += float(square.clamp_min(0))
    return square_C.sqrt()


@torch.no_grad()
def output_sizes(composition: Composition, batches: Iterable[Tensor]) -> Tensor:
    """Root mean square of what each coefficient adds to outputs at 1, (C,), float64.

    Over all tokens that a module reads while the composed model embeds some images; squares are
    summed over the weights that share a coefficient. NaN where a weight is not that of a Linear
    module, whose update has no output of its own.

    Args:
        composition: with the coefficients at which modules are read.
        batches: preprocessed images.

    Raises:
        InputError: if there is no image.
    """
    square_C = torch.zeros(composition.coefficients.numel(), dtype=torch.float64)
    for part in composition.parts:
        if not _is_linear(part):
            square_C[part.places.cpu()] = float("nan")
    tokens = dict.fromkeys((part.weight for part in composition.parts), 0)
    sums = {weight: torch.zeros_like(square_C) for weight in tokens}

    def see(part: Part, _: nn.Module, inputs: tuple[Any, ...]) -> None:
        x_NI = inputs[0].reshape(-1, inputs[0].shape[-1])
        tokens[part.weight] += len(x_NI)
        for number, scales in _each(part):
            sums[part.weight][number] += _square(x_NI, *_factors(part, scales))

    seen = 0
    with ExitStack() as stack:
        for part in composition.parts:
            if _is_linear(part):
                hook = _module(part).register_forward_pre_hook(partial(see, part))
                stack.callback(hook.remove)
        for batch in batches:
            seen += len(batch)
            composition.encode_image(batch)
    if not seen:
        raise InputError("expected images to run the composition on, got none.")
    for weight, total_C in sums.items():
        square_C += total_C / max(tokens[weight], 1)
    return square_C.sqrt()


def _square(x_NI: Tensor, a: Tensor | None, b: Tensor) -> float:
    """Sum over tokens of ||b a x||^2, or of ||b x||^2 without a."""
    x_NI = x_NI.double()
    if a is None:
        return float((x_NI @ b.T).square().sum())
    read_NR = x_NI @ a.T
    return float(((read_NR.T @ read_NR) * (b.T @ b)).sum())


def _each(part: Part) -> Iterator[tuple[int, Tensor]]:
    """The coefficients of a weight, each with the scales that it alone gives, flat."""
    places = part.places.cpu()
    for number in sorted(set(places.tolist())):
        yield number, (places == number).double()


def _factors(part: Part, scales: Tensor) -> tuple[Tensor | None, Tensor]:
    """An update as A (R, I) and B (O, R), float64, or None and the update itself."""
    user = part.user
    if isinstance(user, ComposedLinear):
        (update,) = user.held
        scales_GR = scales.to(user.weight.device).view(-1, update.rank)
        used_R = scales_GR.any(dim=0)
        a_RI, b_OR = update.A_RI[used_R].double(), update.B_OR[:, used_R].double()
        return scale_factors(a_RI, b_OR, scales_GR[:, used_R], update.side)
    base = user.base
    total = torch.zeros_like(base, dtype=torch.promote_types(base.dtype, torch.float32))
    pieces = torch.split(scales.to(total), [rows * columns for _, (rows, columns) in user.terms])
    for (term, shape), piece in zip(user.terms, pieces, strict=True):
        add: Callable[[Tensor, Tensor], Tensor] = term
        total = add(total, piece.view(shape))
    return None, total.double()


def _module(part: Part) -> nn.Module:
    return part.user if isinstance(part.user, ComposedLinear) else part.user.module


def _is_linear(part: Part) -> bool:
    return isinstance(_module(part), nn.Linear) and part.weight.endswith(".weight")
