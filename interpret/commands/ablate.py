"""`python -m interpret ablate`: accuracy without heads, layers or MLPs."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np
import torch

from datamodules.errors import InputError
from interpret.ablate import (
    Ablation,
    LayerCurve,
    ablated_logits,
    layer_curve,
    mean_head_outputs,
    run_with_heads,
    sweep,
)
from interpret.ablate.ablation import BY
from interpret.commands.asked import AttributeTexts, add_attributes, attribute_texts, scores_of
from interpret.commands.layer_figure import layer_figure
from interpret.flags import Once, whole
from interpret.head_figure import head_figure
from interpret.heads.study import KINDS
from interpret.opening import add_subject, open_subject
from interpret.output import Output, add_output, default_folder
from interpret.parts import Asked, Part, PartScores, heads
from interpret.subject import Items, Subject


def add_parser(commands: Any) -> None:
    """The command's flags."""
    text = "accuracy without heads, layers or MLPs"
    command = commands.add_parser("ablate", help=text, description=text, allow_abbrev=False)
    add_subject(command)
    add_attributes(command)
    command.add_argument("--by", choices=BY, default="mean", help="what takes a part's place")
    command.add_argument(
        "--means_from", default="train",
        help='split that means or replacements come from, or "self" (default: train)',
    )  # fmt: skip
    command.add_argument(
        "--num_means", type=whole(1), default=1000, help="images of it (default: 1000)"
    )
    command.add_argument(
        "--parts", nargs="+", action=Once, default=[],
        help='parts to ablate together, such as "layer 3 head 1" or "mlp 0"; heads also by '
        "running the model again (total effect)",
    )  # fmt: skip
    add_output(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    subject = open_subject(args)
    output = Output(default_folder(args), "ablate", _protocol(args, subject), as_json=args.json)
    chosen = [Part.parse(name) for name in args.parts]
    asked = attribute_texts(subject, args.attributes)
    scores, known = scores_of(subject, asked, subject.items, "images")
    if not known:
        raise InputError(f"expected images of known {', '.join(asked.attributes)}, got none.")
    ablation = Ablation(args.by, "self")
    if args.means_from != "self":
        source, _ = scores_of(subject, asked, _means_items(args, subject), "images for means")
        ablation = Ablation(args.by, source)
    kinds = [kind for kind in KINDS if any(part.kind == kind for part in scores.parts)]
    curves = [layer_curve(scores, known, ablation, kind) for kind in kinds]
    losses = sweep(scores, known, ablation)
    _tell(output, scores, known, curves, losses)
    metrics = {
        "by": args.by,
        "accuracy": {each.name: each.accuracy(scores.logits_NC) for each in known},
        "curves": [vars(curve) for curve in curves],
        "losses": {
            str(part): dict(zip((each.name for each in known), row.tolist(), strict=True))
            for part, row in zip(scores.parts, losses, strict=True)
        },
    }
    if chosen:
        metrics["together"] = _together(args, subject, asked, scores, known, ablation, chosen)
        rows = [
            (name, *(f"{found[key]:.3f}" for key in ("whole", "direct", "total") if key in found))
            for name, found in metrics["together"].items()
        ]
        head = ("attribute", "whole", "direct", "total")[: len(rows[0])]
        output.table(f"accuracy without {', '.join(args.parts)}", head, rows)
    output.close(metrics)
    return 0


def _protocol(args: argparse.Namespace, subject: Subject) -> dict[str, Any]:
    means = args.means_from if args.means_from == "self" else f"{args.means_from}, labels unused"
    return subject.protocol | {"reported": subject.split, "means": means}


def _means_items(args: argparse.Namespace, subject: Subject) -> Items:
    """The images that means are taken from."""
    if args.means_from == "self":
        return subject.items
    return subject.part_of(args.means_from, args.num_means)


def _tell(
    output: Output,
    scores: PartScores,
    known: list[Asked],
    curves: list[LayerCurve],
    losses: np.ndarray[Any, np.dtype[np.float64]],
) -> None:
    names = [each.name for each in known]
    for curve in curves:
        rows: list[tuple[str, ...]] = [("none", *(f"{curve.whole[n]:.3f}" for n in names))]
        for place, layer in enumerate(curve.layers):
            rows.append((f"0 to {layer}", *(f"{curve.accuracy[n][place]:.3f}" for n in names)))
        kind = "heads" if curve.kind == "head" else "MLPs"
        output.table(f"accuracy without the {kind} of layers", ("layers", *names), rows)
    output.figure("layers.png", layer_figure(curves, title="accuracy as layers are ablated"))
    found = heads(scores.parts)
    layers = 1 + max(part.layer for part in found)
    table = losses[scores.index(found)].reshape(layers, -1, len(names))
    panels = {name: table[..., column] for column, name in enumerate(names)}
    output.figure("heads.png", head_figure(panels, title="accuracy lost without a head"))


def _together(
    args: argparse.Namespace,
    subject: Subject,
    asked: AttributeTexts,
    scores: PartScores,
    known: list[Asked],
    ablation: Ablation,
    chosen: list[Part],
) -> dict[str, dict[str, float]]:
    """Accuracy without some parts at once: direct, and, for heads by mean or zero, total."""
    left_NC = ablated_logits(scores, chosen, ablation)
    found = {
        each.name: {
            "whole": each.accuracy(scores.logits_NC),
            "direct": each.accuracy(left_NC),
        }
        for each in known
    }
    if all(part.kind == "head" for part in chosen) and args.by != "resample":
        logits_NC = _run_again(args, subject, asked, chosen)
        for each in known:
            found[each.name]["total"] = each.accuracy(logits_NC)
    return found


def _run_again(
    args: argparse.Namespace, subject: Subject, asked: AttributeTexts, chosen: list[Part]
) -> np.ndarray[Any, np.dtype[np.float64]]:
    tower, means = subject.tower, None
    if args.by == "mean":
        items = _means_items(args, subject)
        means = mean_head_outputs(tower, subject.batches(items, "means of heads"))
    runs = [
        run_with_heads(tower, batch, chosen, means)
        for batch in subject.batches(text="images, ablated")
    ]
    embeddings = torch.nn.functional.normalize(torch.cat(runs), dim=-1)
    logits: np.ndarray[Any, np.dtype[np.float64]] = (
        (embeddings @ asked.texts_TE.T.to(embeddings)).double().cpu().numpy()
    )
    return logits
