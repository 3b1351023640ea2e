"""The coefficients that keep several deltas true at once, in closed form.

    minimize over c:   f(c) = sum_t E_t || (sum_k c_k delta_k - w_t delta_t) x ||^2

x are the inputs of task t, one task for each delta that is to hold (w_t = 1) or to be undone
(w_t = -1). It is RegMean (Jin et al., ICLR 2023, https://arxiv.org/abs/2212.09849) with scaled
deltas in place of free weights: K unknowns a block, and the system

    [sum_t G^t] c = sum_t w_t G^t[:, t],      G^t_kl = <delta_k, delta_l> over the inputs of task t.

Where all tasks have equal moments, deltas are told apart by nothing: the solution is c = w / T for
T tasks, whatever the deltas are. So each task needs inputs of its own: its images, or, without any
data, the rows of its delta (`delta_moments`).

Errors of the weights of a block add up; f counts each as mean squared change of an output, summed
over outputs. Parameters without inputs (biases, gains, embeddings) count by their plain norm.

Shape letters: K deltas.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from composition.basis import Basis
from composition.coefficients import Named, Table, to_named
from composition.granularity import WHOLE, Granularity
from composition.solvers.moments import Moments
from composition.solvers.quadratic import Quadratic
from composition.solvers.updates import DenseUpdates, Target, Updates, updates_of
from datamodules.errors import InputError
from lightning_modules.tensors import first_five


@dataclass(frozen=True)
class Residual:
    """The squared error f of one block, or of all, at five updates of its weights.

    Args:
        block: name of the block.
        zero: of the base, c = 0.
        one: of the plain sum, c = 1.
        uniform: of the best single number for all deltas and blocks.
        solved: of the solution.
        floor: of the best update at all, weight by weight; for low-rank deltas, of the best B M A
            with their own stacked factors and a free M (core space).
    """

    block: str
    zero: float
    one: float
    uniform: float
    solved: float
    floor: float

    @property
    def gain(self) -> float:
        """How much lower the solution lies than the plain sum, as a share of the base's error."""
        return (self.one - self.solved) / self.zero if self.zero else 0.0

    @property
    def gap(self) -> float:
        """How much lower any update could get, as a share of the base's error."""
        return (self.solved - self.floor) / self.zero if self.zero else 0.0


@dataclass(frozen=True)
class LeastSquares:
    """The solution.

    Args:
        coefficients: {delta: {block: number}}, for `Composition.assign` at the same granularity;
            0 where a delta leaves a block alone.
        uniform: the best single number for all deltas and blocks.
        blocks: errors block by block.
        total: errors of all blocks together.
    """

    coefficients: Named = field(repr=False)
    uniform: float
    blocks: tuple[Residual, ...] = field(repr=False)
    total: Residual


def least_squares(
    basis: Basis,
    granularity: str = "block",
    *,
    moments: Mapping[str, Moments | None],
    targets: Mapping[str, float] | None = None,
    ridge: float = 0.0,
) -> LeastSquares:
    """Solve for the coefficients of all deltas, block by block.

    Args:
        basis: deltas and base.
        granularity: one that scales weights whole: global, layer, module, block or projection.
        moments: of each target's inputs: what `input_moments` returns for its images (or for shared
            ones, repeated), an entry of `delta_moments`, or None for C = 1.
        targets: delta -> 1 to keep what it does, -1 for the opposite, or any other multiple; all
            deltas with 1 by default. Deltas that are no target may help.
        ridge: pulls coefficients to 0, in units of the system's own diagonal; 0 or more.

    Raises:
        InputError: if the granularity cuts weights, a target is no delta, its moments are missing
            or are those of other deltas, or ridge is negative.
    """
    updates = updates_of(basis)
    wanted = dict.fromkeys(basis.names, 1.0) if targets is None else dict(targets)
    _check(basis, wanted, moments, updates)
    if not ridge >= 0:
        raise InputError(f"ridge is {ridge}, expected a number of at least 0.")
    sites = check_granularity(granularity).sites(basis.model, basis.weights)
    table = Table.of_sites(basis.names, sites)
    parts = {block: Quadratic.zero(len(basis.names)) for block in table.block_names}
    for weight, update in updates.items():
        given = [
            Target(basis.names.index(name), number, (moments[name] or {}).get(weight))
            for name, number in wanted.items()
        ]
        parts[sites[weight].blocks[0]].add(update, given)
    best = {block: part.solve(ridge) for block, part in parts.items()}
    curvature = sum(float(part.H_KK.sum()) for part in parts.values())
    uniform = sum(float(part.b_K.sum()) for part in parts.values()) / (curvature or 1.0)
    blocks = tuple(_residual(name, part, uniform, best[name]) for name, part in parts.items())
    return LeastSquares(
        to_named(table, torch.stack(list(best.values()), dim=1)), uniform, blocks, _sum(blocks)
    )


def _residual(block: str, part: Quadratic, uniform: float, best_K: torch.Tensor) -> Residual:
    one_K = torch.ones_like(best_K)
    zero, one, scaled, best = (part(c_K) for c_K in (0 * one_K, one_K, uniform * one_K, best_K))
    return Residual(block, zero, one, scaled, best, part.floor)


def _sum(blocks: tuple[Residual, ...]) -> Residual:
    names = ("zero", "one", "uniform", "solved", "floor")
    return Residual("all", *(sum(getattr(each, name) for each in blocks) for name in names))


def check_granularity(granularity: str) -> Granularity:
    """Parse a granularity.

    Raises:
        InputError: if it is unknown, or cuts weights.
    """
    parsed = Granularity.parse(granularity)
    if parsed.kind not in WHOLE:
        raise InputError(
            f"granularity is {granularity}, expected one that scales each weight of a delta as a "
            f"whole: {', '.join(WHOLE)}. Choose one of these, or learn finer coefficients."
        )
    return parsed


def _check(
    basis: Basis,
    targets: Mapping[str, float],
    moments: Mapping[str, Moments | None],
    updates: Mapping[str, Updates],
) -> None:
    known = ", ".join(basis.names)
    if unknown := [name for name in targets if name not in basis.names]:
        raise InputError(f"targets {first_five(unknown)} are no deltas; there are {known}.")
    if not any(targets.values()):
        raise InputError(f"expected at least one target, got none. Choose among {known}.")
    if missing := [name for name in targets if name not in moments]:
        raise InputError(
            f"expected moments of the inputs of each target, got none of {first_five(missing)}. "
            "Gather them with input_moments or delta_moments, or give None for C = 1."
        )
    sizes = {
        weight: each.width if isinstance(each, DenseUpdates) else len(each.directions)
        for weight, each in updates.items()
    }
    sizes = {weight: size for weight, size in sizes.items() if size}
    for name in targets:
        given = moments[name]
        if given is not None and {weight: len(each) for weight, each in given.items()} != sizes:
            raise InputError(
                f"the moments of {name!r} are those of another basis: expected {len(sizes)} of "
                f"this one's sizes. Gather them again, for these deltas: {known}."
            )
