"""What coefficients a basis has at a granularity, and which of them each weight asks for."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import torch
from torch import Tensor

from composition.basis import Basis, StackedFactors
from composition.coefficients import Listing, Table
from composition.granularity import Granularity, Site
from composition.spectral import spectral_basis
from datamodules.errors import InputError
from lightning_modules.tensors import first_five


@dataclass(frozen=True)
class Plan:
    """Coefficients before any module is touched.

    Args:
        layout: of the coefficients.
        start: their first values, of the layout's shape.
        factors: module -> low-rank directions; those of the basis, or shared ones.
        sites: weight -> how coefficients cut it.
        directions: module -> flat numbers of its directions' coefficients, where each has its own.
    """

    layout: Table | Listing
    start: Tensor
    factors: Mapping[str, StackedFactors]
    sites: Mapping[str, Site]
    directions: Mapping[str, Tensor]

    @classmethod
    def of(cls, basis: Basis, granularity: Granularity) -> Plan:
        """Lay out the coefficients: zeros, or the closed-form start of a spectral basis.

        Raises:
            InputError: if directions are to be scaled and some deltas are dense.
        """
        sites = granularity.sites(basis.model, basis.weights)
        if granularity.kind not in {"rank", "spectral"}:
            table = Table.of_sites(basis.names, sites)
            return cls(table, torch.zeros(table.shape), basis.factors, sites, {})
        _refuse_dense(basis, granularity)
        factors, starts = basis.factors, []
        if granularity.kind == "spectral":
            shared = {}
            for name, stack in basis.factors.items():
                shared[name], start = spectral_basis(stack, granularity.count, name)
                starts.append(start)
            factors = shared
        owners = {name: stack.owner_R for name, stack in factors.items()}
        listing, directions = Listing.of_directions(basis.names, owners)
        first = torch.cat(starts) if starts else torch.zeros(listing.shape)
        return cls(listing, first, factors, sites, directions)

    def places(self, weight: str, owner: Tensor) -> Tensor:
        """Flat numbers of a weight's coefficients, int64 (groups, updates).

        Args:
            weight: its name.
            owner: number of the delta of each update.
        """
        if isinstance(self.layout, Listing):
            return self.directions[weight.removesuffix(".weight")]
        return self.layout.places(self.sites[weight], owner)


def _refuse_dense(basis: Basis, granularity: Granularity) -> None:
    owners = {owner for each in basis.differences.values() for owner in each.owner}
    if names := [basis.names[owner] for owner in sorted(owners)]:
        raise InputError(
            f"granularity {granularity} scales low-rank directions, but {len(names)} deltas are "
            f"dense: {first_five(names)}. Choose another granularity, or LoRA deltas."
        )
