"""YAML that a person has written -> what a parser makes of it, or one sentence on what is wrong."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from datamodules.errors import InputError

T = TypeVar("T")


def read_yaml(path: Path, what: str, parse: Callable[[str], T]) -> T:
    """Read and parse a file of YAML.

    Args:
        path: the file, in UTF-8.
        what: what it holds, for the message if it is missing.
        parse: a function of PyYAML, such as `yaml.safe_load`.

    Raises:
        InputError: if the file is missing, cannot be read, is not UTF-8 or is not YAML; the message
            names the file, and the line if there is one.
    """
    import yaml

    try:
        raw = path.read_bytes()
    except FileNotFoundError:
        raise InputError(f"expected a YAML file of {what} at {path}, found none.") from None
    except OSError as error:
        raise InputError(
            f"could not read {path}: {error.strerror or error}. Give a YAML file of {what}."
        ) from None
    try:
        text = raw.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        line = error.object.count(b"\n", 0, error.start) + 1
        got = error.object[error.start : error.start + 1]
        raise InputError(
            f"{path}, line {line}: expected UTF-8 text, got the byte {got!r}. Save the file as "
            "UTF-8."
        ) from None
    try:
        return parse(text)
    # PyYAML lets ValueError and OverflowError through for escapes beyond Unicode.
    except (yaml.YAMLError, ValueError, OverflowError, RecursionError) as error:
        raise InputError(
            f"{path}{_place(error, text)}: expected YAML, got: {_said(error)}."
        ) from None


def _place(error: Exception, text: str) -> str:
    """The line of an error of PyYAML, which knows either a mark or a position."""
    if mark := getattr(error, "problem_mark", None):
        return f", line {mark.line + 1}"
    position = getattr(error, "position", None)
    return "" if position is None else f", line {text.count(chr(10), 0, position) + 1}"


def _said(error: Exception) -> str:
    said = getattr(error, "problem", None) or getattr(error, "reason", None) or error
    return " ".join(str(said).split())
