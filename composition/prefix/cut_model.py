"""`CutModel`: a task model that may learn its last blocks alone, from tokens that it keeps.

Shape letters: B images of all tasks, S tokens of an image, W width of the tower, D embedding width.
"""

from __future__ import annotations

import logging
from typing import Any

import torch.nn.functional as F
from torch import Tensor

from composition.objectives import FixMatch, Objective
from composition.prefix.prefix import Prefix
from composition.task_model import TaskModel

_log = logging.getLogger(__name__)


class CutModel(TaskModel):
    """A `TaskModel` whose training steps may begin behind the first blocks.

    Attributes:
        prefix: the cut, or None.
    """

    def __init__(self) -> None:
        super().__init__()
        self.prefix: Prefix | None = None

    def encode_image(self, image: Tensor) -> Tensor:
        """Unit-norm embeddings (B, D), float32, of uint8 images (B, 3, H, W) or tokens (B, S, W).

        Tokens are those of `shortened`.
        """
        if self.prefix is None or image.dim() == 4:
            return super().encode_image(image)
        return F.normalize(self.prefix(image).float(), dim=-1)

    def keep_tokens(self, objective: Objective) -> None:
        """Run the first blocks over all training images, if these come without augmentation."""
        assert self.data is not None
        if self.prefix is None:
            return
        if isinstance(objective, FixMatch) or self.data.crops > 1:
            _log.info("--model.last_blocks: images are augmented, so all blocks run in every step")
            return
        with self.trainer.precision_plugin.forward_context():
            self.prefix.fill(list(self.data.tasks.values()), self.pixels)
        _log.info("first blocks run once: %s", self.prefix.describe())

    def shortened(self, batch: dict[str, Any]) -> dict[str, Any]:
        """A training batch with tokens in place of its images, if they are kept."""
        if self.prefix is None or not self.prefix.tasks:
            return batch
        return batch | {"image": self.prefix.of(batch["parts"])}
