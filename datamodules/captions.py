"""`CaptionDataModule`: fresh captioned images for pre-training, and a fixed set to watch it by."""

from __future__ import annotations

from collections.abc import Iterator

import lightning as L
import numpy as np
import torch
from torch import Tensor
from torch.utils.data import DataLoader, IterableDataset, TensorDataset

from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.lessons import CaptionBatch, lesson
from datamodules.sources.glyphs.world import sample


class CaptionStream(IterableDataset[CaptionBatch]):
    """Batches of steps `start`, `start + stride`, ...: each a pure function of its step.

    Args:
        data: where batch size, seed and curriculum are.
        start: first step of this process.
        stride: number of processes.
        num_steps: steps of the whole training, by which the curriculum is timed.
    """

    def __init__(self, data: CaptionDataModule, *, start: int, stride: int, num_steps: int) -> None:
        self.data, self.start, self.stride, self.num_steps = data, start, stride, num_steps

    def __iter__(self) -> Iterator[CaptionBatch]:
        worker = torch.utils.data.get_worker_info()
        first, workers = (worker.id, worker.num_workers) if worker else (0, 1)
        step = self.start + first * self.stride
        while True:
            hard = self.data.hard_share(step / (self.num_steps * self.stride))
            yield lesson(self.data.seed, step, self.data.batch_size, hard)
            step += self.stride * workers


class CaptionDataModule(L.LightningDataModule):
    """Captioned glyphs, drawn as training goes on; the held-out pairs never occur.

    Args:
        batch_size: images per step and process.
        num_workers: processes that draw; 0 draws in the training process.
        seed: seed of the world.
        first_lesson: share of the training that shows easy shapes only.
        transition: share of the training over which the full world replaces them.
        num_validation: images of the validation split to watch.
    """

    def __init__(
        self,
        batch_size: int = 128,
        num_workers: int = 0,
        seed: int = 1,
        first_lesson: float = 0.08,
        transition: float = 0.35,
        num_validation: int = 1000,
    ) -> None:
        super().__init__()
        self.batch_size, self.num_workers, self.seed = batch_size, num_workers, seed
        self.first_lesson, self.transition = first_lesson, transition
        self.num_validation = num_validation

    def hard_share(self, progress: float) -> float:
        """Share of a batch that shows the full world, at `progress` in [0, 1] of the training."""
        return min(1.0, max(0.0, (progress - self.first_lesson) / self.transition))

    def train_dataloader(self) -> DataLoader[CaptionBatch]:
        """Batches of the steps that this process still has to do."""
        trainer = self.trainer
        assert trainer is not None
        stream = CaptionStream(
            self,
            start=trainer.global_step * trainer.world_size + trainer.global_rank,
            stride=trainer.world_size,
            num_steps=trainer.max_steps,
        )
        return DataLoader(
            stream,
            batch_size=None,
            num_workers=self.num_workers,
            persistent_workers=self.num_workers > 0,
        )

    def val_dataloader(self) -> DataLoader[tuple[Tensor, ...]]:
        """Pairs of image (uint8, (B, 3, H, W)) and labels ((B, 4), columns as in `ATTRIBUTES`)."""
        scenes = sample(0, "validation", np.arange(self.num_validation))
        image = torch.from_numpy(draw(scenes)).permute(0, 3, 1, 2)
        labels = torch.from_numpy(scenes.labels())
        return DataLoader(TensorDataset(image, labels), batch_size=250)
