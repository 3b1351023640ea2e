"""What every benchmark does with its result, beside printing its table."""

from __future__ import annotations

import argparse
import json
from pathlib import Path
from typing import Any

from datamodules.files import write_json


def add_output(parser: argparse.ArgumentParser) -> None:
    """Add `--json` and `--out`."""
    parser.add_argument("--json", action="store_true", help="print one JSON object at the end")
    parser.add_argument("--out", type=Path, help="also write the object to this file")


def put_out(result: dict[str, Any], args: argparse.Namespace) -> None:
    """Write and print the object where that was asked for."""
    if args.out:
        write_json(args.out, result)
    if args.json:
        print(json.dumps(result))
