"""One step that learns the coefficients of LoRA deltas, against its peers and its floor.

    python -m benchmarks.compose_step [--json] [--model ViT-L-14] [--layers 4]
        [--deltas 8 21 64] [--tokens 200 1600 6400] [--device cpu]

Forward, cosine cross-entropy, backward, on one batch of random images. Random weights in the real
shapes; deltas of rank 16 on all six Linear kinds of the image tower; one coefficient for each delta
and tensor of open_clip. The last block computes all its tokens, in every form.

    ours              the form of each module chosen by its shape
    activation, factored, contraction
                      the same with one form forced on all modules
    floor, ...        see `benchmarks._compose_peers`

The floor is what is left of our graph without the composition: a frozen forward pass, and the
gradient back to the outputs of the first block's q, k and v. `floor_to_tokens` goes on to the
tokens that enter this block, which no composition needs. The forms take turns; a ratio is the
median of the ratios within each turn: of processor seconds on one thread or, on a GPU, of seconds
between two events; beside it stands that of seconds by the clock. `gradient` is the largest
deviation of the coefficients' gradient from the dense sum in float32, over its largest entry.
`composed / plain` is the forward pass in evaluation mode over that of the base.

On a CPU: three cells at a cut depth, under four minutes of a quiet core. On a GPU: all cells,
the whole tower, with and without autocast to bfloat16; peak memory, which is what a form holds and
what its step adds; and the steps a second of a whole loop, plain and compiled: batches from
page-locked memory, step, AdamW. Dense peers are left out where their updates do not fit.
"""

from __future__ import annotations

import argparse
import gc
import itertools
import statistics
import sys
from collections.abc import Sequence
from typing import Any, NamedTuple

import torch
from torch import nn

from benchmarks import _compose_peers as peers
from benchmarks._compose_cell import Row, measure_cell, measure_loop
from benchmarks._compose_model import (
    depth,
    digest_of,
    draw_batch,
    random_clip,
    random_lora,
    weight_shapes,
)
from benchmarks._output import add_output, put_out
from benchmarks._timing import describe, device_of, memory_of
from datamodules.errors import InputError
from lightning_modules.delta import Delta

DELTAS, TOKENS = (8, 21, 64), (200, 1600, 6400)


class Sizes(NamedTuple):
    """What is measured where nothing else is asked for."""

    layers: int  # 0: all
    rounds: int
    cells: tuple[tuple[int, int], ...]  # deltas, tokens
    precisions: tuple[str, ...]


SIZES = {
    "cpu": Sizes(2, 3, ((16, 200), (8, 1600), (21, 1600)), ("float32",)),
    "cuda": Sizes(
        0, 20, tuple(itertools.product((8, 16, 21, 64), TOKENS)), ("float32", "bfloat16")
    ),
}


def main(argv: list[str] | None = None) -> int:
    """Measure, print tables and targets; with --json one object as the last line."""
    args = _parser().parse_args(argv)
    try:
        result = measure(args, device_of(args.device))
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    _print_result(result)
    put_out(result, args)
    return 0


def measure(args: argparse.Namespace, device: torch.device) -> dict[str, Any]:
    """All cells at all precisions, the whole loop on a GPU, and the targets."""
    sizes = SIZES[device.type]
    cells = list(sizes.cells)
    if args.deltas or args.tokens:
        cells = list(itertools.product(args.deltas or DELTAS, args.tokens or TOKENS))
    clip = random_clip(args.model, sizes.layers if args.layers is None else args.layers, args.width)
    shapes, digest = weight_shapes(clip), digest_of(clip)
    most = max(count for count, _ in cells)
    deltas = [random_lora(k, shapes, args.rank, digest) for k in range(most)]
    clip.to(device)
    rounds = args.rounds or sizes.rounds
    cell_rows: list[Row] = []
    step_rows: list[Row] = []
    for precision in sizes.precisions:
        dense, held = _dense(deltas, clip, precision)
        for count, tokens in cells:
            fits, batch = dense if count <= held else {}, draw_batch(clip, tokens)
            row, rows = measure_cell(clip, deltas[:count], fits, batch, precision, rounds)
            _print_cell(row, rows)
            cell_rows.append(row)
            step_rows += rows
            gc.collect()  # compositions and their models refer to each other
        del dense, fits
    result: dict[str, Any] = {
        "device": describe(device), "model": args.model, "layers": depth(clip), "rank": args.rank,
        "rounds": rounds, "float32_matmul": torch.get_float32_matmul_precision(),
        "cells": cell_rows, "steps": step_rows, "targets": targets(cell_rows, step_rows),
    }  # fmt: skip
    if device.type == "cuda":
        (count, _), (_, tokens) = cells[0], cells[-1]
        loops = [measure_loop(clip, deltas[:count], tokens, each) for each in sizes.precisions]
        result["loops"] = [row for rows in loops for row in rows]
    return result


def _dense(
    deltas: Sequence[Delta], clip: nn.Module, precision: str
) -> tuple[dict[str, peers.Block], int]:
    """Dense updates of as many deltas as fit, and how many these are.

    A third of the memory is for them; a step that rebuilds them keeps as many once more.
    """
    dtype = torch.float32 if precision == "float32" else torch.bfloat16
    weights = [clip.get_parameter(name) for name in weight_shapes(clip)]
    each = sum(weight.numel() for weight in weights) * dtype.itemsize
    count = min(len(deltas), memory_of(weights[0].device) // 3 // each)
    return peers.dense_blocks(deltas[:count], clip, dtype), count


def targets(cells: Sequence[Row], steps: Sequence[Row]) -> list[Row]:
    """What was aimed at, the worst cell measured, and whether it was met; None if not measured."""
    over = {
        (row["form"], row["deltas"], row["tokens"], row["precision"]): row["over_floor"]
        for row in steps
    }
    ours: dict[int, list[float]] = {8: [], 21: []}
    gains = []
    for (form, deltas, tokens, precision), ratio in over.items():
        if form == "ours" and deltas in ours and tokens >= 1600:
            ours[deltas].append(ratio)
        if form == "dense_sum" and deltas == 16 and tokens < 400:
            gains.append(ratio / over["ours", deltas, tokens, precision])
    overheads = [row["composed_over_plain"] for row in cells]
    return [
        _target("ours / floor, 8 deltas, from 1,600 tokens", ours[8], most=1.15),
        _target("ours / floor, 21 deltas, from 1,600 tokens", ours[21], most=1.45),
        _target("dense_sum / ours, 16 deltas, 200 tokens", gains, least=3.0),
        _target("bytes, dense / factors", [row["dense_over_factors"] for row in cells], least=30.0),
        _target("composed / plain, median of cells", [statistics.median(overheads)], most=1.02),
    ]


def _target(
    text: str, values: Sequence[float], *, most: float | None = None, least: float | None = None
) -> Row:
    bound = f"<= {most}" if most is not None else f">= {least}"
    row: Row = {"target": f"{text}, {bound}", "measured": None, "met": None}
    if values and most is not None:
        row |= {"measured": max(values), "met": max(values) <= most}
    if values and least is not None:
        row |= {"measured": min(values), "met": min(values) >= least}
    return row


def _print_cell(cell: Row, steps: Sequence[Row]) -> None:
    print(
        f"\n{cell['precision']}, {cell['deltas']} deltas, {cell['tokens']} tokens: "
        f"floor {steps[0]['ms']:.1f} ms, composed / plain {cell['composed_over_plain']:.3f}, basis "
        f"{cell['factors_mb']:.1f} MB ({cell['dense_over_factors']:.1f} x less than dense)"
    )
    print(f"{'form':<16}{'ms':>9}{'/ floor':>9}{'by clock':>10}{'gradient':>10}{'MiB':>8}")
    for row in steps:
        error = "" if row["gradient_error"] is None else f"{row['gradient_error']:.0e}"
        memory = "" if row["peak_mib"] is None else f"{row['peak_mib']:,.0f}"
        ratios = f"{row['over_floor']:>9.3f}{row['over_floor_wall']:>10.3f}"
        print(f"{row['form']:<16}{row['ms']:>9.1f}{ratios}{error:>10}{memory:>8}", flush=True)
    if all(row["form"] != "dense_sum" for row in steps):
        print("dense_sum, rebuilt: not measured, as dense updates do not fit in the memory")


def _print_result(result: dict[str, Any]) -> None:
    print(
        f"\n{result['model']}, {result['layers']} blocks, rank {result['rank']}, "
        f"{result['device']}, {result['rounds']} rounds"
    )
    for row in result.get("loops", []):
        way = "compiled" if row["compiled"] else "as it is"
        print(
            f"loop of {row['images']} images, {row['precision']}, {row['form']}, {way}: "
            f"{row['steps_per_second']:.2f} steps/s, {row['peak_mib']:,.0f} MiB"
        )
    for row in result["targets"]:
        verdict = {None: "not measured", True: "met", False: "MISSED"}[row["met"]]
        measured = "" if row["measured"] is None else f"{row['measured']:.3f}, "
        print(f"{row['target']}: {measured}{verdict}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.compose_step", allow_abbrev=False)
    parser.add_argument("--model", choices=["ViT-B-32", "ViT-L-14"], default="ViT-B-32")
    parser.add_argument("--layers", type=int, help="blocks, 0 for all (default: 2; on a GPU all)")
    parser.add_argument("--deltas", type=int, nargs="+", help=f"default, with --tokens: {DELTAS}")
    parser.add_argument("--tokens", type=int, nargs="+", help=f"default, with --deltas: {TOKENS}")
    parser.add_argument("--rank", type=int, default=16, help="of each delta")
    parser.add_argument("--rounds", type=int, help="turns that are timed (default: 3; on a GPU 20)")
    parser.add_argument(
        "--width", type=int, default=0, help="of the tower, 0 for its own (test: 64)"
    )
    parser.add_argument("--device", choices=["auto", "cpu", "cuda"], default="auto")
    add_output(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
