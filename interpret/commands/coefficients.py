"""`python -m interpret coefficients`: which learned coefficients of a composition matter.

Several compositions of the same deltas, learned with different seeds, also say how well the answer
repeats.
"""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import Any

import torch

from composition.export import load_composition
from datamodules.errors import InputError
from datamodules.text_table import text_table
from interpret.coefficients import KINDS, Importance, importance_figure, measure, stability
from interpret.commands.asked import add_attributes, annotated, labelled
from interpret.flags import Once, whole
from interpret.opening import add_subject, open_subject
from interpret.output import Output, add_output, default_folder
from interpret.subject import Subject
from lightning_modules.progress import progress

_TOP = 10  # blocks compared, where there are more


def add_parser(commands: Any) -> None:
    """The command's flags."""
    text = "which learned coefficients of a composition matter"
    command = commands.add_parser("coefficients", help=text, description=text, allow_abbrev=False)
    command.add_argument(
        "compositions",
        nargs="+",
        type=Path,
        action=Once,
        help="folders of compositions; several are seeds",
    )
    add_subject(command, with_delta=False)
    add_attributes(command)
    command.add_argument(
        "--num_images", type=whole(1), default=300, help="most of the split (default: 300)"
    )
    command.add_argument(
        "--nodes", type=whole(1), default=64, help="points of integrated gradients (default: 64)"
    )
    command.add_argument(
        "--kind", choices=KINDS, default="integrated",
        help="importance that is drawn and compared between seeds (default: integrated)",
    )  # fmt: skip
    command.add_argument(
        "--top", type=whole(1), help=f"blocks compared (default: {_TOP}, or all but one)"
    )
    add_output(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    found: list[Importance] = []
    output: Output | None = None
    top = _TOP
    for folder in args.compositions:
        subject = open_subject(args)
        if output is None:
            out = default_folder(args, args.compositions[0].name)
            output = Output(out, "coefficients", subject.protocol, as_json=args.json)
        found.append(_importance(args, subject, folder))
        if len(args.compositions) > 1:
            top = _compared(args.top, found)
        output.say(f"\n{folder}\n")
        for line in found[-1].lines():
            output.say(f"  {line}")
    assert output is not None
    for number, each in enumerate(found):
        name = "importance" if len(found) == 1 else f"importance-{number}"
        output.figure(f"{name}.png", importance_figure(each, args.kind))
    metrics: dict[str, Any] = {
        "compositions": [str(folder) for folder in args.compositions],
        "importance": [each.to_json() for each in found],
    }
    if len(found) > 1:
        kinds = [stability(found, kind, top=top) for kind in KINDS]
        metrics["stability"] = [each.to_json() for each in kinds]
        rows = [
            (
                each.kind,
                *(
                    f"{x.mean:.2f} ({x.low:.2f} to {x.high:.2f})"
                    for x in (each.spearman, each.jaccard)
                ),
                f"{each.spearman.chance:.2f}, {each.jaccard.chance:.2f}",
            )
            for each in kinds
        ]
        output.say("")
        head = ("kind", "Spearman", f"Jaccard of the top {top}", "97.5 % of chance")
        for line in text_table(head, rows):
            output.say(f"  {line}")
    output.close(metrics)
    return 0


def _compared(asked: int | None, found: list[Importance]) -> int:
    """How many blocks are compared: told after each composition, not after hours with all."""
    count = len(found[0].entries)
    if found[-1].entries != found[0].entries or count < 2:
        raise InputError(
            "expected compositions of the same deltas at the same granularity, with two "
            f"coefficients or more, got {count} and {len(found[-1].entries)} of other blocks."
        )
    if asked is not None and asked >= count:
        raise InputError(f"--top: expected 1 to {count - 1} blocks of {count}, got {asked}.")
    return asked or min(_TOP, count - 1)


def _importance(args: argparse.Namespace, subject: Subject, folder: Path) -> Importance:
    loaded = load_composition(folder, backbone=subject.backbone)
    names = annotated(subject, args.attributes)
    if not args.attributes:
        names = tuple(name for name in names if name in loaded.composition.delta_names)
    if not names:
        raise InputError(
            f"--attributes: expected attributes that {subject.data.source_name} annotates, got "
            f"none: {folder} is made of {', '.join(loaded.composition.delta_names)}."
        )
    items = subject.part_of(subject.split, args.num_images)
    questions = labelled(subject, names, items)
    images = torch.cat(list(subject.batches(items)))
    with progress("points of the path", args.nodes) as tick:
        return measure(loaded.composition, images, questions, num_nodes=args.nodes, tick=tick)
