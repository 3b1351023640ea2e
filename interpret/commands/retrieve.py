"""`python -m interpret retrieve`: images that are alike to one head."""

from __future__ import annotations

import argparse
from typing import Any, get_args

import numpy as np
import torch

from datamodules.errors import InputError
from interpret.decompose import codes, readout, trace
from interpret.flags import Once, whole
from interpret.moments import HeadMoments
from interpret.opening import add_subject, open_subject
from interpret.output import Output, add_output, default_folder
from interpret.picture_rows import Picture, picture_rows
from interpret.retrieval import Likeness, Nearest, head_features, nearest_images
from interpret.subject import Items, Subject

_PROBES = 500  # queries of the printed shares
_SHOWN = 16  # neighbors of a query in the picture


def add_parser(commands: Any) -> None:
    """The command's flags."""
    text = "images that are alike to one head"
    command = commands.add_parser("retrieve", help=text, description=text, allow_abbrev=False)
    add_subject(command)
    command.add_argument(
        "--layer", type=whole(-1), default=-1, help="from 0, or -1 for the last (default)"
    )
    command.add_argument("--head", type=whole(0), required=True, help="from 0")
    command.add_argument(
        "--queries", type=whole(0), nargs="+", action=Once, default=[],
        help="numbers of images within the split (default: the first four)",
    )  # fmt: skip
    command.add_argument(
        "--most", type=whole(1), default=8, help="images for each query (default: 8)"
    )
    command.add_argument(
        "--likeness", choices=get_args(Likeness), default="centered", help="default: centered"
    )
    add_output(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    subject = open_subject(args)
    items = subject.items
    args.queries = args.queries or list(range(min(len(items), 4)))
    if wrong := [query for query in args.queries if not 0 <= query < len(items)]:
        raise InputError(f"--queries: expected numbers from 0 to {len(items) - 1}, got {wrong[0]}.")
    head = f"{args.layer}.{args.head}"
    output = Output(default_folder(args, head), "retrieve", subject.protocol, as_json=args.json)
    tower = subject.headed
    maps = readout(tower, "separate")
    layers, heads, width, _ = maps.maps_LHCE.shape
    moments = HeadMoments.empty(subject.identity, layers, heads, width)
    kept = []
    for images in subject.batches():
        codes_BLHC = codes(trace(tower, images), maps)
        moments.update(codes_BLHC)
        kept.append(_of_head(codes_BLHC, args))
    features = head_features(moments, maps.maps_LHCE, args.layer, args.head, args.likeness)
    codes_NC = torch.cat(kept)
    found = nearest_images(codes_NC[args.queries], codes_NC, features, args.most + 1)
    probes = np.linspace(0, len(items) - 1, min(len(items), _PROBES), dtype=np.int64)
    near = nearest_images(codes_NC[probes], codes_NC, features, args.most + 1)
    shared = _shared(subject, probes, near, items)
    output.table(
        f"neighbors that share their query's value, over {len(probes)} queries",
        ("attribute", "neighbors", "chance"),
        [(name, f"{own:.2f}", f"{chance:.2f}") for name, (own, chance) in shared.items()],
    )
    output.json("neighbors.json", _neighbors(subject, args, found))
    output.figure("neighbors.png", _figure(subject, args, found))
    output.close({"layer": args.layer, "head": args.head, "likeness": args.likeness,
                  "shared": {name: own for name, (own, _) in shared.items()},
                  "chance": {name: chance for name, (_, chance) in shared.items()}})  # fmt: skip
    return 0


def _of_head(codes_BLHC: torch.Tensor, args: argparse.Namespace) -> torch.Tensor:
    layers, heads = codes_BLHC.shape[1:3]
    if not (-layers <= args.layer < layers and 0 <= args.head < heads):
        raise InputError(
            f"expected --layer from 0 to {layers - 1} and --head from 0 to {heads - 1}, got "
            f"{args.layer} and {args.head}."
        )
    return codes_BLHC[:, args.layer, args.head].cpu()


def _others(query: int, found: Nearest, row: int, most: int) -> list[int]:
    """Numbers of the neighbors, the query itself left out."""
    return [int(each) for each in found.index_BS[row] if int(each) != query][:most]


def _shared(
    subject: Subject, probes: Items, near: Nearest, items: Items
) -> dict[str, tuple[float, float]]:
    """Attribute -> share of neighbors of the query's value, and that of all images.

    The nearest image, which is the query itself, is left out.
    """
    shared = {}
    others_QS = near.index_BS[:, 1:].cpu().numpy()
    for name in subject.annotated:
        label_N = subject.labels(name, items)
        own_QX, other_QS = label_N[probes][:, None], label_N[others_QS]
        known_QS = (own_QX >= 0) & (other_QS >= 0)
        if known_QS.any():
            share_V = np.bincount(label_N[label_N >= 0]) / (label_N >= 0).sum()
            own_Q = own_QX[own_QX >= 0]
            same = float((own_QX == other_QS)[known_QS].mean())
            shared[name] = (same, float(share_V[own_Q].mean()))
    return shared


def _neighbors(subject: Subject, args: argparse.Namespace, found: Nearest) -> list[dict[str, Any]]:
    return [
        {
            "query": query,
            "neighbors": _others(query, found, row, args.most),
            "scores": [
                float(score)
                for score, each in zip(found.score_BS[row], found.index_BS[row], strict=True)
                if int(each) != query
            ][: args.most],
        }
        for row, query in enumerate(args.queries)
    ]


def _figure(subject: Subject, args: argparse.Namespace, found: Nearest) -> Any:
    """A row for each query: the query, then its neighbors."""
    items, name = subject.items, subject.data.attribute
    values, label_N = subject.data.values, subject.labels(name)
    rows = []
    for row, query in enumerate(args.queries):
        shown = [query, *_others(query, found, row, min(args.most, _SHOWN))]
        words = [values[label_N[each]] if label_N[each] >= 0 else "?" for each in shown]
        pictures = [subject.data.image(int(items[each])) for each in shown]
        rows.append(
            [
                Picture(image, word, stands_out=place == 0)
                for place, (image, word) in enumerate(zip(pictures, words, strict=True))
            ]
        )
    title = f"head {args.head} of layer {args.layer}, {args.likeness}, {subject.backbone.name}"
    return picture_rows(rows, title=f"{title}: a query and what is like it")
