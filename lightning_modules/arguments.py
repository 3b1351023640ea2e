"""Parsers that answer a mistyped flag by one line: what was wrong, and the flag that was meant."""

from __future__ import annotations

import argparse
import difflib
import re
import sys
from collections.abc import Iterable
from typing import NoReturn

from lightning.pytorch.cli import LightningArgumentParser

_KEY = re.compile(r'Parser key "([^"]+)":\s*')
_TYPE = re.compile(r"<class '(\w+)'>|typing\.Literal(\[[^\]]*\])")
_GIVEN = re.compile(r"(?:Got value|Given value): (.*)")


class LineParser(argparse.ArgumentParser):
    """argparse without its usage in front of every error."""

    def error(self, message: str) -> NoReturn:
        """Print the line and exit with code 2."""
        _exit(message, flags(self), self.prog)


class LightningLineParser(LightningArgumentParser):
    """LightningCLI's parser without its 90 lines of usage in front of every error."""

    def error(self, message: str, ex: Exception | None = None) -> NoReturn:
        """Print the line and exit with code 2."""
        parser = getattr(ex, "subcommand_parser", None) or self
        _exit(message, flags(parser), str(parser.prog).replace(" [options]", ""))


def flags(parser: argparse.ArgumentParser) -> list[str]:
    """The long flags of a parser and of its commands."""
    found = [each for action in parser._actions for each in action.option_strings]
    for action in parser._actions:
        choices = getattr(action, "choices", None)
        for sub in choices.values() if isinstance(choices, dict) else ():
            found += flags(sub)
    return [each for each in found if each.startswith("--")]


def one_line(message: str, known: Iterable[str]) -> str:
    """Jsonargparse's message as one sentence.

    Args:
        message: what the parser says, possibly on many lines.
        known: the flags there are.

    Example:
        >>> one_line("unrecognized arguments: --model.rnak 2", ["--model.rank"])
        'unrecognized arguments: --model.rnak 2. Did you mean --model.rank?'
    """
    key, given = _KEY.match(message), _GIVEN.search(message)
    types = [word or choices for word, choices in _TYPE.findall(message.replace("\n", " "))]
    if key and given and types:
        kinds = dict.fromkeys(kind for kind in types if kind != "NoneType" or len(types) == 1)
        got = given[1].strip()
        # The type of the value itself is named last.
        wanted = list(kinds)[: -1 if "Given value type" in message and len(kinds) > 1 else None]
        return f"--{key[1]}: expected {' or '.join(wanted)}, got {got!r}."
    message = re.sub(r"\b(?:fit|validate|test)\.(\w+\.\w+)", r"--\1", message)
    text = " ".join(_KEY.sub(r"--\1: ", message).split()).rstrip(".")
    wrong = [word.split("=")[0] for word in text.split() if word.startswith("--")]
    if text.startswith("unrecognized") and wrong:
        close = difflib.get_close_matches(wrong[0], known, n=1)
        return f"{text}. Did you mean {close[0]}?" if close else f"{text}."
    return f"{text}."


def _exit(message: str, known: Iterable[str], program: str) -> NoReturn:
    sys.stderr.write(f"error: {one_line(message, known)} ({program} --help lists all flags)\n")
    raise SystemExit(2)
