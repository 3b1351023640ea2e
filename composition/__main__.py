"""The composing room's front door: `python -m composition COMMAND ...`."""

from __future__ import annotations

from collections.abc import Sequence

USAGE = "usage: python -m composition COMMAND ...   (COMMAND --help lists its flags)"
COMMANDS = {
    "fit": "learn how much of each saved delta some tasks want, save and compare the composition",
    "validate": "score a checkpoint of such a fit on the validation splits",
    "study": "fit compositions over several seeds and tabulate them",
    "interference": "how saved deltas get in each other's way, before anything is composed",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0, or 2 after `error: ...`, a user's mistake.
    """
    from lightning_modules.front_door import run_command

    return run_command(argv, _run, USAGE, COMMANDS)


def _run(words: list[str], *, is_whole_line: bool) -> int:
    if words[0] in {"fit", "validate"}:
        from composition.cli import fit

        # None: Lightning starts further processes by the command line it reads itself.
        fit(None if is_whole_line else words)
        return 0
    from composition.commands import parser

    args = parser().parse_args(words)
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
