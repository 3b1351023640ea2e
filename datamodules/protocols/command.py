"""`python -m datamodules split`: write a protocol's split of a data set to a file."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.names import safe_name

if TYPE_CHECKING:
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_PROTOCOLS = ("official", "by-hash", "few-shot", "base-to-new", "zero-shot", "compositional")
_FOLDER = Path("artifacts/splits")


def add_parser(subparsers: Subparsers) -> None:
    """Add the `split` command; its parsed arguments go to `run`."""
    text = "write the split of a protocol: which images train, select and test"
    parser = subparsers.add_parser("split", help=text, description=text, allow_abbrev=False)
    parser.add_argument("--source", required=True, help="data set")
    parser.add_argument("--root", type=Path, help="folder of the data set")
    parser.add_argument("--protocol", choices=_PROTOCOLS, required=True, help="the rule")
    parser.add_argument(
        "--attribute", default="", help="whose values are the classes (default: the source's)"
    )
    parser.add_argument(
        "--object", default="", help="compositional: the second attribute (default: the objects)"
    )
    parser.add_argument("--shots", type=int, help="few-shot, base-to-new: images a class")
    parser.add_argument("--unseen", type=int, default=1, help="unseen classes or pairs")
    parser.add_argument("--seed", type=int, default=0, help="of what is drawn (default: 0)")
    parser.add_argument(
        "--out", type=Path, help=f"file to write (default: {_FOLDER}/<source>/<protocol>....json)"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object as the last line"
    )


def run(args: argparse.Namespace) -> int:
    """Run the parsed command; returns the exit code.

    Raises:
        InputError: if the source cannot be read, or the protocol asks for what it has not.
    """
    from datamodules.protocols.protocols import Request, split_source
    from datamodules.sources import load_source
    from datamodules.text_table import text_table

    asked = Request(args.attribute, args.object, args.shots, args.seed, args.unseen)
    source = load_source(args.source, args.root)
    split = split_source(source.annotations, source.name, args.protocol, asked)
    shots = "" if args.shots is None else f"-{args.shots}-shots"
    seed = "" if split.seed is None else f"-seed-{split.seed}"
    name = f"{args.protocol}{shots}{seed}.json"
    path = args.out or _FOLDER / safe_name(args.source) / name
    split.save(path)
    rows = [(part, f"{len(images):,}") for part, images in split.members.items()]
    sys.stdout.write("\n".join(text_table(("part", "images"), rows)))
    sys.stdout.write(f"\n\nsplit  {path}\nhash   {split.hash}\n")
    if args.json:
        counts = {part: len(images) for part, images in split.members.items()}
        found = {"path": str(path), "hash": split.hash, "images": counts}
        sys.stdout.write(json.dumps(found, sort_keys=True) + "\n")
    return 0
