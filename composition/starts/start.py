"""Where a fit of coefficients starts, and the plain sum that its scale is measured by."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Literal

import torch
from torch import Tensor

from composition.basis import Basis
from composition.coefficients import from_named
from composition.composed import Composition
from composition.granularity import Granularity
from composition.plan import Plan
from composition.solvers.least_squares import least_squares
from composition.solvers.moments import delta_moments
from datamodules.errors import InputError

Start = Literal["zero", "mean", "sum", "solved", "images", "gauss-newton"]
FROM_DATA = ("images", "gauss-newton")  # worked out by `from_data` when a fit begins


@torch.no_grad()
def start(
    composition: Composition, basis: Basis, kind: Start, arithmetic: Mapping[str, float]
) -> None:
    """Set the coefficients.

    Args:
        composition: what is to be fitted.
        basis: its deltas.
        kind: "zero", the base; "sum", what plain arithmetic makes of the deltas; "mean", that over
            their number; "solved", the data-free closed form of `least_squares` that keeps, or
            undoes, what the deltas do. Those that need data begin at the sum.
        arithmetic: delta -> its weight in the sum, see `Objective.arithmetic`.

    Raises:
        InputError: if "solved" is asked of a granularity that cuts weights; see `plain_sum`.
    """
    if kind == "zero":
        composition.coefficients.zero_()
        return
    if kind == "solved":
        moments = delta_moments(basis)
        solved = least_squares(
            basis, composition.granularity, moments=moments, targets=arithmetic
        ).coefficients
        composition.assign(solved)
        return
    share = 1 / len(basis.names) if kind == "mean" else 1.0
    composition.coefficients.copy_(share * plain_sum(composition, basis, arithmetic))


def plain_sum(composition: Composition, basis: Basis, arithmetic: Mapping[str, float]) -> Tensor:
    """The coefficients of a weighted sum of all deltas, of their shape and type.

    For granularity `spectral`, whose directions are shared, the nearest to the sum that these
    directions reach: its start is the mean over the deltas that change a module.

    Args:
        composition: whose coefficients are meant; they stay as they are.
        basis: its deltas.
        arithmetic: delta -> its weight, the same in all blocks.

    Raises:
        InputError: if directions are shared and the weights differ.
    """
    like = composition.coefficients.detach()
    kind = Granularity.parse(composition.granularity)
    if kind.kind != "spectral":
        rows = composition.named_coefficients().items()
        named = {delta: dict.fromkeys(row, arithmetic[delta]) for delta, row in rows}
        return from_named(composition.layout, named).to(like)
    if set(arithmetic.values()) != {1.0}:
        raise InputError(
            f"granularity {kind} has no coefficients of single deltas: its directions are shared. "
            "Choose another granularity, or --model.start zero, to take some deltas away."
        )
    plan = Plan.of(basis, kind)
    total = plan.start.clone()
    for name, places in plan.directions.items():
        total[places.flatten()] *= len(set(basis.factors[name].owner_R.tolist()))
    return total.to(like)
