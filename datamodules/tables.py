"""CSV files that people write or export: a broken row is named with its file and line."""

from __future__ import annotations

import csv
from collections.abc import Collection, Iterator, Sequence
from pathlib import Path
from typing import Any, NamedTuple

from datamodules.errors import InputError


class Row(NamedTuple):
    """One row: its line, its place ("file, line 3") for messages, and its cells by column."""

    line: int
    place: str
    cells: dict[str, str]


def read_table(
    path: Path, what: str, required: Sequence[str], *, may_be_empty: Collection[str] = ()
) -> Iterator[Row]:
    """Yield the rows of a CSV file with a header; rows without any text are skipped.

    A byte order mark, Windows line ends, spaces around cells and columns of no interest do no harm.

    Args:
        path: the file, in UTF-8.
        what: what the file holds, for the message if it is missing.
        required: columns that must be there, and hold something in every row.
        may_be_empty: those of them that need not hold something.

    Raises:
        InputError: if the file is missing or cannot be read, or a row is broken.
    """
    try:
        with path.open(newline="", encoding="utf-8-sig") as stream:
            yield from _rows(path, csv.reader(stream, strict=True), required, may_be_empty)
    except UnicodeDecodeError as error:
        raise InputError(
            f"expected UTF-8 text in {path}, got {error.object[error.start : error.start + 1]!r}. "
            "Save it as UTF-8."
        ) from None
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"expected {what} at {path}, found no such file. It is a CSV file with the columns "
            f"{', '.join(required)}."
        ) from None
    except OSError as error:
        raise InputError(f"could not read {path}: {error.strerror or error}.") from None


def _rows(
    path: Path, reader: Any, required: Sequence[str], may_be_empty: Collection[str]
) -> Iterator[Row]:
    header: list[str] = []
    for line, cells in _numbered(path, reader):
        place = f"{path}, line {line}"
        if not header:
            header = _header(cells, place, required)
            continue
        if len(cells) != len(header):
            raise InputError(
                f"{place}: expected {len(header)} cells ({', '.join(header)}), got {len(cells)}: "
                f"{','.join(cells)[:80]!r}. Correct or remove the row; text with a comma goes "
                "between double quotes."
            )
        row = dict(zip(header, cells, strict=True))
        if empty := [name for name in required if not (row[name] or name in may_be_empty)]:
            raise InputError(
                f"{place}: expected a value for {empty[0]}, got none. Correct or remove the row."
            )
        yield Row(line, place, row)
    if not header:
        _header([], f"{path}, line 1", required)


def _numbered(path: Path, reader: Any) -> Iterator[tuple[int, list[str]]]:
    """Rows that hold any text, stripped, each with the number of its last line."""
    while True:
        before = reader.line_num
        try:
            cells = [cell.strip() for cell in next(reader)]
        except StopIteration:
            return
        except csv.Error as error:
            raise InputError(
                f"{path}, line {before + 1}: expected a row of CSV, got {error}. Correct the row."
            ) from None
        if any(cells):
            yield reader.line_num, cells


def _header(cells: list[str], place: str, required: Sequence[str]) -> list[str]:
    got = ", ".join(cells) or "nothing"
    if missing := [name for name in required if name not in cells]:
        raise InputError(
            f"{place}: expected a header with {', '.join(required)}, got {got}; missing: "
            f"{', '.join(missing)}. Add the columns."
        )
    if twice := [name for name in dict.fromkeys(cells) if name and cells.count(name) > 1]:
        raise InputError(
            f"{place}: expected each column once, got {got}; twice: {', '.join(twice)}. Remove one."
        )
    return cells
