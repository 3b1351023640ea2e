"""TextSpan of every head of a ViT-B-16 from moments, against the paper's loop over all images.

    python -m benchmarks.interpret_textspan [--json] [--layers 24] [--heads 16] [--embedding 768]
        [--images 1000 4000] [--texts 60] [--pool 3498]

Random codes of falling variance, random maps, random texts of unit norm.

    ours      `text_span`, all heads, once the moments are there
    somp      the same with the other rule of choice
    floor     the texts in the coordinates of every head's span: one product with all texts, and
              their variances; no choice among the texts can do without
    images    the paper's algorithm on the contributions of all images, float64

The loop over images is timed for one head and a few texts, then scaled to all heads and texts: a
singular value decomposition a head, and equal steps, one product of images and texts each. Beside
it stands whether both chose the same. `gather` is what it takes to sum up the moments. The forms
take turns; processor seconds on one thread, and ratios, are medians over turns.
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Sequence
from functools import partial
from typing import Any

import torch
from torch import Tensor

from benchmarks._output import add_output, put_out
from benchmarks._timing import describe, device_of, median_ratio, take_turns, timed
from interpret.head_space import head_space
from interpret.moments import HeadMoments
from interpret.pools import TextPool
from interpret.textspan import text_span

_BATCH = 250  # images of a batch of codes
Row = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table and targets; with --json one object as the last line."""
    args = _parser().parse_args(argv)
    result = measure(args)
    _print_result(result)
    put_out(result, args)
    return 0


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """One row a number of images, and the targets."""
    device = device_of("cpu")
    draw = torch.Generator().manual_seed(0)
    shape = (args.layers, args.heads, args.width)
    maps_LHCE = torch.randn(*shape, args.embedding, generator=draw) / args.embedding**0.5
    text_TE = torch.randn(args.pool, args.embedding, generator=draw, dtype=torch.float64)
    text_TE = torch.nn.functional.normalize(text_TE, dim=-1)
    rows = [measure_cell(args, maps_LHCE, text_TE, count, device) for count in args.images]
    return {
        "device": describe(device),
        **{name: getattr(args, name) for name in ("layers", "heads", "width", "embedding")},
        **{name: getattr(args, name) for name in ("pool", "texts", "rounds", "loop_texts")},
        "cells": rows,
        "targets": targets(rows),
    }


def measure_cell(
    args: argparse.Namespace, maps_LHCE: Tensor, text_TE: Tensor, count: int, device: torch.device
) -> Row:
    """All forms at one number of images."""
    moments = HeadMoments.empty("random", *maps_LHCE.shape[:3])
    first_head = []
    gathering = 0.0
    for number, start in enumerate(range(0, count, _BATCH)):
        codes_BLHC = draw_codes(maps_LHCE, min(_BATCH, count - start), number)
        gathering += timed(partial(moments.update, codes_BLHC), device).device
        first_head.append(codes_BLHC[:, 0, 0].double() @ maps_LHCE[0, 0].double())
    data_NE = torch.cat(first_head)
    pool = TextPool("random texts", tuple(map(str, range(len(text_TE)))))
    ours = partial(text_span, moments, maps_LHCE, pool, text_TE, num_texts=args.texts)
    rank = min(maps_LHCE.shape[-2:])
    runs = {
        "floor": partial(floor, moments, maps_LHCE, text_TE),
        "ours": ours,
        "somp": partial(ours, method="somp"),
        "prepare": partial(prepare, data_NE, text_TE, rank),
        "steps": partial(choose, *prepare(data_NE, text_TE, rank), args.loop_texts),
    }
    taken = take_turns(runs, args.rounds, device)
    seconds = {name: statistics.median(each.device for each in taken[name]) for name in taken}
    all_heads = args.layers * args.heads
    scaled = all_heads * (seconds["prepare"] + seconds["steps"] * args.texts / args.loop_texts)
    chosen = ours().index_LHS[0, 0, : args.loop_texts].tolist()
    return {
        "images": count,
        "gather_s": gathering,
        "floor_s": seconds["floor"],
        "ours_s": seconds["ours"],
        "somp_s": seconds["somp"],
        "images_s_scaled": scaled,
        "ours_over_floor": median_ratio(taken["ours"], taken["floor"]).device,
        "images_over_ours": scaled / seconds["ours"],
        "same_texts": runs["steps"]() == chosen,
    }


def draw_codes(maps_LHCE: Tensor, count: int, seed: int) -> Tensor:
    """Codes (B, L, H, C) about a mean, of variances that fall from code to code."""
    shape = maps_LHCE.shape[:3]
    mean_LHC = torch.randn(shape, generator=torch.Generator().manual_seed(7)) / 3
    codes_BLHC = torch.randn(count, *shape, generator=torch.Generator().manual_seed(seed))
    return codes_BLHC * torch.exp(-torch.arange(shape[2]) / 12.0) + mean_LHC


def floor(moments: HeadMoments, maps_LHCE: Tensor, text_TE: Tensor) -> None:
    """Coordinates of all texts and their variances, head by head."""
    for number in range(maps_LHCE.shape[0] * maps_LHCE.shape[1]):
        space = head_space(moments, maps_LHCE, slice(number, number + 1))
        text_QT = space.basis_GEQ[0].T @ text_TE.T
        ((space.covariance_GQQ[0] @ text_QT) * text_QT).sum(0)


def prepare(data_NE: Tensor, text_TE: Tensor, rank: int) -> tuple[Tensor, Tensor]:
    """Centered contributions of one head, and texts in the span of its leading directions."""
    right_RE = torch.linalg.svd(data_NE, full_matrices=False)[2][:rank]
    return data_NE - data_NE.mean(0), text_TE @ right_RE.T @ right_RE


def choose(data_NE: Tensor, text_TE: Tensor, steps: int) -> list[int]:
    """The paper's loop: numbers of the texts chosen."""
    chosen = []
    for _ in range(steps):
        best = int((data_NE @ text_TE.T).std(0, correction=0).argmax())
        unit_E = text_TE[best] / text_TE[best].norm()
        data_NE = data_NE - torch.outer(data_NE @ unit_E, unit_E)
        text_TE = text_TE - torch.outer(text_TE @ unit_E, unit_E)
        chosen.append(best)
    return chosen


def targets(rows: Sequence[Row]) -> list[Row]:
    """What was aimed at, what was measured, and whether it was met; None if not measured."""
    few, many = rows[0], rows[-1]
    growth = many["ours_s"] / few["ours_s"] if len(rows) > 1 else None
    slowest = max(row["ours_s"] for row in rows)
    return [
        {
            "target": "ours, all heads, <= 30 s of one thread",
            "measured": slowest,
            "met": slowest <= 30,
        },
        {
            "target": "ours, most / fewest images, <= 1.2",
            "measured": growth,
            "met": None if growth is None else growth <= 1.2,
        },
    ]


def _print_result(result: Row) -> None:
    print(
        f"{result['layers']} x {result['heads']} heads, codes of {result['width']}, embeddings of "
        f"{result['embedding']}, {result['texts']} of {result['pool']} texts, {result['device']}, "
        f"{result['rounds']} rounds"
    )
    print(
        f"{'images':>8}{'gather s':>10}{'floor s':>9}{'ours s':>8}{'somp s':>8}{'/ floor':>9}"
        f"{'images, scaled s':>18}{'/ ours':>8}  same texts"
    )
    for row in result["cells"]:
        print(
            f"{row['images']:>8,}{row['gather_s']:>10.2f}{row['floor_s']:>9.2f}{row['ours_s']:>8.2f}"
            f"{row['somp_s']:>8.2f}{row['ours_over_floor']:>9.2f}{row['images_s_scaled']:>18,.0f}"
            f"{row['images_over_ours']:>8,.0f}  {'yes' if row['same_texts'] else 'NO'}"
        )
    for row in result["targets"]:
        verdict = {None: "not measured", True: "met", False: "MISSED"}[row["met"]]
        measured = "" if row["measured"] is None else f"{row['measured']:.3f}, "
        print(f"{row['target']}: {measured}{verdict}")


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.interpret_textspan", allow_abbrev=False
    )
    parser.add_argument("--layers", type=int, default=12)
    parser.add_argument("--heads", type=int, default=12, help="of a layer")
    parser.add_argument("--width", type=int, default=67, help="of a code: of a head and 3")
    parser.add_argument("--embedding", type=int, default=512)
    parser.add_argument("--pool", type=int, default=3498, help="texts to choose from")
    parser.add_argument("--texts", type=int, default=60, help="of each head")
    parser.add_argument("--images", type=int, nargs="+", default=[1000, 4000])
    parser.add_argument("--loop_texts", type=int, default=4, help="that the loop is timed for")
    parser.add_argument("--rounds", type=int, default=3, help="turns that are timed")
    add_output(parser)
    return parser


if __name__ == "__main__":
    sys.exit(main())
