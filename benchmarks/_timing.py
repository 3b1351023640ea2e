"""How benchmarks measure: in turns, in seconds, in bytes."""

from __future__ import annotations

import os
import re
import resource
import statistics
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractContextManager, nullcontext
from pathlib import Path
from typing import NamedTuple

import torch

from datamodules.errors import InputError


class Seconds(NamedTuple):
    """What a run took of the device (processor time on a CPU), and on the clock."""

    device: float
    wall: float


def device_of(name: str) -> torch.device:
    """The device to measure on: "auto", "cpu", which then has one thread, or "cuda".

    Raises:
        InputError: if a GPU is asked for and there is none.
    """
    if name == "cuda" and not torch.cuda.is_available():
        raise InputError(
            "expected a GPU that torch can use, found none. See what is missing with: make doctor"
        )
    device = torch.device("cuda" if name != "cpu" and torch.cuda.is_available() else "cpu")
    if device.type == "cpu":
        torch.set_num_threads(1)  # threads that wait for each other use up processor time
    return device


def describe(device: torch.device) -> str:
    """The device in words."""
    if device.type == "cuda":
        return torch.cuda.get_device_name(device)
    return f"CPU, torch threads: {torch.get_num_threads()}"


def autocast(precision: str, device: torch.device) -> AbstractContextManager[object]:
    """Autocast to bfloat16, or nothing for "float32"."""
    return nullcontext() if precision == "float32" else torch.autocast(device.type, torch.bfloat16)


def timed(run: Callable[[], object], device: torch.device) -> Seconds:
    """Run once; a GPU's time is that between two events of its stream."""
    if device.type == "cpu":
        used, start = time.process_time(), time.perf_counter()
        run()
        return Seconds(time.process_time() - used, time.perf_counter() - start)
    first = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    last = torch.cuda.Event(enable_timing=True)  # type: ignore[no-untyped-call]
    torch.cuda.synchronize(device)
    start = time.perf_counter()
    first.record()
    run()
    last.record()
    last.synchronize()
    return Seconds(first.elapsed_time(last) / 1000, time.perf_counter() - start)


def take_turns(
    runs: Mapping[str, Callable[[], object]], rounds: int, device: torch.device
) -> dict[str, list[Seconds]]:
    """Time all runs, one after the other, `rounds` times over.

    The first is run once more before each turn, untimed: it would bear what the last left cold.
    """
    taken: dict[str, list[Seconds]] = {name: [] for name in runs}
    first = next(iter(runs.values()))
    for _ in range(rounds):
        first()
        for name, run in runs.items():
            taken[name].append(timed(run, device))
    return taken


def median_ratio(one: Sequence[Seconds], other: Sequence[Seconds]) -> Seconds:
    """Median of the ratios within each turn, so that a busy machine slows both sides."""
    pairs = list(zip(one, other, strict=True))
    return Seconds(
        statistics.median(a.device / b.device for a, b in pairs),
        statistics.median(a.wall / b.wall for a, b in pairs),
    )


def peak_beyond(run: Callable[[], object], device: torch.device) -> int:
    """Bytes that a run needs on the GPU beyond what lies there before; 0 on a CPU."""
    if device.type == "cpu":
        return 0
    before = torch.cuda.memory_allocated(device)
    torch.cuda.reset_peak_memory_stats(device)
    run()
    return torch.cuda.max_memory_allocated(device) - before


def memory_of(device: torch.device) -> int:
    """Bytes that are free on the GPU, or that the machine has."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
        return torch.cuda.mem_get_info(device)[0]
    return os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES")


def forget_peak() -> None:
    """From now on count the most memory that this process holds anew; on Linux alone."""
    path = Path("/proc/self/clear_refs")
    if path.exists():
        path.write_text("5")


def memory_of_process() -> tuple[int, int]:
    """Bytes that this process holds, and the most it has held; twice the latter but on Linux."""
    status = Path("/proc/self/status")
    if not status.exists():
        unit = 1 if sys.platform == "darwin" else 1024
        most = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit
        return most, most
    found = dict(re.findall(r"^(VmRSS|VmHWM):\s+(\d+) kB$", status.read_text(), re.MULTILINE))
    return 1024 * int(found["VmRSS"]), 1024 * int(found["VmHWM"])
