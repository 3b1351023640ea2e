"""Taking embeddings apart into heads, against the form that builds every token's contribution.

    python -m benchmarks.interpret_decompose [--json] [--model ViT-B-16] [--images 4]

A tower with random weights and split attention, float32. Time is measured in turns, memory as the
bytes of tensors that a form holds at most beyond a plain forward pass.

    forward     `encode_image`, nothing kept
    ours        a pass that keeps what heads hand to their output projections: codes, MLPs and
                the entrance; `Decomposition.codes_BLHC` stands for all contributions
    built       ours, and the contributions of all heads in the embedding (B, L, H, E)
    tokens      the contribution of every token through every head to the class token, layer by
                layer, (B, S, H, E), all layers kept
    published   the same for every query, as the paper's code has it: (B, Q, S, H, W) a layer, of
                which the class token's row is kept; one image, one layer, as it fills memory

Ratios are medians of the ratios within each turn.
"""

from __future__ import annotations

import argparse
import statistics
from collections.abc import Callable
from functools import partial
from itertools import accumulate
from typing import Any

import torch
from torch import Tensor
from torch.profiler import ProfilerActivity, profile

from benchmarks._compose_model import random_clip
from benchmarks._output import add_output, put_out
from benchmarks._timing import (
    describe,
    device_of,
    median_ratio,
    peak_beyond,
    take_turns,
)
from interpret.decompose import Readout, decompose, readout, token_codes, trace
from interpret.taps import Call, tap_attention
from interpret.towers import Tower, image_tower

FORMS = ("forward", "ours", "built", "tokens", "published")
Row = dict[str, Any]


def main(argv: list[str] | None = None) -> int:
    """Measure, print the table and targets; with --json one object as the last line."""
    args = _parser().parse_args(argv)
    result = measure(args)
    head = ("form", "seconds", "/ forward", "peak MB beyond forward")
    print(f"{args.model}, {args.images} images, {result['device']}\n")
    print("{:<12}{:>10}{:>12}{:>26}".format(*head))
    for row in result["forms"]:
        memory = f"{row['peak_mb']:.1f}"
        print(f"{row['form']:<12}{row['s']:>10.3f}{row['over_forward']:>12.3f}{memory:>26}")
    print()
    for row in result["targets"]:
        print(f"{row['target']:<60}{row['measured']:>10.3f}  {'met' if row['met'] else 'MISSED'}")
    put_out(result, args)
    return 0


def measure(args: argparse.Namespace) -> dict[str, Any]:
    """A row a form, and the targets."""
    device = device_of(args.device)
    runs = forms(args, device)
    taken = take_turns(runs, args.rounds, device)
    peaks = {form: _peak(run, device) for form, run in runs.items()}
    rows = [
        {
            "form": form,
            "s": statistics.median(each.wall for each in taken[form]),
            "over_forward": median_ratio(taken[form], taken["forward"]).device,
            "peak_mb": (peaks[form] - peaks["forward"]) / 1e6,
        }
        for form in FORMS
    ]
    facts = {name: getattr(args, name) for name in ("model", "images", "rounds")}
    return {"device": describe(device), **facts, "forms": rows, "targets": targets(rows)}


def targets(rows: list[Row]) -> list[Row]:
    """What was aimed at, what was measured, and whether it was met."""
    by_form = {row["form"]: row for row in rows}
    overhead = by_form["ours"]["over_forward"]
    less = by_form["tokens"]["peak_mb"] / by_form["ours"]["peak_mb"]
    published = by_form["published"]["peak_mb"] / by_form["ours"]["peak_mb"]
    return [
        {"target": "ours / forward, <= 1.10", "measured": overhead, "met": overhead <= 1.10},
        {"target": "memory of tokens / ours, >= 50", "measured": less, "met": less >= 50},
        {"target": "memory of published / ours, >= 50", "measured": published,
         "met": published >= 50},
    ]  # fmt: skip


def forms(args: argparse.Namespace, device: torch.device) -> dict[str, Callable[[], object]]:
    """The forms, ready to run."""
    model: Any = random_clip(args.model).to(device)
    torch.manual_seed(0)
    side: Any = model.visual.image_size
    size = (side, side) if isinstance(side, int) else side
    images = torch.randn(args.images, 3, *size, device=device)
    tower = image_tower(model)
    maps = readout(tower)
    return {
        "forward": torch.no_grad()(partial(model.encode_image, images)),
        "ours": partial(decompose, tower, images, maps=maps),
        "built": lambda: decompose(tower, images, maps=maps).heads_BLHE,
        "tokens": partial(tokens, tower, images, maps),
        "published": partial(published, tower, images[:1]),
    }


@torch.no_grad()
def tokens(tower: Tower, images: Tensor, maps: Readout) -> list[Tensor]:
    """Every token's contribution through every head, (B, S, H, E), one a layer."""
    found = trace(tower, images, with_tokens=True)
    return [
        torch.einsum("bshc,hce->bshe", token_codes(found, maps, layer), maps.maps_LHCE[layer])
        for layer in range(len(tower.layers))
    ]


@torch.no_grad()
def published(tower: Tower, images: Tensor) -> Tensor:
    """What every token adds to every query in the first layer: all rows built, one kept."""
    calls: list[Call] = []
    with tap_attention({"0": tower.attentions["0"]}, calls.append):
        tower.run(images)
    (call,) = calls
    weighted_BQSHW = torch.einsum("bhqs,bhsw->bqshw", call.weights(), call.value)
    out = tower.layers[0].out()
    width = call.value.shape[-1]
    columns_DHW = out.weight.view(len(out.weight), -1, width)
    written_BQSHD = torch.einsum("bqshw,dhw->bqshd", weighted_BQSHW, columns_DHW)
    return written_BQSHD[:, 0].clone()


def _peak(run: Callable[[], object], device: torch.device) -> int:
    """Bytes of tensors that a run holds at once at most, beyond what was there before.

    On a CPU every allocation is counted: what a process holds depends on its allocator's mood.
    """
    if device.type == "cuda":
        return peak_beyond(run, device)
    run()  # what the first call sets up is not the form's
    with profile(activities=[ProfilerActivity.CPU], profile_memory=True) as profiler:
        kept = run()
        del kept
    events: Any = profiler.profiler.kineto_results.events()
    changes = sorted(
        (each.start_ns(), each.nbytes()) for each in events if each.name() == "[memory]"
    )
    held: list[int] = list(accumulate(change for _, change in changes))
    return max(held)


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m benchmarks.interpret_decompose")
    parser.add_argument("--model", default="ViT-B-16", help="default: ViT-B-16")
    parser.add_argument("--images", type=int, default=4, help="of a pass (default: 4)")
    parser.add_argument("--rounds", type=int, default=7, help="turns (default: 7)")
    parser.add_argument("--device", choices=("auto", "cpu", "cuda"), default="auto")
    add_output(parser)
    return parser


if __name__ == "__main__":
    raise SystemExit(main())
