"""What is added to one parameter: low-rank or dense updates, each times its coefficients.

A term takes the tensor so far and its coefficients, and returns the sum in the coefficients'
precision. Updates are frozen parameters, so that they move with the model: not buffers, which
DistributedDataParallel sends around in every step. Streamed updates stay in host memory.

Shape letters: I inputs, O outputs, R ranks of all deltas together, G groups of rows or columns (1
if whole), K parts, M deltas that change the tensor, D entries of a group.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial

import torch
from torch import Tensor, nn

from composition.basis import Differences, StackedFactors
from composition.forms.differences import (
    merge_differences,
    merge_partitioned,
    stream_differences,
    to_groups,
)
from composition.forms.factors import merge_factors
from composition.granularity import Side
from composition.partition import part_seed


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
        self.side: Side = side

    def forward(self, theta: Tensor, scales_GR: Tensor) -> Tensor:
        """Theta plus the update, (O, I)."""
        return merge_factors(theta, self.A_RI, self.B_OR, scales_GR, self.side, scales_GR.dtype)


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
        grouped = [to_groups(update, num_groups, side) for update in differences.tensors]
        self.updates_GMD = _frozen(torch.stack(grouped, dim=1), like)
        self.side: Side = side

    def forward(self, theta: Tensor, scales_GM: Tensor) -> Tensor:
        """Theta plus the updates."""
        return merge_differences(theta, self.updates_GMD, scales_GM, self.side)


class Streamed(nn.Module):
    """As `Dense`, with the updates in host memory; they pass one by one.

    Args:
        differences: updates of one parameter.
        like: the parameter, for the device.
        side: how coefficients cut it.
    """

    def __init__(self, differences: Differences, like: Tensor, side: Side) -> None:
        super().__init__()
        self.updates = _pinned(differences.tensors, like.device)
        self.side: Side = side

    def forward(self, theta: Tensor, scales_GM: Tensor) -> Tensor:
        """Theta plus the updates."""
        fetch = partial(_fetch, self.updates, theta.device, scales_GM.dtype)
        return stream_differences(theta, fetch, scales_GM, self.side)


class Partitioned(nn.Module):
    """Updates whose entries are scaled part by part, with coefficients (K, M).

    Args:
        updates: low-rank updates of one weight, or dense ones of one parameter.
        like: the parameter, for device and precision.
        name: of the parameter in the split model: it decides the parts.
        stream: keep dense updates in host memory.
    """

    def __init__(
        self, updates: StackedFactors | Differences, like: Tensor, name: str, *, stream: bool
    ) -> None:
        super().__init__()
        self.seed = part_seed(name)
        self.pairs = nn.ParameterList()
        self.streamed: list[Tensor] = []
        self.is_low_rank = isinstance(updates, StackedFactors)
        if isinstance(updates, StackedFactors):
            for owner in sorted(set(updates.owner_R.tolist())):
                own = updates.owner_R == owner
                self.pairs.append(_frozen(updates.A_RI[own], like))
                self.pairs.append(_frozen(updates.B_OR[:, own], like))
        elif stream:
            self.streamed = _pinned(updates.tensors, like.device)
        else:
            self.pairs.extend([_frozen(update, like) for update in updates.tensors])

    def forward(self, theta: Tensor, scales_KM: Tensor) -> Tensor:
        """Theta plus the updates."""
        if self.is_low_rank:
            fetch = self._product
        else:
            held = self.streamed or list(self.pairs)
            fetch = partial(_fetch, held, theta.device, scales_KM.dtype)
        return merge_partitioned(theta, fetch, scales_KM, self.seed)

    def _product(self, m: int) -> Tensor:
        product: Tensor = self.pairs[2 * m + 1] @ self.pairs[2 * m]
        return product


def _fetch(updates: Sequence[Tensor], device: torch.device, dtype: torch.dtype, m: int) -> Tensor:
    return updates[m].to(device, non_blocking=True).to(dtype)


def _frozen(tensor: Tensor, like: Tensor) -> nn.Parameter:
    """A copy on the device of `like`, in its precision but at least float32."""
    dtype = torch.promote_types(like.dtype, torch.float32)
    return nn.Parameter(tensor.to(like.device, dtype, copy=True).contiguous(), requires_grad=False)


def _pinned(tensors: Sequence[Tensor], device: torch.device) -> list[Tensor]:
    """Tensors in host memory, page-locked if they are to travel to a GPU."""
    host = [tensor.cpu() for tensor in tensors]
    return [tensor.pin_memory() for tensor in host] if device.type == "cuda" else host
