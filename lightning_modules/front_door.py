"""What the front doors of the rooms that train have in common: help, errors in one line, quiet."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Mapping, Sequence


def run_command(
    argv: Sequence[str] | None, run: Callable[..., int], usage: str, commands: Mapping[str, str]
) -> int:
    """Run one command of a room.

    Args:
        argv: words of the command line; None takes this process's.
        run: (words, is_whole_line=...) -> exit code.
        usage: first line of the help.
        commands: name -> what it does.

    Returns:
        The exit code: that of `run`; 2 after `error: ...`, a user's mistake; 130 if stopped.
    """
    words = list(sys.argv[1:] if argv is None else argv)
    if not words or words[0] in {"-h", "--help", "help"}:
        width = max(map(len, commands))
        lines = [f"  {name:<{width}}  {text}" for name, text in commands.items()]
        sys.stdout.write("\n".join([usage, "", *lines, ""]))
        return 0
    if words[0] not in commands:
        known = ", ".join(commands)
        sys.stderr.write(f"error: expected a command among {known}, got {words[0]!r}.\n")
        return 2
    from lightning_modules.failures import explain
    from lightning_modules.quiet import quiet

    try:
        with quiet():
            return run(words, is_whole_line=argv is None)
    except KeyboardInterrupt:
        sys.stderr.write("stopped\n")
        return 130
    except Exception as error:
        text = explain(error)
        if text is None:
            raise
        _say(text)
        return 2


def _say(text: str) -> None:
    """Print the error once: a later process first waits to be ended by the first, which speaks."""
    from lightning_modules.callbacks.end_together import GRACE
    from lightning_modules.quiet import is_first_process

    if not is_first_process():
        time.sleep(GRACE)
    if text:
        sys.stderr.write(f"error: {text}\n")
