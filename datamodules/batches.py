"""Images and labels of an attribute, read a whole batch at a time.

Shape letters: B images of a batch, N images of the source, H x W pixels, V values of the attribute.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, Dataset, Sampler

from datamodules.annotations import Labels
from datamodules.images import Pixels

Batch = dict[str, Tensor]


class AttributeImages(Dataset[Batch]):
    """Whole batches of images and labels, by image number.

    Args:
        pixels: uint8 (N, H, W, 3), usually memory-mapped.
        labels: what is known of the attribute, for all N images.
    """

    def __init__(self, pixels: Pixels, labels: Labels) -> None:
        self.pixels, self.labels = pixels, labels

    def __len__(self) -> int:
        return len(self.pixels)

    def __getitem__(self, index: int) -> Batch:
        return self.__getitems__([index])

    def __getitems__(self, index: Sequence[int]) -> Batch:
        """A batch, which is quicker to read at once than image by image.

        Returns:
            image uint8 (B, 3, H, W), label int8 (B, V), known bool (B, V), weight float32 (B,) and
            index int64 (B,).
        """
        rows = np.asarray(index, dtype=np.int64)
        return {
            "image": torch.from_numpy(self.pixels[rows]).permute(0, 3, 1, 2),
            "label": torch.from_numpy(self.labels.label[rows]),
            "known": torch.from_numpy(self.labels.known[rows]),
            "weight": torch.from_numpy(self.labels.weight[rows]),
            "index": torch.from_numpy(rows),
        }


def loader(
    images: AttributeImages,
    batches: Sampler[list[int]],
    *,
    num_workers: int | None,
    persistent: bool = False,
) -> DataLoader[Batch]:
    """A loader of these batches.

    Args:
        images: the images and labels.
        batches: the image numbers of each batch.
        num_workers: processes that fetch batches; None takes 2 beside a GPU, else none.
        persistent: keep them from one epoch to the next.
    """
    on_gpu = torch.cuda.is_available()
    workers = (2 if on_gpu else 0) if num_workers is None else num_workers
    return DataLoader(
        images,
        batch_sampler=batches,
        collate_fn=_whole,
        num_workers=workers,
        pin_memory=on_gpu,
        persistent_workers=persistent and workers > 0,
    )


def _whole(batch: Any) -> Any:
    """The dataset already made a batch."""
    return batch
