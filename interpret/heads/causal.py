"""Are head roles true? An attribute's heads are ablated, and all attributes are asked again.

    matrix[a, b] = accuracy lost in attribute b without the heads of attribute a

Roles are confirmed if the diagonal is large: `dominance` is its mean less that of all else. It is
compared with the same heads handed to the wrong attributes, and with random heads.

Shape letters: A attributes.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Collection, Mapping, Sequence
from dataclasses import dataclass
from itertools import permutations

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from interpret.parts import Part

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Effect = Callable[[Collection[Part]], Sequence[float] | Floats]  # heads -> loss in each attribute

_EXACT = 5040  # permutations that are all tried: those of up to 7 attributes
_SAMPLED = 2000  # permutations or random matrices, where not all are tried
_EPS = 1e-12  # equal but for rounding


@dataclass(frozen=True)
class Confirmation:
    """The matrix and how sure its diagonal is.

    Args:
        attributes: rows and columns, in this order.
        heads: attribute -> the heads that were ablated.
        matrix: losses in accuracy, in shares; row = whose heads, column = what was asked.
        standardized: whether columns had their mean taken away and were divided by their deviation
            before dominance was computed.
        dominance: mean of the diagonal less the mean of all else.
        diagonal_is_largest: attribute -> whether its own heads cost it most.
        p_permutation: share of the ways to hand these sets of heads to attributes that give as much
            dominance or more; at least 1 / A!.
        p_random: share of matrices of random heads, of equal numbers, that do; the found one counts
            as one of them. At least 1 / (1 + num_sets), however many matrices the sets make.
        random_loss: mean loss in each attribute by random heads.
        num_sets: random sets of heads of each size that were ablated.
    """

    attributes: tuple[str, ...]
    heads: dict[str, tuple[Part, ...]]
    matrix: tuple[tuple[float, ...], ...]
    standardized: bool
    dominance: float
    diagonal_is_largest: dict[str, bool]
    p_permutation: float
    p_random: float
    random_loss: tuple[float, ...]
    num_sets: int


def dominance(matrix_AA: Floats, *, standardize: bool = False) -> float:
    """Mean of the diagonal less the mean of all else.

    Args:
        matrix_AA: at least 2 x 2.
        standardize: bring the columns to mean 0 and deviation 1 first, so that an attribute that is
            easily hurt counts no more than others; a constant column becomes 0.
    """
    count = len(matrix_AA)
    if standardize:
        spread_A = matrix_AA.std(axis=0)
        matrix_AA = (matrix_AA - matrix_AA.mean(axis=0)) / np.where(spread_A > 0, spread_A, 1)
    diagonal = np.trace(matrix_AA)
    return float(diagonal / count - (matrix_AA.sum() - diagonal) / (count * (count - 1)))


def confirm(
    heads: Mapping[str, Sequence[Part]],
    effect: Effect,
    candidates: Sequence[Part],
    *,
    standardize: bool = True,
    num_sets: int = 100,
    seed: int = 0,
) -> Confirmation:
    """Ablate the heads of every attribute in turn.

    Args:
        heads: attribute -> its heads, found on other images than those that `effect` asks.
        effect: heads -> accuracy lost in every attribute, in the same order; a direct effect
            (`interpret.ablate.drops`) or a total one.
        candidates: all heads that random ones are drawn from.
        standardize: see `dominance`.
        num_sets: random sets of heads of each size, at least as many as attributes; each costs a
            call of `effect`. Random matrices are drawn from their rows.
        seed: of the draws.

    Raises:
        InputError: if there are fewer than two attributes, one has no heads or more than there are
            candidates, or there are too few random sets.
    """
    names = tuple(heads)
    if len(names) < 2:
        raise InputError(f"expected heads of at least two attributes, got {len(names)}.")
    if wrong := [name for name in names if not 0 < len(set(heads[name])) <= len(candidates)]:
        raise InputError(
            f"expected 1 to {len(candidates)} heads of {wrong[0]}, got {len(set(heads[wrong[0]]))}."
        )
    if num_sets < len(names):
        raise InputError(f"expected at least {len(names)} random sets of heads, got {num_sets}.")
    matrix_AA = np.array([effect(heads[name]) for name in names], dtype=np.float64)
    found = dominance(matrix_AA, standardize=standardize)
    random = np.random.default_rng(seed)
    sizes = [len(set(heads[name])) for name in names]
    pools = {
        size: np.array([effect(_random_heads(random, candidates, size)) for _ in range(num_sets)])
        for size in sorted(set(sizes))
    }
    drawn = [random.choice(num_sets, len(names), replace=False) for _ in range(_SAMPLED)]
    as_large = sum(
        dominance(_drawn_rows(pools, sizes, draw), standardize=standardize) >= found - _EPS
        for draw in drawn
    )
    own = matrix_AA.argmax(axis=0) == np.arange(len(names))
    return Confirmation(
        names,
        {name: tuple(heads[name]) for name in names},
        tuple(tuple(row) for row in matrix_AA.tolist()),
        standardize,
        found,
        dict(zip(names, own.tolist(), strict=True)),
        _permuted(matrix_AA, random, standardize=standardize),
        max((1 + as_large) / (1 + _SAMPLED), 1 / (1 + num_sets)),  # rows of few sets are no more
        tuple(np.mean([pools[size].mean(axis=0) for size in sizes], axis=0).tolist()),
        num_sets,
    )


def _drawn_rows(pools: Mapping[int, Floats], sizes: Sequence[int], draw: Ints) -> Floats:
    """A matrix whose rows are of random heads, as many as each attribute has."""
    return np.stack([pools[size][number] for size, number in zip(sizes, draw, strict=True)])


def _permuted(matrix_AA: Floats, random: np.random.Generator, *, standardize: bool) -> float:
    """Share of row orders with as much dominance; the given order is one of them."""
    count, found = len(matrix_AA), dominance(matrix_AA, standardize=standardize)
    if math.factorial(count) <= _EXACT:
        orders = [list(order) for order in permutations(range(count))]
    else:
        orders = [list(range(count))]
        orders += [random.permutation(count).tolist() for _ in range(_SAMPLED)]
    values = np.array([dominance(matrix_AA[order], standardize=standardize) for order in orders])
    return float((values >= found - _EPS).mean())


def _random_heads(
    random: np.random.Generator, candidates: Sequence[Part], count: int
) -> list[Part]:
    return [candidates[n] for n in random.choice(len(candidates), size=count, replace=False)]
