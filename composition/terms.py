"""What is added to one parameter: low-rank or dense updates, each times its coefficients.

A term takes the tensor so far and its coefficients, and returns the sum in the coefficients'
precision. Updates are frozen parameters, so that they move with the model: not buffers, which
DistributedDataParallel sends around in every step. They share memory with what they are made of
where precision and device are the same. Streamed updates stay where the deltas keep them, in host
memory or in files, and move to the weight piece by piece, whatever its device is by then.

Shape letters: I inputs, O outputs, R ranks of all deltas together, G groups of rows or columns (1
if whole), K parts, M deltas that change the tensor, D entries of a group.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial

import torch
from torch import Tensor, nn

from composition.basis import Differences, Directions, StackedFactors, Updates
from composition.forms.differences import (
    merge_differences,
    merge_partitioned,
    stream_differences,
    to_groups,
)
from composition.forms.factors import merge_factors
from composition.forms.streamed import Piece, stream_factors
from composition.granularity import Side
from composition.partition import part_seed

_PIECE = 256  # streamed directions at a time: enough for a product that is not thin


class LowRank(nn.Module):
    """B diag(s) A with coefficients (G, R).

    Args:
        factors: of all deltas.
        like: the weight, for device and precision.
        side: how coefficients cut the weight.
    """

    def __init__(self, factors: StackedFactors, like: Tensor, side: Side) -> None:
        super().__init__()
        self.A_RI = _frozen(factors.A_RI, like)
        self.B_OR = _frozen(factors.B_OR, like)
        self.rank = len(factors.A_RI)
        self.side: Side = side

    def forward(self, theta: Tensor, scales_GR: Tensor) -> Tensor:
        """Theta plus the update, (O, I)."""
        return merge_factors(theta, self.A_RI, self.B_OR, scales_GR, self.side, scales_GR.dtype)


class StreamedLowRank(nn.Module):
    """As `LowRank`, with factors that stay where the deltas keep them.

    Args:
        directions: of all deltas.
        side: how coefficients cut the weight.
    """

    def __init__(self, directions: Directions, side: Side) -> None:
        super().__init__()
        self.directions = directions
        self.rank = sum(rank for _, rank in directions.members)
        self.side: Side = side

    @property
    def A_RI(self) -> Tensor:
        """What all directions read; read now, and not kept."""
        return self.directions.read().A_RI

    @property
    def B_OR(self) -> Tensor:
        """What all directions write; read now, and not kept."""
        return self.directions.read().B_OR

    def forward(self, theta: Tensor, scales_GR: Tensor) -> Tensor:
        """Theta plus the update, (O, I)."""
        pieces = partial(self._pieces, theta.device, scales_GR.dtype)
        merged: Tensor = stream_factors(theta, pieces, scales_GR, self.side)
        return merged

    def _pieces(self, device: torch.device, dtype: torch.dtype) -> Iterator[Piece]:
        for places, (a, b, _) in self.directions.pieces(_PIECE):
            yield Piece(places, a.to(device, dtype), b.to(device, dtype))


class Dense(nn.Module):
    """sum_m c_gm T_gm with coefficients (G, M), all updates on the model's device.

    Args:
        differences: updates of one parameter.
        like: the parameter, for device and precision.
        side: how coefficients cut it.
        num_groups: G.
    """

    def __init__(self, differences: Differences, like: Tensor, side: Side, num_groups: int) -> None:
        super().__init__()
        dtype, count = torch.promote_types(like.dtype, torch.float32), len(differences.tensors)
        shape = num_groups, count, like.numel() // num_groups
        updates_GMD = torch.empty(shape, dtype=dtype, device=like.device)
        for m in range(count):  # one at a time: each may be read from a file
            updates_GMD[:, m].copy_(to_groups(differences.tensors[m], num_groups, side))
        self.updates_GMD = nn.Parameter(updates_GMD, requires_grad=False)
        self.side: Side = side

    def forward(self, theta: Tensor, scales_GM: Tensor) -> Tensor:
        """Theta plus the updates."""
        return merge_differences(theta, self.updates_GMD, scales_GM, self.side)


class Streamed(nn.Module):
    """As `Dense`, with updates that stay where the deltas keep them; they pass one by one.

    Args:
        differences: updates of one parameter.
        side: how coefficients cut it.
    """

    def __init__(self, differences: Differences, side: Side) -> None:
        super().__init__()
        self.host = HostUpdates(differences.tensors)
        self.side: Side = side

    def forward(self, theta: Tensor, scales_GM: Tensor) -> Tensor:
        """Theta plus the updates."""
        fetch = partial(self.host.fetch, theta.device, scales_GM.dtype)
        return stream_differences(theta, fetch, scales_GM, self.side)


class Partitioned(nn.Module):
    """Updates whose entries are scaled part by part, with coefficients (K, M).

    Args:
        updates: low-rank updates of one weight, or dense ones of one parameter; `Directions` stay
            where the deltas keep them.
        like: the parameter, for device and precision.
        name: of the parameter in the split model: it decides the parts.
        stream: leave dense updates where the deltas keep them.
    """

    def __init__(
        self,
        updates: StackedFactors | Directions | Differences,
        like: Tensor,
        name: str,
        *,
        stream: bool,
    ) -> None:
        super().__init__()
        self.seed = part_seed(name)
        self.pairs = nn.ParameterList()
        self.held: Directions | HostUpdates | None = None
        self.is_low_rank = isinstance(updates, StackedFactors)
        if isinstance(updates, StackedFactors):
            for owner in sorted(set(updates.owner_R.tolist())):
                own = updates.owner_R == owner
                self.pairs.append(_frozen(updates.A_RI[own], like))
                self.pairs.append(_frozen(updates.B_OR[:, own], like))
        elif isinstance(updates, Directions):
            self.held = updates
        elif stream:
            self.held = HostUpdates(updates.tensors)
        else:
            self.pairs.extend([_frozen(update, like) for update in updates.tensors])

    def forward(self, theta: Tensor, scales_KM: Tensor) -> Tensor:
        """Theta plus the updates."""
        fetch = partial(self._fetch, theta.device, scales_KM.dtype)
        return merge_partitioned(theta, fetch, scales_KM, self.seed)

    def _fetch(self, device: torch.device, dtype: torch.dtype, m: int) -> Tensor:
        if isinstance(self.held, HostUpdates):
            return self.held.fetch(device, dtype, m)
        if self.held is not None:
            a, b, _ = self.held.read(m, m + 1)
            return b.to(device, dtype) @ a.to(device, dtype)
        if self.is_low_rank:
            product: Tensor = self.pairs[2 * m + 1] @ self.pairs[2 * m]
            return product
        update: Tensor = self.pairs[m]
        return update.to(dtype)


class HostUpdates:
    """Dense updates in host memory or in files, sent to where they are wanted.

    What lies in memory is page-locked when it first goes to a GPU, not before: a model may move
    after it was composed.

    Args:
        updates: of one parameter.
    """

    def __init__(self, updates: Sequence[Tensor]) -> None:
        self.updates = updates
        self.locked: dict[int, Tensor] = {}

    def fetch(self, device: torch.device, dtype: torch.dtype, m: int) -> Tensor:
        """One update, on this device and in this precision."""
        update = self.locked[m] if m in self.locked else self.updates[m]
        stored = isinstance(self.updates, Updates) and self.updates.is_stored(m)
        if device.type == "cuda" and m not in self.locked and not stored:
            update = self.locked[m] = update.cpu().pin_memory()
        return update.to(device, non_blocking=True).to(dtype)


def _frozen(tensor: Tensor, like: Tensor) -> nn.Parameter:
    """On the device of `like`, in its precision but at least float32."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    return nn.Parameter(tensor.detach().to(like.device, dtype).contiguous(), requires_grad=False)
