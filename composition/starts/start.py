"""Where a fit of coefficients starts, and the plain sum that its scale is measured by."""

from __future__ import annotations

from typing import Literal

import torch
from torch import Tensor

from composition.basis import Basis
from composition.composed import Composition
from composition.granularity import Granularity
from composition.plan import Plan
from composition.solvers.least_squares import least_squares
from composition.solvers.moments import delta_moments

Start = Literal["zero", "mean", "sum", "solved", "images", "gauss-newton"]
FROM_DATA = ("images", "gauss-newton")  # worked out by `data_start` when a fit begins


@torch.no_grad()
def start(composition: Composition, basis: Basis, kind: Start) -> None:
    """Set the coefficients.

    Args:
        composition: what is to be fitted.
        basis: its deltas.
        kind: "zero", the base; "mean" and "sum" of the deltas, see `plain_sum`; "solved", the
            data-free closed form of `least_squares` that keeps what every delta does. Those that
            need data begin at the sum.

    Raises:
        InputError: if "solved" is asked of a granularity that cuts weights.
    """
    if kind == "solved":
        moments = delta_moments(basis)
        composition.assign(
            least_squares(basis, composition.granularity, moments=moments).coefficients
        )
        return
    share = {"zero": 0.0, "mean": 1 / len(basis.names)}.get(kind, 1.0)
    composition.coefficients.copy_(share * plain_sum(composition, basis))


def plain_sum(composition: Composition, basis: Basis) -> Tensor:
    """The coefficients of the sum of all deltas, of their shape and type.

    Ones; for granularity `spectral`, whose directions are shared, the nearest to the sum that these
    directions reach: its start is the mean over the deltas that change a module.

    Args:
        composition: whose coefficients are meant; they stay as they are.
        basis: its deltas.
    """
    like = composition.coefficients.detach()
    kind = Granularity.parse(composition.granularity)
    if kind.kind != "spectral":
        return torch.ones_like(like)
    plan = Plan.of(basis, kind)
    total = plan.start.clone()
    for name, places in plan.directions.items():
        total[places.flatten()] *= len(set(basis.factors[name].owner_R.tolist()))
    return total.to(like)
