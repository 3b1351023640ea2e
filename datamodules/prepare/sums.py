"""Lists of sums as `sha256sum` and `md5sum` write them, and folders checked against them.

<64 or 32 hexadecimal digits>  images/a.jpg        two blanks, or a blank and a star, then a path
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from datamodules.errors import InputError
from datamodules.prepare.archive_members import parts_of
from datamodules.prepare.checksums import compare
from datamodules.sources.lines import read_lines

_LINE = re.compile(r"([0-9a-fA-F]{64}|[0-9a-fA-F]{32}) [ *](.+)", re.DOTALL)


def read_sums(path: Path) -> dict[str, str]:
    """The list in a file: path below the root of the data set -> SHA-256 or MD5.

    Raises:
        InputError: if the file is missing or empty, a line is broken, names a path twice, or one
            that leads out of the root; the message names file and line.
    """
    table: dict[str, str] = {}
    lines: dict[str, int] = {}
    for line, text in read_lines(path, "a list of sums"):
        found = _LINE.fullmatch(text)
        if not found:
            raise InputError(
                f"{path}, line {line}: expected a sum and a path as sha256sum or md5sum write "
                f"them, got {text[:80]!r}. Correct or remove the line."
            )
        digest, name = found.groups()
        parts, fault = parts_of(name)
        if fault or not parts:
            raise InputError(
                f"{path}, line {line}: expected the path of a file below the root, got "
                f"{fault or 'the root'}: {name[:80]!r}. Correct or remove the line."
            )
        file = "/".join(parts)
        if lines.setdefault(file, line) != line:
            raise InputError(
                f"{path}, line {line}: expected every file once, got {file[:80]!r} again, which "
                f"is at line {lines[file]}. Remove one of the lines."
            )
        table[file] = digest
    if not table:
        raise InputError(f"expected sums and paths in {path}, got none. Name another file.")
    return table


def check_sums(root: Path, table: Mapping[str, str]) -> None:
    """Every file of a list is below the root and has its sum; other files are of no interest.

    Links are followed: parts of a data set often lie on another disk.

    Args:
        root: where the list's paths begin.
        table: see `read_sums`.

    Raises:
        InputError: if a file is missing or differs; the message counts them by kind and names the
            first five of each.
    """
    if differences := compare(root, table):
        raise InputError(
            f"expected {len(table):,} files in {root} as the list of sums has them, got "
            f"{differences}. Get these files again, or name the list of this copy."
        )
