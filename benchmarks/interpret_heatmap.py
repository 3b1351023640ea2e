"""One heat map of a text by pull-back, against building what every token adds through every head.

    python -m benchmarks.interpret_heatmap [--json] [--model ViT-B-16] [--layers 12] [--images 1]
        [--texts 1] [--rounds 5] [--device cpu]

All start from one traced pass, in random weights of the real shapes, and give the same map:

    pull-back       the text goes back through each head's map; tokens meet it in the head's width
    materialized    tokens x heads x the stream's width, as in the paper: what a token writes by a
                    head goes through the final LayerNorm and the projection, and meets the text
    folded          tokens x heads x the embedding's width, through maps that hold LayerNorm and
                    projection already: the best that materializing can do
    pass            the traced pass itself, for scale

All but the pass go one layer after the other, so that memory is that of one layer.

The forms take turns; a ratio is the median of the ratios within each turn, of processor seconds on
one thread or, on a GPU, of seconds between two events.
"""

from __future__ import annotations

import argparse
import sys
from typing import Any

import torch
from torch import Tensor

from benchmarks._compose_model import random_clip
from benchmarks._output import add_output, put_out
from benchmarks._timing import describe, device_of, median_ratio, take_turns
from datamodules.errors import InputError
from interpret.decompose import Readout, Trace, readout, token_codes, token_scores, trace
from interpret.towers import Tower, image_tower

PROMISE = 50.0  # times faster than materialized
PULL_BACK, MATERIALIZED, FOLDED, PASS = "pull-back", "materialized", "folded", "pass"


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.interpret_heatmap", allow_abbrev=False
    )
    parser.add_argument("--model", default="ViT-B-16", help="architecture of open_clip")
    parser.add_argument("--layers", type=int, default=0, help="blocks that are kept (0: all)")
    parser.add_argument("--width", type=int, default=0, help="width of a smaller tower")
    parser.add_argument("--images", type=int, default=1, help="images of the batch")
    parser.add_argument("--texts", type=int, default=1, help="texts, each with its own map")
    parser.add_argument("--rounds", type=int, default=5, help="turns of the forms")
    parser.add_argument("--device", default="auto", choices=("auto", "cpu", "cuda"))
    add_output(parser)
    args = parser.parse_args(argv)
    try:
        result = measure(args)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2
    for row in result["forms"]:
        print(f"{row['form']:<14} {1000 * row['seconds']:>10.2f} ms {row['ratio']:>8.1f}")
    print(
        f"ratio: to pull-back; promise: materialized at {PROMISE:g} or more; what a "
        f"layer writes: {result['bytes'] / 2**20:.1f} MiB; deviation {result['deviation']:.1e}"
    )
    put_out(result, args)
    return 0


@torch.no_grad()
def measure(args: argparse.Namespace) -> dict[str, Any]:
    """Median seconds of every form and its ratio to pull-back."""
    device = device_of(args.device)
    clip = random_clip(args.model, args.layers, args.width).to(device)
    tower = image_tower(clip)
    random = torch.Generator().manual_seed(0)
    side = clip.visual.image_size[0]
    images = torch.randn(args.images, 3, side, side, generator=random).to(device)
    maps, found = readout(tower), trace(tower, images, with_tokens=True)
    texts_TE = torch.randn(args.texts, maps.stream_DE.shape[1], generator=random).to(device)
    runs = {
        PULL_BACK: lambda: token_scores(found, maps, texts_TE),
        MATERIALIZED: lambda: materialized(tower, found, maps, texts_TE),
        FOLDED: lambda: folded(found, maps, texts_TE),
        PASS: lambda: trace(tower, images, with_tokens=True),
    }
    ours = runs[PULL_BACK]()
    others = [runs[name]() for name in (MATERIALIZED, FOLDED)]
    taken = take_turns(runs, args.rounds, device)
    rows = [
        {
            "form": name,
            "seconds": sorted(each.device for each in seconds)[len(seconds) // 2],
            "ratio": median_ratio(seconds, taken[PULL_BACK]).device,
        }
        for name, seconds in taken.items()
    ]
    tokens = ours.shape[2]
    return {
        "device": describe(device), "model": args.model, "layers": len(tower.layers),
        "heads": tower.num_heads, "tokens": tokens, "width": texts_TE.shape[1],
        "images": args.images, "texts": args.texts, "rounds": args.rounds,
        "bytes": 4 * args.images * tokens * tower.num_heads * maps.stream_DE.shape[0],
        "deviation": max(float((ours - x).abs().max() / x.abs().max()) for x in others),
        "promise": PROMISE, "met": rows[1]["ratio"] >= PROMISE, "forms": rows,
    }  # fmt: skip


def materialized(tower: Tower, found: Trace, maps: Readout, texts_TE: Tensor) -> Tensor:
    """The map (B, T, S) by the paper's definition; constants divided evenly over the parts."""
    total: Tensor | None = None
    length = found.output_BE.norm(dim=-1)[:, None, None, None]
    for layer, traced in zip(tower.layers, found.layers, strict=True):
        out = layer.out()
        assert traced.values_BHSW is not None
        assert traced.source_BHS is not None
        _, heads, tokens, width = traced.values_BHSW.shape
        weight_DHW = out.weight.view(-1, heads, width)
        weighted_BHSW = traced.values_BHSW * traced.source_BHS[..., None]
        written_BSHD = torch.einsum("bhsw,dhw->bshd", weighted_BHSW, weight_DHW)
        count = tokens * heads
        bias = traced.weight_B[:, None, None, None] * out.bias / count
        share = 1 / (maps.num_blocks * count)
        normed_BSHD = written_BSHD + bias - share * found.mean_B[:, None, None, None]
        added_BSHE = normed_BSHD @ maps.stream_DE + share * maps.constant_E
        scores_BTS = torch.einsum("bshe,te->bts", added_BSHE / length, texts_TE)
        total = scores_BTS if total is None else total + scores_BTS
    assert total is not None  # every tower here has layers
    return total


def folded(found: Trace, maps: Readout, texts_TE: Tensor) -> Tensor:
    """The map (B, T, S) from what every token of every head adds to the embedding."""
    total: Tensor | None = None
    for layer, maps_HCE in enumerate(maps.maps_LHCE):
        codes_BSHC = token_codes(found, maps, layer)
        added_BSHE = torch.einsum("bshc,hce->bshe", codes_BSHC, maps_HCE)
        scores_BTS = torch.einsum("bshe,te->bts", added_BSHE, texts_TE)
        total = scores_BTS if total is None else total + scores_BTS
    assert total is not None  # every tower here has layers
    return total


if __name__ == "__main__":
    sys.exit(main())
