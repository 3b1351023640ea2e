"""Coefficients by name, and where each composed weight finds its own.

They are one tensor: a table (K, P) of deltas and blocks, or a flat list where directions are scaled
one by one. `rank`: the directions of the first module, delta by delta, then those of the next one.
`spectral`: the shared directions of the first module, then those of the next one; they belong to no
delta and go by the name "shared".

Shape letters: K deltas, P blocks, G groups of one weight, R directions of one module, M deltas that
change one weight.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from composition.granularity import Site
from datamodules.errors import InputError
from lightning_modules.tensors import first_five

SHARED = "shared"
Named = dict[str, dict[str, float]]


@dataclass(frozen=True)
class Table:
    """A coefficient for each delta and block.

    Args:
        delta_names: in the order of rows.
        block_names: in the order of columns.
    """

    delta_names: tuple[str, ...]
    block_names: tuple[str, ...]

    @classmethod
    def of_sites(cls, delta_names: Sequence[str], sites: Mapping[str, Site]) -> Table:
        """The table of all blocks of some weights, each block once, in the weights' order."""
        blocks = dict.fromkeys(block for site in sites.values() for block in site.blocks)
        return cls(tuple(delta_names), tuple(blocks))

    @property
    def shape(self) -> tuple[int, ...]:
        """(K, P)."""
        return len(self.delta_names), len(self.block_names)

    @property
    def entries(self) -> list[tuple[str, str]]:
        """Delta and block of each coefficient, row by row."""
        return [(delta, block) for delta in self.delta_names for block in self.block_names]

    def places(self, site: Site, owner_M: Tensor) -> Tensor:
        """Where a weight's coefficients lie in the flattened table, int64 (G, M).

        Args:
            site: how the weight is cut in G groups.
            owner_M: number of the delta of each update or direction.
        """
        columns = {block: column for column, block in enumerate(self.block_names)}
        column_G = torch.tensor([columns[block] for block in site.blocks])
        return owner_M[None, :] * len(self.block_names) + column_G[:, None]


@dataclass(frozen=True)
class Listing:
    """A coefficient for each direction of each module.

    Args:
        entries: delta (or `SHARED`) and name of each direction.
    """

    entries: list[tuple[str, str]]

    @classmethod
    def of_directions(
        cls, delta_names: Sequence[str], owners: Mapping[str, Tensor]
    ) -> tuple[Listing, dict[str, Tensor]]:
        """The listing, and for each module where its directions lie in it, int64 (1, R).

        Args:
            delta_names: of the deltas.
            owners: module -> owner of each of its directions, -1 for nobody.
        """
        entries: list[tuple[str, str]] = []
        places = {}
        for name, owner_R in owners.items():
            places[name] = torch.arange(len(entries), len(entries) + len(owner_R))[None]
            seen: dict[int, int] = {}
            for owner in owner_R.tolist():
                number = seen[owner] = seen.get(owner, -1) + 1
                delta = SHARED if owner < 0 else delta_names[owner]
                entries.append((delta, f"{name}.weight.rank.{number}"))
        return cls(entries), places

    @property
    def shape(self) -> tuple[int, ...]:
        """(number of directions,)."""
        return (len(self.entries),)

    @property
    def block_names(self) -> tuple[str, ...]:
        """Names of the directions, each once."""
        return tuple(dict.fromkeys(block for _, block in self.entries))


def to_named(layout: Table | Listing, values: Tensor) -> Named:
    """Coefficients of the layout's shape -> {delta: {block: value}}."""
    named: Named = {}
    for (delta, block), value in zip(layout.entries, values.flatten().tolist(), strict=True):
        named.setdefault(delta, {})[block] = value
    return named


def from_named(layout: Table | Listing, named: Mapping[str, Mapping[str, float]]) -> Tensor:
    """The inverse of `to_named`, in float64.

    Raises:
        InputError: if a delta or block is missing or unknown, or a number is not finite.
    """
    expected = layout.entries
    got = {(delta, block): value for delta, row in named.items() for block, value in row.items()}
    known = set(expected)
    missing = [_label(entry) for entry in expected if entry not in got]
    unknown = [_label(entry) for entry in got if entry not in known]
    if missing or unknown:
        raise InputError(
            f"coefficients do not fit: missing {len(missing)}: {first_five(missing) or 'none'}; "
            f"unknown {len(unknown)}: {first_five(unknown) or 'none'}. Expected one for each of "
            f"{len(expected)} pairs of delta and block: use those of equal deltas and granularity."
        )
    if bad := [_label(entry) for entry in expected if not math.isfinite(got[entry])]:
        raise InputError(
            f"{len(bad)} coefficients are NaN or infinite: {first_five(bad)}. Expected finite "
            "numbers: if they were learned, learn them again with a smaller learning rate."
        )
    values = torch.tensor([got[entry] for entry in expected], dtype=torch.float64)
    return values.view(layout.shape)


def _label(entry: tuple[str, str]) -> str:
    return f"{entry[0]} / {entry[1]}"
