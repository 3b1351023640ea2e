"""Where a fit of coefficients starts."""

from __future__ import annotations

from typing import Literal

from composition.basis import Basis
from composition.composed import Composition
from composition.solvers.least_squares import least_squares
from composition.solvers.moments import delta_moments

Start = Literal["zero", "mean", "sum", "solved", "own"]


def start(composition: Composition, basis: Basis, kind: Start) -> None:
    """Set the coefficients.

    Args:
        composition: what is to be fitted.
        basis: its deltas.
        kind: "zero", the base; "mean" and "sum" of the deltas, 1 / K and 1; "solved", the
            data-free closed form of `least_squares` that keeps what every delta does; "own", what
            the granularity itself proposes: zeros, or the closed form of `spectral`.

    Raises:
        InputError: if "solved" is asked of a granularity that cuts weights.
    """
    if kind == "zero":
        composition.zero()
    elif kind == "mean":
        composition.uniform(1 / len(basis.names))
    elif kind == "sum":
        composition.uniform(1.0)
    elif kind == "solved":
        moments = delta_moments(basis)
        composition.assign(
            least_squares(basis, composition.granularity, moments=moments).coefficients
        )
