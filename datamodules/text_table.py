"""Tables in plain text, for people at a terminal."""

from __future__ import annotations

from collections.abc import Iterable, Sequence


def text_table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a table with aligned columns."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def one_line(value: object) -> str:
    """A cell for a table with tabs: its blanks, tabs and line breaks are single blanks."""
    return " ".join(str(value).split())


def counted(number: int, noun: str) -> str:
    """A number of things, such as "1 word" and "1,024 words"."""
    return f"{number:,} {noun}" + ("" if number == 1 else "s")


def listed(texts: Sequence[str], most: int, between: str = ", ") -> str:
    """The first texts in one line, and dots where some are left out."""
    return between.join([*texts[:most], *["..."][: len(texts) > most]])
