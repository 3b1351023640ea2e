"""`python -m interpret textspan`: texts that name what every head writes."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any, get_args

from datamodules.text_table import listed
from interpret.decompose import CONVENTIONS, readout
from interpret.flags import whole
from interpret.head_figure import head_figure
from interpret.heads.keywords import KeywordRole, scan_keywords
from interpret.opening import add_subject, open_subject
from interpret.output import Output, add_output, default_folder
from interpret.parts import Part
from interpret.pools import (
    OnDuplicate,
    TextPool,
    descriptor_pool,
    dictionary_pool,
    encode_pool,
    read_pool,
)
from interpret.streaming import gather_moments
from interpret.subject import Subject
from interpret.textspan import (
    TextSpan,
    mean_shift,
    nearest_texts,
    principal_directions,
    text_span,
)
from interpret.textspan.span import Method

MOMENTS_NAME = "moments.npz"
_SHOWN = 5  # texts of a head in the printed table
_LEAST_SURE = 0.05  # rate of false discoveries that is still shown


def add_parser(commands: Any) -> None:
    """The command's flags."""
    text = "texts that name what every head writes"
    command = commands.add_parser("textspan", help=text, description=text, allow_abbrev=False)
    add_subject(command)
    command.add_argument(
        "--pool", default="dictionary",
        help="texts to choose from: dictionary, a file of one text a line, or a JSON file of class "
        "descriptors (default: dictionary)",
    )  # fmt: skip
    command.add_argument(
        "--on_duplicate", choices=get_args(OnDuplicate), default="refuse",
        help="what to do with a text that comes twice (default: refuse)",
    )  # fmt: skip
    command.add_argument(
        "--num_texts", type=whole(1), default=20, help="of each head (default: 20)"
    )
    command.add_argument(
        "--rank", type=whole(1), help="directions kept, 80 in the paper (default: all)"
    )
    command.add_argument(
        "--method", choices=get_args(Method), default="textspan", help="default: textspan"
    )
    command.add_argument(
        "--convention", choices=CONVENTIONS, default="shared",
        help="constants divided among the parts, as in the paper, or a part of their own",
    )  # fmt: skip
    add_output(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    subject = open_subject(args)
    output = Output(default_folder(args), "textspan", subject.protocol, as_json=args.json)
    pool = _pool(args, subject)
    text_TE = encode_pool(subject.backbone, pool)
    moments = gather_moments(subject, output.folder / MOMENTS_NAME, args.convention)
    maps_LHCE = readout(subject.tower, args.convention).maps_LHCE
    span = text_span(
        moments, maps_LHCE, pool, text_TE,
        num_texts=args.num_texts, rank=args.rank, method=args.method,
    )  # fmt: skip
    span.save(output.folder / "texts.npz")
    output.paths += [output.folder / name for name in (MOMENTS_NAME, "texts.npz", "texts.json")]
    output.json("directions.json", _directions(moments, maps_LHCE, pool, text_TE))
    layers, heads = span.variance_LH.shape
    rows = [_row(span, layer, head) for layer in range(layers) for head in range(heads)]
    output.table("texts of every head", ("layer", "head", "explained", "texts"), rows)
    spoken = _spoken(subject, span) if args.pool == "dictionary" else []
    if spoken:
        output.table(
            "heads whose texts speak of one attribute more than others do (q < 0.05)",
            ("layer", "head", "attribute", "texts", "of", "q"),
            [
                (each.head.layer, each.head.head, each.attribute, each.count, each.num_texts,
                 f"{each.q:.3f}")
                for each in spoken
            ],
        )  # fmt: skip
    title = f"variance explained by {span.share_LHS.shape[-1]} texts, {subject.backbone.name}"
    explained_LH = span.share_LHS.sum(-1).cpu().numpy()
    output.figure("explained.png", head_figure({"": explained_LH}, title=title))
    metrics = {
        "pool": pool.name,
        "texts_in_pool": len(pool),
        "method": args.method,
        "convention": args.convention,
        "rank": args.rank,
        "mean_explained": float(explained_LH.mean()),
        "spoken": spoken,
    }
    output.close(metrics)
    return 0


def _pool(args: argparse.Namespace, subject: Subject) -> TextPool:
    if args.pool == "dictionary":
        return dictionary_pool(subject.data.dictionary)
    path = Path(args.pool)
    return descriptor_pool(path) if path.suffix == ".json" else read_pool(path, args.on_duplicate)


def _spoken(subject: Subject, span: TextSpan) -> list[KeywordRole]:
    """Heads whose texts name values of an attribute more often than all heads' do."""
    layers, heads = span.variance_LH.shape
    texts = {
        Part("head", layer, head): [each.text for each in span.texts(layer, head)]
        for layer in range(layers)
        for head in range(heads)
    }
    words = {
        name: subject.data.dictionary.attribute(name).texts
        for name in subject.data.dictionary.names
    }
    if not words or not all(texts.values()):
        return []  # a head that says the same of all images has no texts
    return [role for role in scan_keywords(texts, words) if role.q < _LEAST_SURE]


def _row(span: TextSpan, layer: int, head: int) -> tuple[str, str, str, str]:
    texts = [each.text for each in span.texts(layer, head)]
    explained = f"{float(span.share_LHS[layer, head].sum()):.2f}"
    return str(layer), str(head), explained, listed(texts, _SHOWN)


def _directions(moments: Any, maps_LHCE: Any, pool: TextPool, text_TE: Any) -> list[dict[str, Any]]:
    """Texts at both ends of every head's first principal directions, and of its mean."""
    principal = principal_directions(moments, maps_LHCE)
    shift = mean_shift(moments, maps_LHCE)
    layers, heads = shift.share_LH.shape
    found = []
    for layer in range(layers):
        for head in range(heads):
            ends = nearest_texts(principal.direction_LHSE[layer, head], pool, text_TE)
            (mean,) = nearest_texts(shift.direction_LHE[layer, head][None], pool, text_TE)
            found.append(
                {
                    "layer": layer,
                    "head": head,
                    "principal": [
                        {"share": float(share), **end._asdict()}
                        for share, end in zip(principal.share_LHS[layer, head], ends, strict=True)
                    ],
                    "mean": {"share": float(shift.share_LH[layer, head]), **mean._asdict()},
                }
            )
    return found
