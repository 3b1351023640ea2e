"""Metrics that keep a few numbers an image: lists of vectors whose type is fixed.

torchmetrics lets a process that saw no image take part with an empty float32 vector, whatever the
others hold, and gathering then fails on the types. Here an empty vector has the type of its list.
"""

from __future__ import annotations

from typing import Any

import torch
from torch import Tensor
from torchmetrics import Metric


class VectorStates(Metric):
    """A metric whose states are vectors, gathered end to end over processes."""

    is_differentiable = False
    higher_is_better = True
    full_state_update = False

    def __init__(self) -> None:
        super().__init__()
        self._vector_types: dict[str, torch.dtype] = {}

    def add_vector(self, name: str, dtype: torch.dtype) -> None:
        """Keep a vector under a name."""
        self._vector_types[name] = dtype
        self.add_state(name, default=[], dist_reduce_fx="cat")

    def append(self, **vectors: Tensor) -> None:
        """Lengthen some of the vectors."""
        for name, values_B in vectors.items():
            getattr(self, name).append(values_B.detach().to(self._vector_types[name]))

    def vector(self, name: str) -> Tensor:
        """All of one vector, on the CPU (float64 sums follow, which not every device can do)."""
        state = getattr(self, name)
        parts = [state] if isinstance(state, Tensor) else state
        empty = torch.empty(0, dtype=self._vector_types[name])
        return torch.cat([empty, *(part.cpu() for part in parts)])

    def sync(self, *args: Any, **kwargs: Any) -> None:
        """Gather the states of all processes; one without images adds nothing."""
        for name, dtype in self._vector_types.items():
            if isinstance(state := getattr(self, name), list) and not state:
                state.append(torch.empty(0, dtype=dtype, device=self.device))
        super().sync(*args, **kwargs)
