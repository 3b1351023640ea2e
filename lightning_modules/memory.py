"""What the base model says of the training images: computed once, looked up in every step.

Shape letters: B images of a batch, M images of the training split, D embedding width.
"""

from __future__ import annotations

from typing import Any

import lightning as L
import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.attribute import AttributeDataModule
from lightning_modules.adapted import AdaptedClip
from lightning_modules.embedding import embed


class BaseMemory:
    """Embeddings of images by number.

    Args:
        members_M: image numbers, ascending.
        embedding_MD: their embeddings.
    """

    def __init__(self, members_M: NDArray[np.int64], embedding_MD: Tensor) -> None:
        self.members_M = torch.from_numpy(members_M).to(embedding_MD.device)
        self.embedding_MD = embedding_MD

    def __getitem__(self, index_B: Tensor) -> Tensor:
        """Embeddings (B, D) of members."""
        return self.embedding_MD[torch.searchsorted(self.members_M, index_B)]


def remember(
    module: L.LightningModule, clip: AdaptedClip, data: AttributeDataModule
) -> BaseMemory | None:
    """Embed the training split by the base, each process its share; None if that does not pay.

    It pays if the training is long enough to see as many images. They are embedded in one fixed
    order: what is remembered must not depend on where a run was resumed.

    Args:
        module: the module in training; it knows the processes and the precision.
        clip: whose base is asked.
        data: the data module, after its `setup`.
    """
    members, trainer = data.members("train"), module.trainer
    steps = trainer.estimated_stepping_batches * trainer.accumulate_grad_batches
    if steps * data.batch_size < len(members):
        return None
    rank, world = trainer.global_rank, trainer.world_size
    even = np.resize(members, -(-len(members) // world) * world)  # repeats the first images
    with trainer.precision_plugin.forward_context():
        mine = embed(clip.encode_base, data, even[rank::world], device=module.device, text="base")
    gathered: Any = module.all_gather(mine) if world > 1 else mine[None]
    whole: Tensor = gathered.transpose(0, 1).flatten(0, 1)[: len(members)].contiguous()
    return BaseMemory(members, whole)
