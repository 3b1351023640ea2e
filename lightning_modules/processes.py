"""Several processes as one: the parts of a batch that lie on different devices, put together.

Shape letters: B images of one process, P processes.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import lightning as L
import torch
from torch import Tensor


def whole(module: L.LightningModule, local: Tensor) -> Tensor:
    """All processes' parts, (P * B, ...), with the gradient of this one's.

    Each process differentiates its own part, and DistributedDataParallel averages the gradients,
    hence the factor P on it: the average then is the gradient of the global batch.

    Args:
        module: the module in training.
        local: this process's part, of equal shape (B, ...) everywhere.
    """
    parts: Any = module.all_gather(local.detach())
    world = len(parts)
    if local.requires_grad:
        mine = world * local - (world - 1) * local.detach()
        parts = [mine if n == module.global_rank else part for n, part in enumerate(parts)]
    return torch.cat(list(parts))


def whole_batch(
    module: L.LightningModule, logits: Tensor, batch: dict[str, Tensor], names: Sequence[str]
) -> tuple[Tensor, dict[str, Tensor]]:
    """Logits and named entries of all processes' batches, so that a loss is the global batch's."""
    trainer = module._trainer
    if trainer is None or trainer.world_size == 1:
        return logits, batch
    return whole(module, logits), {name: whole(module, batch[name]) for name in names}
