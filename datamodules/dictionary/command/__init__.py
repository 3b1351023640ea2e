"""`python -m datamodules dictionary build | names | show | review | edit | ...`."""

from __future__ import annotations

import argparse

from datamodules.dictionary.command.building import build_file
from datamodules.dictionary.command.parser import add_parser
from datamodules.dictionary.command.request import Request, default_path, edits_path

__all__ = ["Request", "add_parser", "build_file", "default_path", "edits_path", "run"]


def run(args: argparse.Namespace) -> int:
    """Run the parsed command; returns the exit code.

    Raises:
        InputError: for a user's mistake; the front door prints it and exits with 2.
    """
    from datamodules.dictionary.command import actions

    return actions.RUNS[args.action](args)
