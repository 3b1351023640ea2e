"""A basis in which some weights have lost some deltas: what a budget leaves of it."""

from __future__ import annotations

import copy
from collections.abc import Collection, Mapping
from dataclasses import replace

from composition.basis import Basis, Differences, StackedFactors, Stacks, Updates
from datamodules.errors import InputError
from lightning_modules.tensors import first_five

Chosen = Mapping[str, Collection[str]]  # weight -> names of deltas


def reduced(basis: Basis, chosen: Chosen) -> Basis:
    """The basis with only some deltas in each weight; they stay where they are, unread.

    Args:
        basis: as it was.
        chosen: for each of its weights, names of deltas; nothing at all keeps the basis as it is.

    Returns:
        Deltas that lack weights which they had are its `partial` ones.

    Raises:
        InputError: if a weight is missing, or the deltas named are not those of the basis.
    """
    if not chosen:
        return basis
    missing = [weight for weight in basis.weights if weight not in chosen]
    strange = sorted({name for names in chosen.values() for name in names} ^ set(basis.names))
    if missing or strange:
        raise InputError(
            f"the chosen deltas do not fit: {len(missing)} weights are missing: "
            f"{first_five(missing) or 'none'}; deltas that are unknown or chosen nowhere: "
            f"{', '.join(strange) or 'none'}. Expected those of every weight of the same deltas: "
            "compose again."
        )
    lost = {
        k
        for weight in basis.weights
        for k in changing(basis, weight)
        if basis.names[k] not in chosen[weight]
    }
    return replace(
        basis,
        factors=_fewer_factors(basis, chosen),
        differences=_fewer_differences(basis, chosen),
        partial=basis.partial | {basis.names[k] for k in lost},
    )


def changing(basis: Basis, weight: str) -> list[int]:
    """Numbers of the deltas that change a weight, ascending."""
    owners: set[int] = set()
    name = weight.removesuffix(".weight")
    if name != weight and name in basis.factors:
        assert isinstance(basis.factors, Stacks)
        owners |= {k for k, _ in basis.factors.directions[name].members}
    if weight in basis.differences:
        owners |= set(basis.differences[weight].owner)
    return sorted(owners)


def _fewer_factors(basis: Basis, chosen: Chosen) -> Mapping[str, StackedFactors]:
    assert isinstance(basis.factors, Stacks)
    fewer = copy.copy(basis.factors)
    fewer.directions = {}
    for name, each in basis.factors.directions.items():
        own = chosen[f"{name}.weight"]
        members = tuple((k, rank) for k, rank in each.members if basis.names[k] in own)
        if members:
            fewer.directions[name] = replace(each, members=members)
    return fewer


def _fewer_differences(basis: Basis, chosen: Chosen) -> dict[str, Differences]:
    fewer = {}
    for weight, each in basis.differences.items():
        assert isinstance(each.tensors, Updates)
        pairs = zip(each.owner, each.tensors.deltas, strict=True)
        own = [(k, delta) for k, delta in pairs if basis.names[k] in chosen[weight]]
        if own:
            updates = Updates(weight, [delta for _, delta in own])
            fewer[weight] = Differences(tuple(k for k, _ in own), updates)
    return fewer
