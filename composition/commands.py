"""The commands that read no trainer flags: `interference`, `study`."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path

from composition import study
from composition.basis import Basis
from composition.interference import measure_interference
from composition.library import find_folders, open_deltas
from lightning_modules.arguments import LineParser
from lightning_modules.backbone import load_backbone
from lightning_modules.delta import delta_folder


def parser() -> argparse.ArgumentParser:
    """The parser of these commands."""
    top = LineParser(prog="python -m composition", allow_abbrev=False)
    commands = top.add_subparsers(dest="command", required=True)
    text = "how deltas get in each other's way, from their factors alone, beside random ones"
    found = commands.add_parser("interference", help=text, description=text, allow_abbrev=False)
    found.add_argument("deltas", nargs="+", help="folders of deltas, or names of trained ones")
    found.add_argument("--backbone", default="glyph-clip", help="default: glyph-clip")
    found.add_argument("--pretrained", default="", help="tag or weight file of the backbone")
    found.add_argument(
        "--source", default="glyphs", help="data set of deltas given by name (default: glyphs)"
    )
    found.add_argument("--draws", type=int, default=4, help="sets of random deltas (default: 4)")
    found.add_argument("--seed", type=int, default=0, help="of these (default: 0)")
    found.add_argument("--json", action="store_true", help="print one JSON object as the last line")
    found.set_defaults(run=_interference)
    study.add_parser(commands)
    return top


def _interference(args: argparse.Namespace) -> int:
    shelf: Path = delta_folder(args.backbone, args.source, "any").parent
    folders = find_folders(args.deltas, shelf)
    backbone = load_backbone(args.backbone, args.pretrained)
    basis = Basis.from_deltas(list(open_deltas(folders, backbone).values()), backbone)
    found = measure_interference(basis, draws=args.draws, seed=args.seed)
    sys.stdout.write(f"{found.to_text()}\n")
    if args.json:
        sys.stdout.write(json.dumps(found.to_json()) + "\n")
    return 0
