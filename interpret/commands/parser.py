"""The parser of `python -m interpret`."""

from __future__ import annotations

import argparse

from interpret.commands import (
    ablate,
    adapter,
    coefficients,
    decompose,
    heads,
    retrieve,
    segment,
    textspan,
)
from lightning_modules.arguments import LineParser

_COMMANDS = (
    decompose,
    textspan,
    ablate,
    heads,
    retrieve,
    segment,
    adapter,
    coefficients,
)


def parser() -> argparse.ArgumentParser:
    """The parser of all commands."""
    top = LineParser(prog="python -m interpret", allow_abbrev=False)
    commands = top.add_subparsers(dest="command", required=True)
    for command in _COMMANDS:
        command.add_parser(commands)
    return top
