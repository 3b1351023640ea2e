"""Updates of one weight by all deltas, read where the deltas keep them: in memory or in files.

Nothing is kept here. Who asks twice reads twice, and who keeps a module's factors holds them once,
however many compositions and solvers share the deltas.

Shape letters: R ranks of all deltas together, I inputs, O outputs of a Linear module.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import NamedTuple, overload

import torch
from torch import Tensor, nn

from lightning_modules.delta import Delta
from lightning_modules.stored_tensors import StoredTensors


class StackedFactors(NamedTuple):
    """The rank-1 directions of all deltas in one Linear module, delta by delta.

    In the precision of the module or of the factors, whichever is finer, and at least float32.

    Args:
        A_RI: what the directions read.
        B_OR: what they write, times each delta's scale.
        owner_R: number of the delta that each direction belongs to, ascending.
    """

    A_RI: Tensor
    B_OR: Tensor
    owner_R: Tensor


@dataclass(frozen=True)
class Directions:
    """The directions of one Linear module, not read yet.

    Args:
        name: of the module.
        deltas: all of them.
        members: numbers of those that change the module, ascending, each with its rank there.
        dtype: to read them in.
    """

    name: str
    deltas: Sequence[Delta]
    members: tuple[tuple[int, int], ...]
    dtype: torch.dtype

    @property
    def owner_R(self) -> Tensor:
        """Number of the delta of each direction."""
        owners, ranks = zip(*self.members, strict=True)
        return torch.tensor(owners).repeat_interleave(torch.tensor(ranks))

    @torch.no_grad()
    def read(self, first: int = 0, last: int | None = None) -> StackedFactors:
        """Stack the members from `first` on, up to `last`; all by default.

        Beside the stack there is one delta's pair of factors in memory at a time.
        """
        own = Directions(self.name, self.deltas, self.members[first:last], self.dtype)
        owner_R, stack, start = own.owner_R, None, 0
        for k, rank in own.members:
            a, b = self.deltas[k].factors[self.name]
            if stack is None:
                size = len(owner_R)
                stack = StackedFactors(
                    a.new_empty(size, a.shape[1], dtype=self.dtype),
                    b.new_empty(b.shape[0], size, dtype=self.dtype),
                    owner_R,
                )
            rows = slice(start, start + rank)
            stack.A_RI[rows].copy_(a)
            stack.B_OR[:, rows].copy_(b).mul_(self.deltas[k].scale(self.name))
            start += rank
        assert stack is not None
        return stack

    def pieces(self, most: int) -> Iterator[tuple[slice, StackedFactors]]:
        """All directions, up to `most` at a time, but no delta in two; and their places among R."""
        first = start = size = 0
        for place, (_, rank) in enumerate(self.members):
            if size and size + rank > most:
                yield slice(start, start + size), self.read(first, place)
                first, start, size = place, start + size, 0
            size += rank
        yield slice(start, start + size), self.read(first)


class Stacks(Mapping[str, StackedFactors]):
    """Linear module -> directions of all LoRA deltas, in the model's order; read when asked for.

    Args:
        deltas: LoRA and dense ones; their factors fit the modules.
        linears: Linear modules of the model by name.

    Attributes:
        directions: the same, not read yet.
    """

    def __init__(self, deltas: Sequence[Delta], linears: Mapping[str, nn.Linear]) -> None:
        members: dict[str, list[tuple[int, int]]] = {}
        dtypes: dict[str, torch.dtype] = {}
        for k, delta in enumerate(deltas):
            for name, (a, b) in delta.factors.items():
                dtype = dtypes.get(name, torch.promote_types(linears[name].weight.dtype, a.dtype))
                dtypes[name] = torch.promote_types(torch.promote_types(dtype, a.dtype), b.dtype)
                members.setdefault(name, []).append((k, len(a)))
        self.directions = {
            name: Directions(
                name,
                deltas,
                tuple(members[name]),
                torch.promote_types(dtypes[name], torch.float32),
            )
            for name in linears
            if name in members
        }

    def __getitem__(self, name: str) -> StackedFactors:
        return self.directions[name].read()

    def __iter__(self) -> Iterator[str]:
        return iter(self.directions)

    def __len__(self) -> int:
        return len(self.directions)

    def __contains__(self, name: object) -> bool:
        return name in self.directions


class Updates(Sequence[Tensor]):
    """The dense updates of one weight; those of deltas in memory are shared, not copied.

    Args:
        name: of the weight.
        deltas: those that change it.
    """

    def __init__(self, name: str, deltas: Sequence[Delta]) -> None:
        self.name = name
        self.deltas = tuple(deltas)

    @overload
    def __getitem__(self, place: int) -> Tensor: ...

    @overload
    def __getitem__(self, place: slice) -> Updates: ...

    def __getitem__(self, place: int | slice) -> Tensor | Updates:
        if isinstance(place, slice):
            return Updates(self.name, self.deltas[place])
        return self.deltas[place].differences[self.name].detach()

    def __len__(self) -> int:
        return len(self.deltas)

    def is_stored(self, place: int) -> bool:
        """Whether an update lies in a file, so that each read makes a new tensor."""
        return isinstance(self.deltas[place].differences, StoredTensors)
