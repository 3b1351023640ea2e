"""The explaining room's front door: `python -m interpret COMMAND ...`."""

from __future__ import annotations

from collections.abc import Sequence

USAGE = "usage: python -m interpret COMMAND ...   (COMMAND --help lists its flags)"
COMMANDS = {
    "decompose": "what every head and MLP adds to the embeddings of images, or of prompts",
    "textspan": "texts that name what every head writes",
    "ablate": "accuracy without heads, layers or MLPs",
    "heads": "which heads carry which attribute, confirmed by ablation",
    "retrieve": "images that are alike to one head",
    "segment": "heat maps of texts, scored against drawn or given masks",
    "adapter": "which heads an adapter moves, and where to, beside random ones",
    "coefficients": "which learned coefficients of a composition matter",
}


def main(argv: Sequence[str] | None = None) -> int:
    """Run one command.

    Returns:
        The exit code: 0, or 2 after `error: ...`, a user's mistake.
    """
    from lightning_modules.front_door import run_command

    return run_command(argv, _run, USAGE, COMMANDS)


def _run(words: list[str], *, is_whole_line: bool) -> int:
    from interpret.commands import parser

    args = parser().parse_args(words)
    code: int = args.run(args)
    return code


if __name__ == "__main__":
    raise SystemExit(main())
