"""Hundreds of LoRA deltas in one composition, and dense deltas that stay in host memory.

    python -m benchmarks.compose_stream [--json] [--deltas 8 64 200] [--layers 2] [--dense 4]

Deltas of ViT-L-14 of rank 16 on all six Linear kinds of the image tower are drawn from seeds and
written to a temporary folder, of all 24 blocks on a GPU and of 2 on a CPU. `many` has a row for
each number of them, measured in a process of its own:

    form                "resident": factors lie beside the model; "streamed": they stay in the
                        files, and every step reads them piece by piece
    load_s, stack_s     the files checked; the deltas read, compared and put on the model
    factors_mb          the factors that the composition holds
    resident_mb         memory of the process beyond the base, when only the composition is left
    peak_mb             the most until then
    device_mb           on a GPU: its memory beyond the base
    step_ms             one step, forward and backward; on a CPU of processor time on one thread
    step_peak_mb        memory of the process beyond the base at most while steps run; merged
                        weights and activations are in it, whatever the number of deltas

`dense` compares a few dense deltas of the same depth that lie on the model's device with the same
that stay in host memory and pass one by one; on a CPU both memories are one. Steps take turns; a
ratio is the median of the ratios within each turn.
"""

from __future__ import annotations

import argparse
import gc
import statistics
import sys
import tempfile
import time
from concurrent.futures import ProcessPoolExecutor
from functools import partial
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import torch
from torch import nn

from benchmarks._compose_cell import Row, compose, count_bytes, gradient_error, ours, step
from benchmarks._compose_model import (
    Batch,
    count_tokens,
    depth,
    digest_of,
    draw_batch,
    random_clip,
    random_dense,
    random_lora,
    weight_shapes,
)
from benchmarks._output import add_output, put_out
from benchmarks._timing import (
    describe,
    device_of,
    forget_peak,
    median_ratio,
    memory_of_process,
    peak_beyond,
    take_turns,
    timed,
)
from composition import Basis, Composition
from composition.terms import Streamed
from datamodules.errors import InputError
from lightning_modules.delta import load_delta, save_delta

MODEL, RANK, FORMS = "ViT-L-14", 16, ("resident", "streamed")


def main(argv: list[str] | None = None) -> int:
    """Measure, print both tables; with --json one object as the last line."""
    args = _parser().parse_args(argv)
    try:
        result = measure(args, device_of(args.device))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    put_out(result, args)
    return 0


def measure(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """Both tables, printed row by row."""
    if args.layers is None:
        args.layers = 0 if device.type == "cuda" else 2
    clip = random_clip(MODEL, args.layers, args.width)
    many: list[Row] = []
    with tempfile.TemporaryDirectory() as folder:
        written = write_deltas(Path(folder), clip, max(args.deltas))
        print(f"{MODEL}, {depth(clip)} blocks, rank {RANK}, {describe(device)}")
        print(f"{max(args.deltas)} deltas in files of {written / 1e6:,.0f} MB")
        for count in args.deltas:
            # A process of its own: what an earlier one left in memory would count as held.
            for form in args.forms:
                with ProcessPoolExecutor(1, mp_context=get_context("spawn")) as alone:
                    run = alone.submit(measure_many, Path(folder), count, form, args)
                    many.append(run.result())
                _print_row(many[-1], first=len(many) == 1)
    clip.to(device)
    dense = measure_dense(clip, args.dense, draw_batch(clip, args.tokens), args.rounds)
    for row in dense:
        _print_row(row, first=row is dense[0])
    return {
        "device": describe(device), "model": MODEL, "layers": depth(clip), "rank": RANK,
        "files_mb": written / 1e6, "many": many, "dense": dense,
    }  # fmt: skip


def write_deltas(folder: Path, clip: nn.Module, count: int) -> int:
    """Draw and write LoRA deltas one by one; returns the bytes of all files."""
    shapes, digest = weight_shapes(clip), digest_of(clip)
    for number in range(count):
        save_delta(folder / f"{number:03}", random_lora(number, shapes, RANK, digest))
    return sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())


def measure_many(folder: Path, count: int, form: str, args: argparse.Namespace) -> Row:
    """Load and compose the first `count` deltas of a folder; run in a fresh process."""
    device = device_of(args.device)
    clip = random_clip(MODEL, args.layers, args.width).to(device)
    gc.collect()
    forget_peak()
    (before, _), base = memory_of_process(), _on_gpu(device)
    start = time.perf_counter()
    deltas = [load_delta(path, stored=True) for path in sorted(folder.iterdir())[:count]]
    loaded = time.perf_counter()
    basis = Basis.from_deltas(deltas, clip)
    composed = Composition(basis, "block", stream=form == "streamed").to(device)
    stacked = time.perf_counter()
    del deltas, basis
    gc.collect()
    (after, most), held = memory_of_process(), _on_gpu(device) - base
    with torch.no_grad():
        composed.coefficients.fill_(1 / count)
    factors = count_bytes(list(composed.terms.parameters()))
    batch = draw_batch(clip, args.tokens)
    run = partial(step, ours(composed), batch, "float32")
    forget_peak()
    taken = [timed(run, device) for _ in range(1 + args.rounds)][1:]
    return {
        "deltas": count,
        "form": form,
        "load_s": loaded - start,
        "stack_s": stacked - loaded,
        "factors_mb": factors / 1e6,
        "resident_mb": (after - before) / 1e6,
        "peak_mb": (most - before) / 1e6,
        "device_mb": held / 1e6,
        "tokens": count_tokens(clip, batch),
        "step_ms": 1000 * statistics.median(each.device for each in taken),
        "step_peak_mb": (memory_of_process()[1] - before) / 1e6,
    }


def measure_dense(clip: nn.Module, count: int, batch: Batch, rounds: int) -> list[Row]:
    """Dense deltas on the device, and streamed from host memory."""
    device = batch.images.device
    shapes, digest = weight_shapes(clip), digest_of(clip)
    deltas = [random_dense(k, shapes, digest) for k in range(count)]
    composed = {
        "resident": compose(clip, deltas),
        "streamed": compose(clip, deltas, stream=True),
    }
    forms = {name: ours(each) for name, each in composed.items()}
    runs = {name: partial(step, form, batch, "float32") for name, form in forms.items()}
    for run in runs.values():
        run()
    exact = forms["resident"].coefficients
    assert exact is not None
    assert exact.grad is not None
    errors = {name: gradient_error(form, exact.grad) for name, form in forms.items()}
    peaks = {name: peak_beyond(run, device) for name, run in runs.items()}
    taken = take_turns(runs, rounds, device)
    return [
        {
            "form": name,
            "deltas": count,
            "tokens": count_tokens(clip, batch),
            "device_mb": count_bytes(list(each.terms.parameters())) / 1e6,
            "host_mb": _streamed_bytes(each) / 1e6,
            "step_adds_mb": peaks[name] / 1e6,
            "step_ms": 1000 * statistics.median(turn.device for turn in taken[name]),
            "over_resident": median_ratio(taken[name], taken["resident"]).device,
            "gradient_error": errors[name],
        }
        for name, each in composed.items()
    ]


def _streamed_bytes(composed: Composition) -> int:
    terms = [term for term in composed.terms if isinstance(term, Streamed)]
    return count_bytes([update for term in terms for update in term.host.updates])


def _on_gpu(device: torch.device) -> int:
    return torch.cuda.memory_allocated(device) if device.type == "cuda" else 0


def _print_row(row: Row, *, first: bool) -> None:
    if first:
        print("\n" + "".join(f"{name:>15}" for name in row))
    print("".join(f"{_cell(value):>15}" for value in row.values()), flush=True)


def _cell(value: object) -> str:
    if not isinstance(value, float):
        return str(value)
    return f"{value:,.0f}" if abs(value) >= 100 else f"{value:.3g}"


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compose_stream", allow_abbrev=False)
    parser.add_argument("--deltas", type=int, nargs="+", default=[8, 64, 200], help="LoRA deltas")
    parser.add_argument("--forms", nargs="+", choices=FORMS, default=FORMS, help="of LoRA deltas")
    parser.add_argument("--dense", type=int, default=4, help="dense deltas")
    parser.add_argument("--layers", type=int, help="blocks, 0 for all (default: 2; on a GPU all)")
    parser.add_argument("--tokens", type=int, default=257, help="of a step, in whole images")
    parser.add_argument("--rounds", type=int, default=5, help="steps that are timed")
    parser.add_argument("--width", type=int, default=0, help="of the tower (test: 64)")
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    add_output(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
