"""`python -m interpret adapter`: which heads a delta moves, why, and where to.

Beside every number stand deltas at random of equal size, and for scores that labels decide, the
same with labels at random.
"""

from __future__ import annotations

import argparse
import copy
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from datamodules.errors import InputError
from interpret.adapters import (
    CAUSES,
    Question,
    Settings,
    Sides,
    cause_shares,
    cross,
    difference_moments,
    figure,
    measure,
    name_changes,
    parts_of,
    sites,
)
from interpret.adapters.difference import Readouts
from interpret.commands.asked import (
    AttributeTexts,
    add_attributes,
    attribute_texts,
    labelled,
    told_apart,
)
from interpret.flags import Once, whole
from interpret.opening import add_subject, find_delta, open_subject
from interpret.output import Output, add_output, default_folder
from interpret.parts import Part
from interpret.pools import TextPool, dictionary_pool, encode_pool, read_pool
from interpret.subject import Subject
from lightning_modules.delta import Delta
from lightning_modules.progress import progress

_NAMED = 1000  # images that texts of the change are found on
_SMALL = 32  # images at a time while causes are told apart, which takes 16 evaluations


def add_parser(commands: Any) -> None:
    """The command's flags."""
    text = "which heads an adapter moves, and where to, beside random ones"
    command = commands.add_parser("adapter", help=text, description=text, allow_abbrev=False)
    add_subject(command)
    command.set_defaults(split="")
    add_attributes(command)
    command.add_argument(
        "--beside", nargs="+", action=Once, default=[],
        help="further deltas: their top heads are reverted too, and all attributes asked",
    )  # fmt: skip
    command.add_argument(
        "--num_images", type=whole(2), default=300, help="most of the split (default: 300)"
    )
    command.add_argument(
        "--num_random",
        type=whole(0),
        default=5,
        help="deltas at random to compare with (default: 5)",
    )
    command.add_argument(
        "--pool", default="dictionary",
        help="texts that changes are named with: dictionary, or a file of one text a line",
    )  # fmt: skip
    command.add_argument(
        "--seed", type=whole(0), default=0, help="of all that is random (default: 0)"
    )
    add_output(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if not args.delta:
        raise InputError("--delta: expected the name or folder of a delta, got none.")
    name = args.delta
    subject = open_subject(argparse.Namespace(**vars(args) | {"delta": ""}))
    split = args.split or next(iter(subject.data.test_splits), "validation")
    subject = replace(subject, split=split)
    delta = find_delta(name, args, subject.backbone)
    _ = subject.headed  # else all that follows is in vain
    items = subject.part_of(split, args.num_images)
    protocol = subject.protocol | {"delta": name, "images": len(items)}
    output = Output(default_folder(args), "adapter", protocol, as_json=args.json)
    pool = _pool(args, subject)
    asked = attribute_texts(subject, args.attributes)
    others = [find_delta(each, args, subject.backbone, "--beside") for each in args.beside]
    for number, each in enumerate((delta, *others)):
        _check_asked(each, subject, asked)
        own = each.card.attribute
        if own in {other.card.attribute for other in (delta, *others)[:number]}:
            raise InputError(f"--beside: expected deltas of other attributes, got {own!r} again.")
    told_apart(subject, [delta.card.attribute], items)
    questions = labelled(subject, tuple(asked.attributes), items)
    images = torch.cat(list(subject.batches(items)))
    settings = Settings(
        num_random=args.num_random, num_random_runs=min(1, args.num_random), seed=args.seed
    )
    parts = parts_of(sites(subject.model, delta))
    with progress("runs of the model", settings.ticks(len(parts), len(images))) as tick:
        footprint = measure(subject.model, delta, images, questions, settings, tick)
    metrics: dict[str, Any] = {"footprint": footprint.to_json()}
    output.say("")
    for line in footprint.lines():
        output.say(f"  {line}")
    output.figure("footprint.png", figure([footprint], title=f"what {name} changes"))
    if others:
        metrics["crossing"] = _cross(subject, [delta, *others], images, questions, output)
    metrics |= _words_and_causes(args, subject, delta, pool, output)
    output.close(metrics)
    return 0


def _pool(args: argparse.Namespace, subject: Subject) -> TextPool:
    if args.pool == "dictionary":
        return dictionary_pool(subject.data.dictionary)
    return read_pool(Path(args.pool))


def _check_asked(delta: Delta, subject: Subject, asked: AttributeTexts) -> None:
    """The attribute that a delta was trained on must be asked."""
    name = delta.card.attribute
    if name in asked.attributes:
        return
    if name in subject.annotated:
        raise InputError(
            f"--attributes: expected {name!r}, which a delta was trained on, among them, got "
            f"{', '.join(asked.attributes)}."
        )
    raise InputError(
        f"expected deltas of attributes that {subject.data.source_name} annotates, "
        f"{', '.join(subject.annotated) or 'none'}, got one of {name!r}. Of a composition, "
        "`python -m interpret coefficients FOLDER` says which coefficients matter."
    )


def _words_and_causes(
    args: argparse.Namespace, subject: Subject, delta: Delta, pool: TextPool, output: Output
) -> dict[str, Any]:
    """Texts of the change, and shares of its causes."""
    text_TE = encode_pool(subject.backbone, pool)
    sides = Sides(delta.attach(subject.model))
    items = subject.part_of(subject.split, _NAMED)
    batches = list(subject.batches(items, "images to name changes by"))
    named = name_changes(sides, batches, pool, text_TE, subject.identity)
    told = {"heads": named.heads.to_json(), "whole": named.whole.to_json()}
    output.json("texts.json", told)
    (whole,) = told["whole"]["heads"]
    towards = ", ".join(each["text"] for each in whole["shift"]["towards"][:4])
    varies = ", ".join(each["text"] for each in whole["texts"][:6])
    output.say(f"\n  the embedding varies more along: {varies}")
    output.say(f"  and moves, for all images, towards: {towards}")
    small = torch.split(torch.cat(batches)[: args.num_images], _SMALL)
    shares = cause_shares(sides, small)
    causes = shares.to_json()
    output.json("causes.json", causes)
    rows = [
        (cause, *(f"{float(x):+.2f}" for x in shares.signed_KLH[number].nanmean(dim=-1)))
        for number, cause in enumerate(CAUSES)
    ]
    layers = shares.signed_KLH.shape[1]
    output.table(
        "why heads moved: mean share of each cause in a layer",
        ("cause", *(f"layer {layer}" for layer in range(layers))),
        rows,
    )
    return {"texts_in_pool": len(pool), "whole_change": whole, "causes": causes}


def _cross(
    subject: Subject,
    deltas: list[Delta],
    images: torch.Tensor,
    questions: dict[str, Question],
    output: Output,
) -> dict[str, Any]:
    """Top heads of each adapter reverted, all attributes asked."""
    heads = {each.card.attribute: [_top_head(subject, each, images)] for each in deltas}
    found = cross(subject.model, deltas, heads, images, questions)
    rows = [
        (f"{name}: {', '.join(map(str, found.heads[name]))}", *(f"{x:+.3f}" for x in row))
        for name, row in zip(found.attributes, found.matrix, strict=True)
    ]
    output.table(
        "accuracy lost when the top head of an adapter is reverted",
        ("adapter", *found.attributes),
        rows,
    )
    return found.to_json()


def _top_head(subject: Subject, delta: Delta, images: torch.Tensor) -> Part:
    """The head that the delta moves most, in mean square."""
    adapted = delta.attach(copy.deepcopy(subject.model))
    sides = Sides(adapted, subject.model)
    maps = Readouts.of(sides)
    moments = difference_moments(sides, torch.split(images, _SMALL), subject.identity, maps=maps)
    maps_LHCE = maps.paired_LHCE.to(moments.sum_LHC)
    square_LHCC = maps_LHCE @ maps_LHCE.mT
    energy_LH = (moments.second_LHCC * square_LHCC).sum(dim=(-1, -2))
    layer, head = divmod(int(energy_LH.argmax()), energy_LH.shape[1])
    return Part("head", layer, head)
