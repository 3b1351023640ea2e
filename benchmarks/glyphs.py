"""Drawing rate of glyphs, against the promise of 1,000 images a second on two processor cores.

    python -m benchmarks.glyphs [--json] [--images 1024] [--repeats 5]

Forms: one and two threads; and what a first run waits for, the whole folder with captions and
hashes. The floor is a copy of finished images.
"""

from __future__ import annotations

import argparse
import os
import statistics
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks._output import add_output, put_out
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.lessons import lesson
from datamodules.sources.glyphs.source import write
from datamodules.sources.glyphs.world import sample

PROMISE = 1000.0  # images a second on two cores


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.glyphs", allow_abbrev=False)
    parser.add_argument("--images", type=int, default=1024, help="images drawn a time")
    parser.add_argument("--repeats", type=int, default=5, help="times each form runs")
    add_output(parser)
    args = parser.parse_args(argv)
    result = measure(args.images, args.repeats)
    for row in result["forms"]:
        print(f"{row['form']:<44} {row['images_per_second']:>12,.0f} images/s {row['ratio']:>8.2f}")
    print(f"ratio: to the promise of {PROMISE:,.0f} images/s; {result['cores']} cores here")
    put_out(result, args)
    return 0


def measure(images: int, repeats: int) -> dict[str, Any]:
    """Median images a second of every form."""
    scenes = sample(0, "benchmark", np.arange(images))
    finished = draw(scenes)
    with tempfile.TemporaryDirectory() as folder:
        forms: dict[str, Callable[[], object]] = {
            "draw, 1 thread": lambda: draw(scenes, num_threads=1),
            "draw, 2 threads": lambda: draw(scenes, num_threads=2),
            "sample and draw, 2 threads": lambda: draw(sample(0, "other", np.arange(images))),
            "lesson of the full world, with captions": lambda: lesson(1, 7, images, 1.0),
            "folder with captions and hashes": lambda: write(
                Path(folder) / "glyphs", {"train": images}
            ),
            "floor: copy of finished images": finished.copy,
        }
        seconds = {name: _median_seconds(run, repeats) for name, run in forms.items()}
    rows = [
        {
            "form": name,
            "images_per_second": images / took,
            "ratio": images / took / PROMISE,
        }
        for name, took in seconds.items()
    ]
    return {"images": images, "repeats": repeats, "cores": _cores(), "forms": rows}


def _median_seconds(run: Callable[[], object], repeats: int) -> float:
    run()
    times = []
    for _ in range(repeats):
        start = time.perf_counter()
        run()
        times.append(time.perf_counter() - start)
    return statistics.median(times)


def _cores() -> int:
    """Processor cores this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


if __name__ == "__main__":
    sys.exit(main())
