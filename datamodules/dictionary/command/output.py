"""What every action prints: lines for a person, and one line for a program."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable
from typing import Any


def say(lines: Iterable[str]) -> None:
    """Print lines."""
    sys.stdout.write("\n".join(lines) + "\n")


def done(args: argparse.Namespace, found: dict[str, Any]) -> int:
    """Print the last line with --json, paths as the user gave them; returns the exit code."""
    if args.json:
        say([json.dumps(found, sort_keys=True, ensure_ascii=False, allow_nan=False)])
    return 0
