"""`python -m interpret segment`: heat maps of texts, scored against masks.

On glyphs, whose masks are known, all methods are scored by every attribute's prompts. Photographs
are scored where masks are given, by folder or as ImageNet-Segmentation; without masks there are
pictures alone.
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor

from datamodules.errors import InputError
from datamodules.images import masked_files
from datamodules.sources.glyphs.world import ATTRIBUTES
from datamodules.text_table import text_table
from interpret.flags import Once, nonempty, whole
from interpret.heatmap import METHODS
from interpret.heatmap.figure import heat_figure
from interpret.opening import add_subject, open_subject
from interpret.output import Output, add_output, default_folder
from interpret.segment import (
    Case,
    Protocol,
    cases_of_files,
    cases_of_records,
    localization_table,
    localize_glyphs,
    segment,
)
from interpret.segment.run import own_maps
from interpret.subject import Subject

_PROTOCOLS: tuple[Protocol, ...] = ("aligned", "paper")


def add_parser(commands: Any) -> None:
    """The command's flags."""
    text = "heat maps of texts, scored against drawn or given masks"
    command = commands.add_parser("segment", help=text, description=text, allow_abbrev=False)
    add_subject(command)
    command.add_argument(
        "--methods",
        nargs="+",
        action=Once,
        choices=tuple(METHODS),
        default=list(METHODS),
        help="default: all",
    )
    command.add_argument("--images", type=Path, help="folder of photographs, with --masks")
    command.add_argument("--masks", type=Path, help="folder of their masks, of the same names")
    command.add_argument(
        "--texts", nargs="+", type=nonempty, action=Once, default=[],
        help="prompts for photographs (default: the values of the attribute)",
    )  # fmt: skip
    command.add_argument(
        "--plain_texts", action="store_true",
        help="explain a prompt itself, not what tells it from the others",
    )  # fmt: skip
    command.add_argument(
        "--num_images", type=whole(1), default=300, help="most of them (default: 300)"
    )
    command.add_argument("--pictures", type=whole(1), default=6, help="images shown (default: 6)")
    add_output(command)
    command.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Run the command."""
    if (args.images is None) != (args.masks is None):
        raise InputError("expected --images and --masks together, got one of them.")
    subject = open_subject(args)
    output = Output(default_folder(args), "segment", subject.protocol, as_json=args.json)
    _ = subject.headed  # else all that follows is in vain
    texts_TE = subject.texts(args.texts) if args.texts else _values(subject)
    metrics: dict[str, Any] = {"relative": not args.plain_texts}
    is_drawn = subject.data.source_name == "glyphs" and args.images is None
    if is_drawn:
        metrics["localization"] = _localize(args, subject, output)
    elif cases := _cases(args, subject):
        metrics["segmentation"] = _score(args, subject, texts_TE, cases, output)
    output.figure("heat.png", _figure(args, subject, texts_TE))
    output.close(metrics)
    return 0


def _values(subject: Subject) -> Tensor:
    return subject.value_texts(subject.data.attribute)


def _localize(args: argparse.Namespace, subject: Subject, output: Output) -> list[dict[str, Any]]:
    own = subject.data.attribute
    prompts = [(own,)] if args.attribute else [*((name,) for name in ATTRIBUTES), tuple(ATTRIBUTES)]
    found = localize_glyphs(
        subject.backbone, subject.model, count=args.num_images, prompts=prompts,
        methods=args.methods, relative=not args.plain_texts, batch_size=subject.batch,
    )  # fmt: skip
    output.say("")
    for line in localization_table(found):
        output.say(f"  {line}")
    return [vars(each) | {"scores": dict(each.scores)} for each in found]


def _cases(args: argparse.Namespace, subject: Subject) -> Any:
    """A function that reads images with masks anew; None where there are none."""
    if args.images is not None:
        files = masked_files(args.images, args.masks)[: args.num_images]
        return lambda: cases_of_files(files)
    source: Any = subject.data.source
    if subject.data.source_name == "imagenet_segmentation":
        classes = None if args.texts else list(subject.data.values)
        return lambda: cases_of_records(source, classes, most=args.num_images)
    return None


def _score(
    args: argparse.Namespace, subject: Subject, texts_TE: Tensor, cases: Any, output: Output
) -> list[dict[str, Any]]:
    rows = []
    for method in args.methods:
        for protocol in _PROTOCOLS:
            read: Iterator[Case] = cases()
            scores = segment(
                subject.headed, subject.preprocess, read, texts_TE, method=method,
                relative=not args.plain_texts, protocol=protocol,
            )  # fmt: skip
            rows.append({"method": method, "protocol": protocol, **scores})
    cells = [[f"{x:.3f}" if isinstance(x, float) else str(x) for x in row.values()] for row in rows]
    output.say("")
    for line in text_table(list(rows[0]), cells):
        output.say(f"  {line}")
    return rows


def _figure(args: argparse.Namespace, subject: Subject, texts_TE: Tensor) -> Any:
    """Images with their maps: of their own value, or of the prompt that the model likes best."""
    size, names = subject.backbone.image_size, args.texts or list(subject.data.values)
    if args.images is not None:
        files = masked_files(args.images, args.masks)[: args.pictures]
        pairs = [each.read() for each in files]
        shown = [_square(image, size) for image, _ in pairs]
        labels = np.full(len(shown), -1)
    else:
        items = subject.part_of(subject.split, args.pictures)
        shown = [subject.data.image(int(item)) for item in items]
        labels = subject.labels(subject.data.attribute, items)
        if args.texts:
            labels = np.full(len(shown), -1)
    pixels = torch.from_numpy(np.stack(shown)).permute(0, 3, 1, 2).to(subject.device)
    images = subject.preprocess(pixels)
    with torch.no_grad():
        liked = (subject.tower.run(images) @ texts_TE.T).argmax(dim=1)
    label_B = torch.as_tensor(labels, device=liked.device)
    text_B = torch.where(label_B >= 0, label_B, liked)
    maps = {
        method: own_maps(
            subject.headed, images, texts_TE, text_B, method, not args.plain_texts
        ).cpu().numpy()
        for method in args.methods
    }  # fmt: skip
    title = f"{subject.backbone.name} {subject.delta}".strip()
    squares = np.stack([_square(image, size) for image in shown])
    return heat_figure(squares, maps, title=title, labels=[names[n] for n in text_B.tolist()])


def _square(image: Any, size: int) -> Any:
    from PIL import Image

    picture = Image.fromarray(image)
    if picture.size == (size, size):
        return image
    return np.asarray(picture.resize((size, size), Image.Resampling.BICUBIC))
