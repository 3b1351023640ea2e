"""The commands that read no trainer flags: `evaluate`, `verify`, `export`, `study`."""

from __future__ import annotations

import argparse
import logging
import math
import shlex
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import torch

from datamodules.attribute import AttributeDataModule
from datamodules.errors import InputError
from lightning_modules import study
from lightning_modules.adapted import AdaptedClip
from lightning_modules.arguments import LineParser
from lightning_modules.backbone import Backbone, load_backbone
from lightning_modules.comparison import Row
from lightning_modules.delta import Delta, delta_folder, export_merged, load_delta
from lightning_modules.delta.store import CARD_NAME, DELTA_FOLDER
from lightning_modules.evaluation import card_metrics, evaluate
from lightning_modules.report import report

_TOLERANCE = 0.005  # other processors round differently, which may move an image or two
_log = logging.getLogger(__name__)


def parser() -> argparse.ArgumentParser:
    """The parser of these commands."""
    top = LineParser(prog="python -m lightning_modules", allow_abbrev=False)
    commands = top.add_subparsers(dest="command", required=True)
    scores = _add(
        commands,
        "evaluate",
        "score the base and, if it is trained, the adapter, on every attribute and split",
    )
    scores.add_argument("--attribute", required=True, help="attribute of the dictionary")
    scores.add_argument("--source", default="glyphs", help="data set (default: glyphs)")
    scores.add_argument(
        "--deltas", type=Path, default=DELTA_FOLDER, help=f"default: {DELTA_FOLDER}"
    )
    verify = _add(commands, "verify", "measure a delta again and fail if its claims do not hold")
    verify.add_argument(
        "--tolerance",
        type=float,
        default=_TOLERANCE,
        help=f"largest difference that holds (default: {_TOLERANCE})",
    )
    export = _add(commands, "export", "write the merged model as an open_clip local-dir folder")
    export.add_argument("--out", type=Path, required=True, help="folder to write")
    for command in (verify, export):
        command.add_argument("delta", type=Path, help="folder of the delta")
    study.add_parser(commands)
    return top


def _add(commands: Any, name: str, text: str) -> argparse.ArgumentParser:
    """A command with the flags they all have."""
    sub: argparse.ArgumentParser = commands.add_parser(
        name, help=text, description=text, allow_abbrev=False
    )
    recorded = name in {"verify", "export"}
    default = "as recorded in the delta" if recorded else "glyph-clip"
    sub.add_argument(
        "--backbone",
        default=None if recorded else default,
        help=f"architecture or folder (default: {default})",
    )
    sub.add_argument("--pretrained", help="tag or weight file of the backbone")
    if name != "export":
        sub.add_argument("--root", type=Path, help="folder of the data set")
        sub.add_argument("--dictionary", type=Path, help="file of the dictionary")
        sub.add_argument("--split", type=Path, help="file of a split to use for the source's own")
    sub.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    return sub


def run(args: argparse.Namespace) -> int:
    """Run the parsed command; returns the exit code."""
    commands = {"evaluate": _evaluate, "verify": _verify, "export": _export, "study": study.run}
    return commands[args.command](args)


def measure(delta: Delta, backbone: Backbone, data: AttributeDataModule) -> list[Row]:
    """Base against base with delta, see `lightning_modules.evaluation.evaluate`."""
    if delta.card.kind == "dense":
        base = load_backbone(delta.card.backbone, backbone.pretrained)
        delta.apply(backbone.model)
        clip = AdaptedClip(backbone, backbone.model, base.model)
    else:
        clip = AdaptedClip(backbone, delta.attach(backbone.model))
    clip.to(_device())
    text = {}
    if delta.card.protocol.get("towers") == "both":
        text[data.attribute] = clip.encode_adapted_values(data.prompts(data.attribute))
    return evaluate(clip.eval(), data, text=text)


def _evaluate(args: argparse.Namespace) -> int:
    data = _data(args.attribute, args.source, args)
    backbone = load_backbone(args.backbone, args.pretrained or "")
    folder = delta_folder(backbone.name, args.source, data.attribute, args.deltas)
    title = f"{data.attribute} on {args.source}, {backbone.name}"
    if (folder / CARD_NAME).is_file():
        rows = measure(load_delta(folder, backbone=backbone), backbone, data)
        report(rows, title, {"delta": str(folder)}, as_json=args.json)
    else:
        clip = AdaptedClip(backbone, backbone.model).to(_device())
        rows = [
            replace(row, adapted=math.nan, gain=math.nan, low=math.nan, high=math.nan)
            for row in evaluate(clip, data)
        ]
        report(rows, f"{title}: base only", {}, as_json=args.json)
        _log.info(
            "no delta in %s yet; train it with: make train ATTR=%s",
            folder,
            shlex.quote(data.attribute),
        )
    return 0


def _verify(args: argparse.Namespace) -> int:
    delta, backbone = _load(args)
    card = delta.card
    data = _data(card.attribute, card.source, args)
    for what, claimed, found in (
        ("data", card.data_hash, data.source.data_hash),
        ("dictionary", card.dictionary_hash, data.dictionary.hash),
        ("split", str(card.protocol.get("split", "official")), data.split_hash),
    ):
        if claimed != found:
            raise InputError(
                f"{args.delta}: expected the {what} it was measured on ({claimed[:12]}), got "
                f"{found[:12]}. Point --root, --dictionary and --split to them, or train the delta "
                "again."
            )
    rows = measure(delta, backbone, data)
    broken = broken_claims(card.metrics, card_metrics(rows, card.attribute), args.tolerance)
    title = f"{card.attribute} on {card.source}, measured again: " + (
        "CLAIMS DO NOT HOLD" if broken else f"every claim holds within {args.tolerance:g}"
    )
    paths = {"delta": str(args.delta)}
    report(rows, title, paths, as_json=args.json, more={"holds": not broken, "broken": broken})
    for line in broken:
        _log.warning("does not hold: %s", line)
    return 1 if broken else 0


def _export(args: argparse.Namespace) -> int:
    delta, backbone = _load(args)
    export_merged(delta, backbone, args.out)
    title = f"{delta.card.attribute} merged into {delta.card.backbone}"
    report([], title, {"model": str(args.out)}, as_json=args.json)
    return 0


def _load(args: argparse.Namespace) -> tuple[Delta, Backbone]:
    """The delta and the base it was trained on, or the one that is named instead."""
    card = load_delta(args.delta).card
    pretrained = card.pretrained if args.pretrained is None else args.pretrained
    backbone = load_backbone(args.backbone or card.backbone, pretrained)
    return load_delta(args.delta, backbone=backbone), backbone


Claims = Mapping[str, Mapping[str, Mapping[str, float | None]]]


def broken_claims(claimed: Claims, found: Claims, tolerance: float) -> list[str]:
    """One line for every claimed number that was not found again within `tolerance`."""
    if not claimed:
        return ["the delta claims nothing: its card holds no metrics"]
    lines = []
    for split, models in claimed.items():
        for model, scores in models.items():
            for name, value in scores.items():
                got = found.get(split, {}).get(model, {}).get(name)
                got = math.nan if got is None else got
                if value is not None and not abs(got - value) <= tolerance:
                    lines.append(f"{split} {model} {name}: claimed {value:.4f}, found {got:.4f}")
    return lines


def _data(attribute: str, source: str, args: argparse.Namespace) -> AttributeDataModule:
    data = AttributeDataModule(
        attribute, source=source, root=args.root, dictionary=args.dictionary, split=args.split
    )
    data.prepare_data()
    data.setup()
    return data


def _device() -> torch.device:
    return torch.device("cuda" if torch.cuda.is_available() else "cpu")
