"""Training an adapter as `make train` does, by backbone: images a second, memory, utilisation.

    python -m benchmarks.main_job [--json] [--steps 60] [--batch 256] [--images 4096]

Drawn images are written as PNG files of the backbone's size and read through the `folder` source,
so that data take the way of a user's photographs: decoded once, then batches of a mapped array.
Weights are random; precision is what `make train` would choose. On a GPU: glyph-clip's size,
ViT-B-32 and ViT-L-14, plain and compiled; on a CPU glyph-clip's size, plain. The floor is the same
training on one batch that already lies on the device: the difference is what loading costs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any, NamedTuple

import lightning as L
import numpy as np
import torch
from PIL import Image
from torch.utils.data import DataLoader

from benchmarks._output import add_output, put_out
from datamodules.annotations import Annotation, csv_text
from datamodules.attribute import AttributeDataModule
from datamodules.dictionary import Attribute, Dictionary, Value
from datamodules.dictionary.given import words_hash
from datamodules.sources import load_source
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.world import ATTRIBUTES, sample
from lightning_modules.adapter import AttributeAdapter
from lightning_modules.quiet import quiet

SMALL = Path(__file__).parents[1] / "configs/glyph-clip.json"
WARM_UP = 10  # steps left out: kernels are chosen, graphs compiled, workers started
VALIDATION = 64


class Job(NamedTuple):
    """What is trained: a backbone at its image size."""

    backbone: str
    image_size: int
    compile: bool = False


class Clock(L.Callback):
    """Seconds of the steps after the warm-up."""

    seconds = 0.0

    def on_train_batch_end(
        self, trainer: L.Trainer, pl_module: L.LightningModule, *args: object
    ) -> None:
        """Start with the last step of the warm-up; stop with the last of all."""
        if trainer.global_step in (WARM_UP, trainer.max_steps):
            if pl_module.device.type == "cuda":
                torch.cuda.synchronize(pl_module.device)
            self.seconds = time.perf_counter() - self.seconds


class OneBatch(AttributeDataModule):
    """The same data module, whose training batches are one batch on the device."""

    def train_dataloader(self) -> Any:
        """As many batches as the loader has, all the same."""
        loader = super().train_dataloader()
        assert self.trainer is not None
        device = self.trainer.strategy.root_device
        batch = {name: value.to(device) for name, value in next(iter(loader)).items()}
        return DataLoader([batch] * len(loader), batch_size=None)  # type: ignore[arg-type]


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.main_job", allow_abbrev=False)
    parser.add_argument("--steps", type=int, default=60, help=f"of each job, {WARM_UP} warm up")
    parser.add_argument("--batch", type=int, default=256, help="images of a step")
    parser.add_argument("--images", type=int, default=4096, help="images of an epoch")
    add_output(parser)
    args = parser.parse_args(argv)
    if args.steps <= WARM_UP:
        parser.error(f"--steps is {args.steps}, expected more than the {WARM_UP} of the warm-up")
    result = measure(jobs(), steps=args.steps, batch=args.batch, images=args.images)
    print(f"{result['device']}, {result['precision']}, {args.batch} images a step")
    print(f"{'backbone':<12}{'compiled':>9}{'images/s':>10}{'/ floor':>9}{'MiB':>9}{'busy':>7}")
    for row in result["jobs"]:
        print(
            f"{row['backbone']:<12}{row['compiled']!s:>9}{row['images_per_second']:>10,.0f}"
            f"{row['over_floor']:>9.3f}{row['peak_mib']:>9,.0f}{row['busy_percent']:>6.0f}%"
        )
    put_out(result, args)
    return 0


def jobs() -> list[Job]:
    """What this machine can train in a minute or two."""
    if not torch.cuda.is_available():
        return [Job("small", 64)]
    sizes = [("small", 64), ("ViT-B-32", 224), ("ViT-L-14", 224)]
    return [Job(name, size, compile) for name, size in sizes for compile in (False, True)]


def measure(todo: list[Job], *, steps: int, batch: int, images: int) -> dict[str, Any]:
    """Every job and its floor, one after the other."""
    on_gpu = torch.cuda.is_available()
    precision = "bf16-mixed" if on_gpu and torch.cuda.is_bf16_supported() else "32-true"
    rows = []
    with tempfile.TemporaryDirectory() as name, working_in(Path(name)), quiet():
        Path("small").mkdir()
        shutil.copy(SMALL, "small/open_clip_config.json")
        for job in todo:
            folder = photographs(job.image_size, images)
            run = {
                kind: train(kind(**folder, batch_size=batch), job, steps, precision)
                for kind in (OneBatch, AttributeDataModule)
            }
            row = run[AttributeDataModule]
            over = row["images_per_second"] / run[OneBatch]["images_per_second"]
            rows.append(
                {"backbone": job.backbone, "compiled": job.compile, **row, "over_floor": over}
            )
    device = torch.cuda.get_device_name() if on_gpu else f"CPU, {torch.get_num_threads()} threads"
    return {
        "device": device, "precision": precision, "batch": batch, "steps": steps - WARM_UP,
        "jobs": rows,
    }  # fmt: skip


def train(data: AttributeDataModule, job: Job, steps: int, precision: Any) -> dict[str, float]:
    """Images a second after the warm-up, peak memory, and how busy the GPU was (median)."""
    clock = Clock()
    trainer = L.Trainer(
        max_steps=steps, precision=precision, devices=1, callbacks=[clock], logger=False,
        enable_checkpointing=False, enable_model_summary=False, enable_progress_bar=False,
        limit_val_batches=0, num_sanity_val_steps=0, gradient_clip_val=1.0,
        use_distributed_sampler=False,
    )  # fmt: skip
    model = AttributeAdapter(job.backbone, "random", r=16, keep_weight=4.0, compile=job.compile)
    if torch.cuda.is_available():
        torch.cuda.reset_peak_memory_stats()
    with utilization() as busy:
        trainer.fit(model, data)
    peak = torch.cuda.max_memory_allocated() / 2**20 if torch.cuda.is_available() else 0.0
    return {
        "images_per_second": (steps - WARM_UP) * data.batch_size / clock.seconds,
        "peak_mib": peak,
        "busy_percent": statistics.median(busy[len(busy) // 2 :]) if busy else 0.0,
    }


def photographs(size: int, count: int) -> dict[str, Any]:
    """A folder of drawn PNG files of `size` pixels, and its dictionary, as arguments."""
    root, dictionary = Path(f"images-{size}"), Path(f"dictionary-{size}.json")
    given = {"attribute": "color", "source": "folder", "root": root, "dictionary": dictionary}
    if not dictionary.is_file():
        root.mkdir()
        scenes = sample(0, "benchmark", np.arange(count + VALIDATION))
        rows = []
        for number, (picture, values) in enumerate(zip(draw(scenes), scenes.labels(), strict=True)):
            name = f"{number}.png"
            Image.fromarray(picture).resize((size, size)).save(root / name, compress_level=1)
            split = "train" if number < count else "validation"
            for attribute, column in zip(ATTRIBUTES, values, strict=True):
                rows.append(Annotation(name, split, attribute, ATTRIBUTES[attribute][column]))
        (root / "annotations.csv").write_text(csv_text(rows))
        words = words_hash(load_source("folder", root))
        Dictionary("folder", words, tuple(map(_attribute, ATTRIBUTES))).save(dictionary)
    return {**given, "image_size": size}


def _attribute(name: str) -> Attribute:
    entries = (Value(f"{name}-{v}", v, 1, examples=(f"a {v} thing",)) for v in ATTRIBUTES[name])
    return Attribute(name, tuple(entries), exclusive=True)


@contextlib.contextmanager
def working_in(folder: Path) -> Iterator[None]:
    """Caches go where the process works."""
    before = Path.cwd()
    os.chdir(folder)
    try:
        yield
    finally:
        os.chdir(before)


@contextlib.contextmanager
def utilization() -> Iterator[list[float]]:
    """Percent of time that the first GPU ran a kernel, five times a second; empty without one."""
    busy: list[float] = []
    if not torch.cuda.is_available() or not shutil.which("nvidia-smi"):
        yield busy
        return
    query = ["nvidia-smi", "--query-gpu=utilization.gpu", "--format=csv,noheader,nounits"]
    with tempfile.TemporaryFile("w+") as file:
        process = subprocess.Popen([*query, "--id=0", "--loop-ms=200"], stdout=file)
        try:
            yield busy
        finally:
            process.terminate()
            process.wait()
            file.seek(0)
            busy += [float(line) for line in file if line.strip().isdigit()]


if __name__ == "__main__":
    sys.exit(main())
