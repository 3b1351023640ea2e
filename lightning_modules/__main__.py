"""The training room's front door: `python -m lightning_modules fit | evaluate | verify | export | base ...`."""

from __future__ import annotations

import sys
from collections.abc import Sequence

from datamodules.errors import InputError


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command; a user's mistake prints `error: ...` and gives exit code 2."""
    args = list(sys.argv[1:] if argv is None else argv)
    try:
        if args[:1] == ["base"]:
            from lightning_modules.base import pretrain

            pretrain(args[1:])
            return 0
        if args[:1] in (["evaluate"], ["verify"], ["export"]):
            from lightning_modules import commands

            return commands.run(commands.parser().parse_args(args))
        from lightning_modules.cli import train

        train(args)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
