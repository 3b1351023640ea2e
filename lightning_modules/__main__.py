"""The training room's front door: `python -m lightning_modules COMMAND ...`."""

from __future__ import annotations

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
    from lightning_modules.front_door import run_command

    return run_command(argv, _run, USAGE, COMMANDS)


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


if __name__ == "__main__":
    raise SystemExit(main())
