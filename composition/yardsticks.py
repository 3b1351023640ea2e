"""What learned coefficients are held against: ways to compose the same deltas without learning.

    base           no delta
    color alone    one delta as it was trained, for each of them
    sum, mean      all deltas, by 1 or by 1 / K
    negated        instead of these, the deltas of what is to be forgotten by -1
    best scale     the sum, or the negated, by one number, sought on validation splits to 0.05
    closed form    the data-free solution of `composition.solvers.least_squares`
    learned        the composition's own coefficients, last

Shape letters: K deltas.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field

import torch
from torch import Tensor

from composition.basis import Basis
from composition.coefficients import from_named
from composition.composed import Composition
from composition.solvers.least_squares import least_squares
from composition.solvers.moments import delta_moments
from composition.starts import plain_sum
from datamodules.errors import InputError

BASE, LEARNED = "base", "learned"
_UNIT = 20  # scales are multiples of 1 / 20
_STEPS = (4, 2, 1)  # of the search, in these units: the range by the first, then around the best
_USUAL, _HIGHEST = 40, 120  # 2.0, or as far as it goes on growing: 6.0 at most


@dataclass(frozen=True)
class Search:
    """The search for the best scale.

    Args:
        scale: the best of the tried ones; of equal ones the smallest; NaN if none was tried.
        curve: each tried scale and its score, by scale.
    """

    scale: float
    curve: tuple[tuple[float, float], ...] = field(repr=False)


@dataclass(frozen=True)
class Yardsticks:
    """Coefficients of one composition.

    Args:
        models: name -> coefficients, of the composition's own shape; the base first, the learned
            ones last.
        chosen_on: name -> what chose the coefficients: "no data", or "labelled validation".
        search: for the best scale.
        left_out: name -> why this composition has no such yardstick.
    """

    models: dict[str, Tensor] = field(repr=False)
    chosen_on: dict[str, str]
    search: Search
    left_out: dict[str, str]


def yardsticks(
    composition: Composition,
    basis: Basis,
    score: Callable[[], float],
    arithmetic: Mapping[str, float],
) -> Yardsticks:
    """Work them all out; the composition has its own coefficients again when this returns.

    Args:
        composition: as it was learned.
        basis: its deltas.
        score: how good the composition is as it is then, on validation images; more is better.
        arithmetic: delta -> what plain arithmetic multiplies it by: 1 for all, or -1 for what is to
            be forgotten and 0 for the others.
    """
    learned = composition.coefficients.detach().clone()
    models: dict[str, Tensor] = {BASE: torch.zeros_like(learned)}
    left_out: dict[str, str] = {}
    with restored(composition):
        for name in basis.names:
            try:
                composition.one_hot(name)
            except InputError as error:
                left_out[f"{name} alone"] = str(error)
                continue
            models[f"{name} alone"] = composition.coefficients.detach().clone()
        search = Search(math.nan, ())
        try:
            total = plain_sum(composition, basis, arithmetic)
        except InputError as error:
            left_out |= dict.fromkeys(("negated", "best scale"), str(error))
        else:
            if min(arithmetic.values()) < 0:
                models["negated"] = total
            elif len(basis.names) > 1:
                models |= {"sum": total, "mean": total / len(basis.names)}
            else:
                left_out |= dict.fromkeys(("sum", "mean"), "there is one delta")
            search = _search(composition, total, score)
            models["best scale"] = search.scale * total
    try:
        moments = delta_moments(basis)
        solved = least_squares(
            basis, composition.granularity, moments=moments, targets=arithmetic
        ).coefficients
        models["closed form"] = from_named(composition.layout, solved).to(total)
    except InputError as error:
        left_out["closed form"] = str(error)
    chosen_on = dict.fromkeys(models, "no data") | {"best scale": "labelled validation"}
    return Yardsticks(models | {LEARNED: learned}, chosen_on, search, left_out)


@contextmanager
def restored(composition: Composition) -> Iterator[None]:
    """Afterwards the coefficients are what they were before."""
    kept = composition.coefficients.detach().clone()
    try:
        yield
    finally:
        assign(composition, kept)


@torch.no_grad()
def assign(composition: Composition, coefficients: Tensor) -> None:
    """Set the coefficients, of the composition's own shape."""
    composition.coefficients.copy_(coefficients)


def _search(composition: Composition, total: Tensor, score: Callable[[], float]) -> Search:
    """The usual range in coarse steps, on while its end is best, then around the best finely."""
    found: dict[int, float] = {}

    def best() -> int:
        known = {number: each for number, each in found.items() if not math.isnan(each)} or found
        return max(sorted(known), key=known.__getitem__)

    def attempt(number: int) -> None:
        if 1 <= number <= _HIGHEST and number not in found:
            assign(composition, number / _UNIT * total)
            found[number] = score()

    coarse, *finer = _STEPS
    for number in range(coarse, _USUAL + 1, coarse):
        attempt(number)
    while best() == max(found) < _HIGHEST:
        attempt(max(found) + coarse)
    for step in finer:
        middle = best()
        attempt(middle - step)
        attempt(middle + step)
    curve = tuple((number / _UNIT, found[number]) for number in sorted(found))
    return Search(best() / _UNIT, curve)
