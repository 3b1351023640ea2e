"""A composition as one ordinary delta: its coefficients folded into the factors.

    sum_k c_k s_k B_k A_k = [c_1 s_1 B_1, ...] [A_1; ...]

holds where a coefficient belongs to a direction, and as well where it belongs to a group of output
rows (then it scales rows of B) or of input columns (then columns of A). Else the delta is dense.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace

import torch
from torch import Tensor

from composition.attachment import Part
from composition.composed import Composition
from composition.forms.factors import scale_factors
from composition.linear import ComposedLinear
from composition.tensor import ComposedTensor
from lightning_modules.delta import Delta, DeltaCard, Factor
from lightning_modules.delta.factors import check_finite
from lightning_modules.tensors import first_five


def composed_delta(composition: Composition, card: DeltaCard) -> Delta:
    """What a composition adds to its base, with its coefficients as they are now.

    The result holds copies on the CPU: the composition may learn on, or be detached, as it must be
    before the delta is attached or applied to the same model.

    Args:
        composition: at any granularity.
        card: metadata, such as `CompositionCard.delta_card()`; kind and scale are set, and
            `protocol["towers"]` says which towers change.

    Returns:
        Kind "lora" with scale 1, without the directions that add nothing, if the composition is of
        low rank; else kind "dense".

    Raises:
        InputError: if a coefficient is NaN or infinite.
    """
    coefficients = composition.coefficients.detach().flatten()
    check_finite({"coefficients": coefficients}, f"the composition {card.attribute!r}")
    parts = composition.parts
    if why_not_low_rank(composition):
        differences = _dense(parts, coefficients)
        card = replace(card, kind="dense", scale=1.0, protocol=_protocol(card, differences))
        return Delta(card, differences=differences)
    factors = _low_rank(parts, coefficients)
    card = replace(card, kind="lora", scale=1.0, protocol=_protocol(card, factors))
    return Delta(card, factors=factors)


def why_not_low_rank(composition: Composition) -> str:
    """Why a composition has no exact low-rank form, half a sentence; "" if it has one."""
    if composition.granularity.startswith("partition"):
        return f"granularity {composition.granularity} scales the entries of a weight one by one"
    parts = composition.parts
    dense = [part.weight for part in parts if not isinstance(part.user, ComposedLinear)]
    return f"{len(dense)} weights have dense deltas: {first_five(dense)}" if dense else ""


def _low_rank(parts: Iterable[Part], coefficients: Tensor) -> dict[str, Factor]:
    """Module -> stacked factors without their zero directions, as far as any is left."""
    stacked = {}
    for part in parts:
        assert isinstance(part.user, ComposedLinear)
        (update,) = part.user.held
        scales_GR = _own(part, coefficients).view(-1, len(update.A_RI))
        a, b = scale_factors(update.A_RI, update.B_OR, scales_GR, update.side)
        stacked[part.weight.removesuffix(".weight")] = Factor(a.cpu(), b.cpu())
    adding = {name: _without_zeros(factor) for name, factor in stacked.items()}
    if kept := {name: factor for name, factor in adding.items() if len(factor.A)}:
        return kept
    # An adapter of no modules is none to PEFT: the base itself is one direction times zero.
    name, (a, b) = next(iter(stacked.items()))
    return {name: Factor(a[:1].clone(), torch.zeros_like(b[:, :1]))}


def _without_zeros(factor: Factor) -> Factor:
    adds = factor.A.any(dim=1) & factor.B.any(dim=0)
    return Factor(factor.A[adds], factor.B[:, adds].contiguous())


def _dense(parts: Iterable[Part], coefficients: Tensor) -> dict[str, Tensor]:
    """Weight -> update of its shape, for the weights that change."""
    differences = {part.weight: _update(part, coefficients).cpu() for part in parts}
    return {name: update for name, update in differences.items() if update.any()}


@torch.no_grad()
def _update(part: Part, coefficients: Tensor) -> Tensor:
    """What a part adds: its terms, summed from zero on."""
    scales, user = _own(part, coefficients), part.user
    if isinstance(user, ComposedTensor):
        terms, base = user.terms, user.base
    else:
        (update,) = user.held
        rank = len(update.A_RI)
        terms, base = ((update, (len(scales) // rank, rank)),), user.weight
    total = torch.zeros_like(base, dtype=scales.dtype)
    pieces = torch.split(scales, [rows * columns for _, (rows, columns) in terms])
    for (term, shape), piece in zip(terms, pieces, strict=True):
        total = term(total, piece.view(shape))
    return total


def _own(part: Part, coefficients: Tensor) -> Tensor:
    """The coefficients that a part asks for, flat."""
    return coefficients[part.places.to(coefficients.device)]


def _protocol(card: DeltaCard, changed: Iterable[str]) -> dict[str, object]:
    in_text = any(not name.startswith("visual.") for name in changed)
    return card.protocol | {"towers": "both" if in_text else "vision"}
