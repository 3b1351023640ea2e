"""The training room's front door: `python -m lightning_modules COMMAND ...`."""

from __future__ import annotations

import sys
import time
from collections.abc import Sequence

USAGE = "usage: python -m lightning_modules COMMAND ...   (COMMAND --help lists its flags)"
COMMANDS = {
    "fit": "train the adapter of one attribute, save its delta, compare it with the base",
    "validate": "score a checkpoint on the validation split",
    "test": "score a checkpoint on the test splits",
    "evaluate": "score the base and the saved delta, on every attribute and split",
    "verify": "measure a saved delta again and fail if its claims do not hold",
    "export": "write base plus delta as a model that plain open_clip loads",
    "study": "train adapters over several seeds and tabulate them",
    "base": "pre-train the small CLIP that ships with the project",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0; 1 if a claim does not hold; 2 after `error: ...`, a user's mistake.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in {"-h", "--help", "help"}:
        sys.stdout.write(_help())
        return 0
    if words[0] not in COMMANDS:
        known = ", ".join(COMMANDS)
        sys.stderr.write(f"error: expected a command among {known}, got {words[0]!r}.\n")
        return 2
    from lightning_modules.failures import explain
    from lightning_modules.quiet import quiet

    try:
        with quiet():
            return _run(words, is_whole_line=argv is None)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130
    except Exception as error:
        text = explain(error)
        if text is None:
            raise
        _say(text)
        return 2


def _run(words: list[str], *, is_whole_line: bool) -> int:
    if words[0] == "base":
        from lightning_modules.base import pretrain

        pretrain(words[1:])
    elif words[0] in {"fit", "validate", "test"}:
        from lightning_modules.cli import train

        # None: Lightning starts further processes by the command line it reads itself.
        train(None if is_whole_line else words)
    else:
        from lightning_modules import commands

        return commands.run(commands.parser().parse_args(words))
    return 0


def _say(text: str) -> None:
    """Print the error once: a later process first waits to be ended by the first, which speaks."""
    from lightning_modules.callbacks.end_together import GRACE
    from lightning_modules.quiet import is_first_process

    if not is_first_process():
        time.sleep(GRACE)
    if text:
        sys.stderr.write(f"error: {text}\n")


def _help() -> str:
    lines = [f"  {name:<10} {text}" for name, text in COMMANDS.items()]
    return "\n".join([USAGE, "", *lines, ""])


if __name__ == "__main__":
    raise SystemExit(main())
