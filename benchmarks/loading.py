"""Batches a second of `AttributeDataModule`, beside reading PNG files one by one.

    python -m benchmarks.loading [--json] [--images 2000] [--batch 128] [--repeats 5]

Forms: our memory-mapped uint8 array, read a batch at a time; the peers' `Dataset`, which decodes
one file an item and stacks the items; the same with two workers. The floor is the array already in
memory.
"""

from __future__ import annotations

import argparse
import statistics
import sys
import tempfile
import time
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks._output import add_output, put_out
from datamodules.annotations import Labels
from datamodules.batches import AttributeImages, loader
from datamodules.images import cached
from datamodules.sampling import ShuffledBatches
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.world import ATTRIBUTES, IMAGE_SIZE, sample


class Files(Dataset[tuple[Tensor, int]]):
    """The usual form: one decoded file an item."""

    def __init__(self, paths: list[Path], label: list[int]) -> None:
        self.paths, self.label = paths, label

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[index]) as picture:
            pixels = np.asarray(picture.convert("RGB"))
        return torch.from_numpy(pixels.copy()).permute(2, 0, 1), self.label[index]


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading", allow_abbrev=False)
    parser.add_argument("--images", type=int, default=2000, help="images of an epoch")
    parser.add_argument("--batch", type=int, default=128, help="images of a batch")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each form")
    add_output(parser)
    args = parser.parse_args(argv)
    result = measure(args.images, args.batch, args.repeats)
    for row in result["forms"]:
        print(
            f"{row['form']:<36} {row['batches_per_second']:>10,.1f} batches/s {row['ratio']:>8.2f}"
        )
    print("ratio: batches a second over those of one decoded file an item")
    put_out(result, args)
    return 0


def measure(images: int, batch: int, repeats: int) -> dict[str, Any]:
    """Median batches a second of every form, over whole epochs in random order."""
    scenes = sample(0, "benchmark", np.arange(images))
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        paths = [folder / f"{number}.png" for number in range(images)]
        for path, picture in zip(paths, draw(scenes), strict=True):
            Image.fromarray(picture).save(path)
        start = time.perf_counter()
        pixels = cached(paths, IMAGE_SIZE, folder / "cache")
        prepare = time.perf_counter() - start
        label = np.eye(len(ATTRIBUTES["color"]), dtype=np.int8)[scenes.color]
        labels = Labels(label, np.ones(label.shape, np.bool_), np.ones(images, np.float32))
        order = ShuffledBatches(np.arange(images), batch_size=batch, seed=0)
        files = Files(paths, scenes.color.tolist())

        def ours(array: np.ndarray[Any, Any]) -> Iterable[object]:
            return loader(AttributeImages(array, labels), order, num_workers=0)

        forms: dict[str, Iterable[object]] = {
            "one decoded file an item": DataLoader(files, batch_sampler=order),
            "one decoded file an item, 2 workers": DataLoader(
                files, batch_sampler=order, num_workers=2, persistent_workers=True
            ),
            "ours: a batch of the mapped array": ours(pixels),
            "floor: a batch of an array in memory": ours(np.array(pixels)),
        }
        rates = {
            form: len(order) / _median_seconds(batches, repeats) for form, batches in forms.items()
        }
    base = rates["one decoded file an item"]
    rows = [
        {"form": form, "batches_per_second": rate, "ratio": rate / base}
        for form, rate in rates.items()
    ]
    return {"images": images, "batch": batch, "seconds_to_decode_once": prepare, "forms": rows}


def _median_seconds(batches: Iterable[object], repeats: int) -> float:
    """Seconds of an epoch; the first measurement warms caches and workers and is left out."""
    return statistics.median([_epoch_seconds(batches) for _ in range(repeats + 1)][1:])


def _epoch_seconds(batches: Iterable[object]) -> float:
    """Mean over as many epochs as fit into a quarter of a second, one at least."""
    start, epochs = time.perf_counter(), 0
    while not epochs or time.perf_counter() - start < 0.25:
        for _ in batches:
            pass
        epochs += 1
    return (time.perf_counter() - start) / epochs


if __name__ == "__main__":
    sys.exit(main())
