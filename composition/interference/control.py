"""Deltas at random that have the strength of given ones: what there would be without any reason.

Low-rank deltas keep their singular values and get random singular vectors (uniform over all
orthonormal ones); so rank and norm stay, and spaces are random. Dense ones keep their norm and get
random entries.
"""

from __future__ import annotations

import zlib
from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from composition.basis import Basis, Differences, StackedFactors
from composition.interference.angles import singular


def random_like(basis: Basis, seed: int) -> Basis:
    """A basis of the same names, ranks and norms.

    Args:
        basis: the one to imitate.
        seed: each delta and weight has random numbers of its own, whatever its place.
    """
    return replace(
        basis,
        factors={
            name: _random_factors(stack, [_draw(seed, delta, name) for delta in basis.names])
            for name, stack in basis.factors.items()
        },
        differences={
            name: _random_differences(each, [_draw(seed, delta, name) for delta in basis.names])
            for name, each in basis.differences.items()
        },
    )


def joint(bases: Sequence[Basis], names: Sequence[str]) -> Basis:
    """All deltas of several bases of one model in one, basis by basis.

    Args:
        bases: that change the same weights.
        names: of all deltas, in that order.
    """
    first, size = bases[0], len(bases[0].names)
    factors = {}
    for name in first.factors:
        stacks = [basis.factors[name] for basis in bases]
        owners = [stack.owner_R + place * size for place, stack in enumerate(stacks)]
        factors[name] = StackedFactors(
            torch.cat([stack.A_RI for stack in stacks]),
            torch.cat([stack.B_OR for stack in stacks], dim=1),
            torch.cat(owners),
        )
    differences = {}
    for name in first.differences:
        each = [basis.differences[name] for basis in bases]
        numbers = [owner + i * size for i, one in enumerate(each) for owner in one.owner]
        tensors = [tensor for one in each for tensor in one.tensors]
        differences[name] = Differences(tuple(numbers), tuple(tensors))
    return Basis(first.model, tuple(names), factors, differences)


def _random_factors(stack: StackedFactors, draws: Sequence[torch.Generator]) -> StackedFactors:
    a_RI, b_OR = torch.zeros_like(stack.A_RI), torch.zeros_like(stack.B_OR)
    for owner in dict.fromkeys(stack.owner_R.tolist()):
        values = singular(stack, owner).values
        left = _orthonormal(len(b_OR), len(values), draws[owner])
        right = _orthonormal(a_RI.shape[1], len(values), draws[owner])
        # Directions that the delta has but does not use stay zero.
        places = (stack.owner_R == owner).nonzero()[: len(values), 0]
        a_RI[places] = right.T.to(a_RI)
        b_OR[:, places] = (left * values).to(b_OR)
    return StackedFactors(a_RI, b_OR, stack.owner_R)


def _random_differences(each: Differences, draws: Sequence[torch.Generator]) -> Differences:
    tensors = []
    for owner, tensor in zip(*each, strict=True):
        noise = torch.randn(tensor.shape, generator=draws[owner])
        noise *= float(tensor.norm()) / float(noise.norm())
        tensors.append(noise.to(tensor))
    return Differences(each.owner, tuple(tensors))


def _orthonormal(rows: int, columns: int, draw: torch.Generator) -> Tensor:
    """Uniform over all (rows, columns) with orthonormal columns, float64."""
    q, r = torch.linalg.qr(torch.randn(rows, columns, generator=draw, dtype=torch.float64))
    uniform: Tensor = q * r.diagonal().sign()
    return uniform


def _draw(seed: int, delta: str, name: str) -> torch.Generator:
    return torch.Generator().manual_seed(zlib.crc32(f"{seed}\n{delta}\n{name}".encode()))
