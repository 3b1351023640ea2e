"""The data room's front door: `python -m datamodules <command>`."""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from datamodules import doctor, sheet
from datamodules.dictionary import command as dictionary_command
from datamodules.errors import InputError
from datamodules.prepare import command as prepare_command
from datamodules.protocols import command as split_command

_PIPE_CLOSED = 128 + 13  # what a shell reports of a program that SIGPIPE has ended


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake prints `error: ...` and gives exit code 2.

    Where the reader of the output, such as `head`, has seen enough, it ends quietly with 141.
    """
    try:
        try:
            return _run(argv)
        finally:
            sys.stdout.flush()  # here rather than at exit, where no one could catch it
    except BrokenPipeError:
        # What is still to be written would raise again at exit.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return _PIPE_CLOSED


def _run(argv: Sequence[str] | None) -> int:
    parser = argparse.ArgumentParser(
        prog="python -m datamodules", description=__doc__, allow_abbrev=False
    )
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND")
    dictionary_command.add_parser(commands)
    doctor.add_parser(commands)
    prepare_command.add_parser(commands)
    sheet.add_parser(commands)
    split_command.add_parser(commands)
    args = parser.parse_args(argv)
    runs = {
        "dictionary": dictionary_command.run,
        "doctor": doctor.run,
        "prepare": prepare_command.run,
        "sheet": sheet.run,
        "split": split_command.run,
    }
    try:
        return runs[args.command](args)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2


if __name__ == "__main__":
    raise SystemExit(main())
