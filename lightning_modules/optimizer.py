"""AdamW with a linear warm-up and a cosine to zero, as Lightning wants it."""

from __future__ import annotations

from functools import partial
from typing import Any

import lightning as L
import torch
from torch import nn

from lightning_modules.schedule import warmup_cosine


def adamw(module: L.LightningModule, parameters: list[nn.Parameter]) -> Any:
    """What `configure_optimizers` returns.

    Args:
        module: has the hyper-parameters lr, weight_decay and warmup_steps, and a trainer.
        parameters: what is trained.
    """
    settings = module.hparams
    optimizer = torch.optim.AdamW(
        parameters, lr=settings["lr"], weight_decay=settings["weight_decay"]
    )
    rate = partial(
        warmup_cosine,
        warmup_steps=settings["warmup_steps"],
        num_steps=module.trainer.estimated_stepping_batches,
    )
    schedule = torch.optim.lr_scheduler.LambdaLR(optimizer, rate)
    return {"optimizer": optimizer, "lr_scheduler": {"scheduler": schedule, "interval": "step"}}
