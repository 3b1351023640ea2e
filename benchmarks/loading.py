"""Images a second of a loader, beside decoding with PIL, and beside what a GPU needs.

    python -m benchmarks.loading [--json] [--glyphs 2048] [--photographs 1024] [--batch 128]

Two kinds of files are made on the spot: PNG drawings of 64 pixels, read as they are, and JPEG
photographs of 500 x 375, resized and cropped to 224 pixels as open_clip does (bicubic, by PIL).
Decoding and cutting one takes 1.0 times as long as one of CUB's (medians, 65 files each; 105 and
103 kB on average).

Forms, which take turns in one process with one thread: the peers' `Dataset`, which decodes one file
an item, on a quarter of the files; the same with two workers; our mapped uint8 array, a batch at a
time; the same fetched ahead in a thread, as beside a GPU, and by two workers; the floor, rows of an
array in memory copied into one buffer. A core's rate is images over processor seconds, those of
workers included, so a busy machine changes it little. Files and arrays come from memory (the page
cache): where an array does not fit into it, the disk must give the bytes a second that a GPU needs.

What a GPU needs is arithmetic (`benchmarks/_demand.py`), not a measurement: ViT-B-32 takes 8.82e9
operations an image forward and twice that for a step with a frozen tower, an H200 SXM has a peak of
989e12 a second, so it eats 22,400 images a second at an assumed 40 % of the peak, 1,400 for each of
16 cores, and 56,100 and 3,500 at 100 %, which no run reaches. At 1 or more of that, as measured on
this processor's cores, training is bound by the GPU and not by loading.
"""

from __future__ import annotations

import argparse
import math
import multiprocessing
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np
import torch
from PIL import Image
from torch import Tensor
from torch.utils.data import DataLoader, Dataset

from benchmarks._demand import demand
from benchmarks._output import add_output, put_out
from benchmarks._photographs import write_photographs
from datamodules.annotations import Labels
from datamodules.batches import Ahead, AttributeImages, loader
from datamodules.images import Pixels, cached, square
from datamodules.sampling import ShuffledBatches
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.world import IMAGE_SIZE, sample

PHOTOGRAPH_SIZE = 224
VALUES = 8
PEER, OURS = "one decoded file an item", "ours: rows of the mapped array"
BOUND = 5  # times the peers' rate, a core
_PAGE = 4096  # bytes
_SECONDS = 0.25  # of a measurement, at least


class Files(Dataset[tuple[Tensor, int]]):
    """The usual form: one decoded file an item."""

    def __init__(self, paths: list[Path], size: int) -> None:
        self.paths, self.size = paths, size

    def __len__(self) -> int:
        return len(self.paths)

    def __getitem__(self, index: int) -> tuple[Tensor, int]:
        with Image.open(self.paths[index]) as file:
            picture = file.convert("RGB")
        if picture.size != (self.size, self.size):
            picture = square(picture, self.size)
        return torch.from_numpy(np.array(picture)).permute(2, 0, 1), index % VALUES


class Rows:
    """Batches as bare rows of an array in memory, copied into one buffer."""

    def __init__(self, pixels: Pixels, order: ShuffledBatches) -> None:
        self.pixels, self.order = pixels, order
        shape = (order.batch_size, *pixels.shape[1:])
        memory = np.empty(math.prod(shape) + _PAGE, np.uint8)
        # Copies stall between addresses that nearly agree within a page: stay half a page away.
        start = (pixels.ctypes.data + _PAGE // 2 - memory.ctypes.data) % _PAGE
        self.buffer = memory[start : start + math.prod(shape)].reshape(shape)

    def __iter__(self) -> Iterator[Pixels]:
        for rows in self.order:  # "raise" would take a copy more
            yield np.take(self.pixels, rows, axis=0, out=self.buffer, mode="clip")


class Form(NamedTuple):
    """One way to batches in random order."""

    batches: Iterable[object]
    order: ShuffledBatches

    def rates(self) -> tuple[float, float]:
        """Images a second, and a processor second, of as many epochs as fit into a measurement."""
        start, used, epochs = time.perf_counter(), _processor_seconds(), 0
        while not epochs or time.perf_counter() - start < _SECONDS:
            for _ in self.batches:
                pass
            epochs += 1
        images = epochs * len(self.order) * self.order.batch_size
        return images / (time.perf_counter() - start), images / (_processor_seconds() - used)


def _processor_seconds() -> float:
    """Of this process and its workers, which Linux gives a clock each by their number."""
    workers = (worker.pid for worker in multiprocessing.active_children())
    clocks = [~pid << 3 | 2 for pid in workers if pid is not None]
    return time.process_time() + sum(time.clock_gettime(clock) for clock in clocks)


def main(argv: list[str] | None = None) -> int:
    """Measure, print tables, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.loading", allow_abbrev=False)
    parser.add_argument("--glyphs", type=int, default=2048, help="drawings of 64 pixels")
    parser.add_argument("--photographs", type=int, default=1024, help="JPEG files of 500 x 375")
    parser.add_argument("--batch", type=int, default=128, help="images of a batch")
    parser.add_argument("--repeats", type=int, default=5, help="measurements of each form")
    add_output(parser)
    args = parser.parse_args(argv)
    torch.set_num_threads(1)
    glyphs = measure(write_glyphs, args.glyphs, IMAGE_SIZE, args.batch, args.repeats)
    photographs = measure(
        write_photographs, args.photographs, PHOTOGRAPH_SIZE, args.batch, args.repeats
    )
    result = {
        **{"batch": args.batch, "repeats": args.repeats},
        **{"glyphs": glyphs, "photographs": photographs},
        **against_gpu(photographs),
    }
    result["claims"] = claims(result)
    _print(result)
    put_out(result, args)
    return 0


def write_glyphs(folder: Path, count: int) -> list[Path]:
    """Write drawings as PNG files of 64 pixels."""
    paths = [folder / f"{number}.png" for number in range(count)]
    for path, picture in zip(paths, draw(sample(0, "benchmark", np.arange(count))), strict=True):
        Image.fromarray(picture).save(path)
    return paths


def measure(
    write: Callable[[Path, int], list[Path]], images: int, size: int, batch: int, repeats: int
) -> list[dict[str, Any]]:
    """Median images a second of every form; the ratio to the peers' is taken turn by turn."""
    with tempfile.TemporaryDirectory() as name:
        paths = write(Path(name), images)
        forms = _forms(paths, cached(paths, size, Path(name) / "cache"), batch)
        measured: dict[str, list[tuple[float, float]]] = {form: [] for form in forms}
        for _ in range(repeats + 1):
            for form, way in forms.items():
                measured[form].append(way.rates())
    turns = {form: np.array(rates)[1:] for form, rates in measured.items()}  # the first warms up
    return [
        {
            "form": form,
            "images_per_second": float(np.median(rates[:, 0])),
            "images_per_second_per_core": float(np.median(rates[:, 1])),
            "ratio": float(np.median(rates[:, 1] / turns[PEER][:, 1])),
        }
        for form, rates in turns.items()
    ]


def _forms(paths: list[Path], pixels: Pixels, batch: int) -> dict[str, Form]:
    label_NV = np.eye(VALUES, dtype=np.int8)[np.arange(len(paths)) % VALUES]
    known_NV = np.ones(label_NV.shape, np.bool_)
    ours = AttributeImages(pixels, Labels(label_NV, known_NV, np.ones(len(paths), np.float32)))
    files = Files(paths[: len(paths) // 4], pixels.shape[1])
    every, some = (
        ShuffledBatches(np.arange(count), batch_size=batch, seed=0)
        for count in (len(paths), len(files))
    )
    two_decode = DataLoader(files, batch_sampler=some, num_workers=2, persistent_workers=True)
    two_copy = loader(ours, every, num_workers=2, persistent=True)
    thread = Ahead(ours, batch_sampler=every, collate_fn=lambda batch: batch)
    return {
        PEER: Form(DataLoader(files, batch_sampler=some), some),
        f"{PEER}, 2 workers": Form(two_decode, some),
        OURS: Form(loader(ours, every, num_workers=0), every),
        "ours, ahead in a thread": Form(thread, every),
        "ours, 2 workers": Form(two_copy, every),
        "floor: rows of an array in memory": Form(Rows(np.array(pixels), every), every),
    }


def against_gpu(photographs: list[dict[str, Any]]) -> dict[str, Any]:
    """What one GPU needs, and how often a core of 16 like this one's gives its share of it."""
    core = {row["form"]: row["images_per_second_per_core"] for row in photographs}
    needed = demand()
    rows = [
        {
            **row,
            "ours_over_needed": core[OURS] / row["images_per_second_per_core"],
            "peers_over_needed": core[PEER] / row["images_per_second_per_core"],
        }
        for row in needed.pop("rows")
    ]
    return {**needed, "needed": rows}


def claims(result: dict[str, Any]) -> list[dict[str, Any]]:
    """What ought to hold, and whether it does here."""
    measured = {
        f"{kind}: ours / peers, a core, >= {BOUND}": (
            next(row["ratio"] for row in result[kind] if row["form"] == OURS),
            BOUND,
        )
        for kind in ("glyphs", "photographs")
    }
    for row in result["needed"]:
        name = f"ours / needed at {row['utilisation']:.0%} of the peak, a core of 16, >= 1"
        measured[name] = row["ours_over_needed"], 1
    return [
        {"claim": name, "measured": value, "holds": value >= bound}
        for name, (value, bound) in measured.items()
    ]


def _print(result: dict[str, Any]) -> None:
    for kind in ("glyphs", "photographs"):
        print(f"{kind:<38}{'images/s':>12}{'a core':>12}{'ratio':>9}")
        for row in result[kind]:
            rates = f"{row['images_per_second']:12,.0f}{row['images_per_second_per_core']:12,.0f}"
            print(f"{row['form']:<38}{rates}{row['ratio']:9.2f}")
    print("ratio: images/s of a core over those of one decoded file an item")
    print(
        f"needed by {result['backbone']} on one {result['gpu']}: arithmetic, not a measurement, at "
        f"{result['step_operations']:,} operations and {result['bytes_per_image']:,} bytes an image"
    )
    names = ("of peak", "images/s", "a core of 16", "GB/s", "ours / it", "peers / it")
    print("".join(f"{name:>14}" for name in names))
    for row in result["needed"]:
        print(
            f"{row['utilisation']:14.0%}{row['images_per_second']:14,.0f}"
            f"{row['images_per_second_per_core']:14,.0f}{row['gigabytes_per_second']:14.2f}"
            f"{row['ours_over_needed']:14.2f}{row['peers_over_needed']:14.2f}"
        )
    for claim in result["claims"]:
        verdict = "holds" if claim["holds"] else "DOES NOT HOLD"
        print(f"{claim['claim']}: {claim['measured']:.2f}, {verdict}")


if __name__ == "__main__":
    sys.exit(main())
