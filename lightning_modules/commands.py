"""The commands that need no trainer: `evaluate`, `verify`, `export`."""

from __future__ import annotations

import argparse
import math
import sys
from dataclasses import replace
from pathlib import Path

from datamodules.attribute import AttributeDataModule
from datamodules.errors import InputError
from lightning_modules.adapted import AdaptedClip
from lightning_modules.backbone import Backbone, load_backbone
from lightning_modules.cli import report
from lightning_modules.comparison import Row
from lightning_modules.delta import Delta, delta_folder, export_merged, load_delta
from lightning_modules.delta.store import CARD_NAME, DELTA_FOLDER
from lightning_modules.evaluation import card_metrics, evaluate

_TOLERANCE = 0.005  # other processors round differently, which may move an image or two


def parser() -> argparse.ArgumentParser:
    """The parser of these commands."""
    top = argparse.ArgumentParser(prog="python -m lightning_modules", allow_abbrev=False)
    commands = top.add_subparsers(dest="command", required=True)

    def add(name: str, text: str) -> argparse.ArgumentParser:
        sub = commands.add_parser(name, help=text, description=text, allow_abbrev=False)
        sub.add_argument("--root", type=Path, help="folder of the data set")
        sub.add_argument("--dictionary", type=Path, help="file of the dictionary")
        sub.add_argument("--pretrained", default=None, help="tag or weight file of the backbone")
        sub.add_argument("--json", action="store_true", help="print one JSON object as the last line")
        return sub

    scores = add("evaluate", "score the base and, if it is trained, the adapter, on every attribute and split")
    scores.add_argument("--attribute", required=True, help="attribute of the dictionary")
    scores.add_argument("--source", default="glyphs", help="data set (default: glyphs)")
    scores.add_argument("--backbone", default="glyph-clip", help="architecture or folder (default: glyph-clip)")
    scores.add_argument("--deltas", type=Path, default=DELTA_FOLDER, help=f"default: {DELTA_FOLDER}")
    verify = add("verify", "measure a delta again and fail if its claims do not hold")
    verify.add_argument("delta", type=Path, help="folder of the delta")
    verify.add_argument(
        "--tolerance", type=float, default=_TOLERANCE, help=f"largest difference that holds (default: {_TOLERANCE})"
    )
    export = add("export", "write the merged model as an open_clip local-dir folder")
    export.add_argument("delta", type=Path, help="folder of the delta")
    export.add_argument("--out", type=Path, required=True, help="folder to write")
    return top


def run(args: argparse.Namespace) -> int:
    """Run the parsed command; returns the exit code."""
    return {"evaluate": _evaluate, "verify": _verify, "export": _export}[args.command](args)


def measure(delta: Delta, backbone: Backbone, data: AttributeDataModule) -> list[Row]:
    """Base against base with delta, see `lightning_modules.evaluation.evaluate`."""
    if delta.card.kind == "dense":
        base = load_backbone(delta.card.backbone, backbone.pretrained)
        delta.apply(backbone.model)
        clip = AdaptedClip(backbone, backbone.model, base.model)
    else:
        clip = AdaptedClip(backbone, delta.attach(backbone.model))
    text = {}
    if delta.card.protocol.get("towers") == "both":
        text[data.attribute] = clip.encode_adapted_values(data.prompts(data.attribute))
    return evaluate(clip.eval(), data, text=text)


def _evaluate(args: argparse.Namespace) -> int:
    data = _data(args.attribute, args.source, args)
    backbone = load_backbone(args.backbone, args.pretrained or "")
    folder = delta_folder(backbone.name, args.source, args.attribute, args.deltas)
    title = f"{args.attribute} on {args.source}, {backbone.name}"
    if (folder / CARD_NAME).is_file():
        rows = measure(load_delta(folder, backbone=backbone), backbone, data)
        report(rows, title, {"delta": str(folder)}, as_json=args.json)
    else:
        rows = evaluate(AdaptedClip(backbone, backbone.model), data)
        empty = {name: math.nan for name in ("adapted", "gain", "low", "high")}
        report([replace(row, **empty) for row in rows], f"{title}: base only", {}, as_json=args.json)
        sys.stderr.write(f"note: no delta in {folder} yet; train it with: make train ATTR={args.attribute}\n")
    return 0


def _verify(args: argparse.Namespace) -> int:
    delta = load_delta(args.delta)
    card = delta.card
    backbone = load_backbone(card.backbone, card.pretrained if args.pretrained is None else args.pretrained)
    delta = load_delta(args.delta, backbone=backbone)
    data = _data(card.attribute, card.source, args)
    for what, claimed, found in (
        ("data", card.data_hash, data.source.data_hash),
        ("dictionary", card.dictionary_hash, data.dictionary.hash),
    ):
        if claimed != found:
            raise InputError(
                f"{args.delta}: expected the {what} it was measured on ({claimed[:12]}), got {found[:12]}. "
                f"Point --root and --dictionary to them, or train the delta again."
            )
    rows = measure(delta, backbone, data)
    report(rows, f"{card.attribute}: measured again", {"delta": str(args.delta)}, as_json=args.json)
    broken = broken_claims(card.metrics, card_metrics(rows, card.attribute), args.tolerance)  # type: ignore[arg-type]
    for line in broken:
        sys.stderr.write(f"does not hold: {line}\n")
    sys.stderr.write("" if broken else f"every claim holds within {args.tolerance:g}\n")
    return 1 if broken else 0


def _export(args: argparse.Namespace) -> int:
    card = load_delta(args.delta).card
    backbone = load_backbone(card.backbone, card.pretrained if args.pretrained is None else args.pretrained)
    export_merged(load_delta(args.delta, backbone=backbone), backbone, args.out)
    report([], f"{card.attribute} merged into {card.backbone}", {"model": str(args.out)}, as_json=args.json)
    return 0


Claims = dict[str, dict[str, dict[str, float]]]


def broken_claims(claimed: Claims, found: Claims, tolerance: float) -> list[str]:
    """One line for every claimed number that was not found again within `tolerance`."""
    if not claimed:
        return ["the delta claims nothing: its card holds no metrics"]
    lines = []
    for split, models in claimed.items():
        for model, scores in models.items():
            for name, value in scores.items():
                got = found.get(split, {}).get(model, {}).get(name, math.nan)
                if value is not None and not abs(got - value) <= tolerance:
                    lines.append(f"{split} {model} {name}: claimed {value:.4f}, found {got:.4f}")
    return lines


def _data(attribute: str, source: str, args: argparse.Namespace) -> AttributeDataModule:
    data = AttributeDataModule(attribute, source=source, root=args.root, dictionary=args.dictionary)
    data.prepare_data()
    data.setup()
    return data
