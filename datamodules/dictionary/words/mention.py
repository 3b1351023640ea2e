"""Mentions: who says of which image that it shows, or does not show, an attribute.

They come from the annotations of a data set, or from a list that a person has:

    red<TAB>120          one string a line, with a count after a tab or a comma, or without
    pale green

    word,count,type      or a CSV file whose header has `word` (or `value`, or `raw`)
    red,120,color
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from datamodules.sources.lines import read_lines, whole_number
from datamodules.tables import Row, read_table

if TYPE_CHECKING:
    from datamodules.sources import Source

_CHUNK = 1 << 16  # rows that are Python objects at a time
_MAX_COUNT = 10**9  # of one line, so that sums stay exact
# "bill color" is the color of the part "bill"; "facial hair" is a type of its own.
_KINDS = frozenset(
    ("color", "height", "length", "material", "pattern", "shape", "size", "style", "texture")
)
_WORD_COLUMNS = ("value", "raw", "word")
_COLUMNS = frozenset(
    (*_WORD_COLUMNS, "count", "type", "object", "part", "split", "image", "polarity", "label")
)
_POLARITY = {"1": 1, "0": 0, "": 1, "-1": -1}
_WHAT = "the list of attributes"


class Mention(NamedTuple):
    """One statement.

    Attributes:
        source: name of the data set, or of the file.
        split: its split; "" if there is none.
        image: the image; "" if it is not said.
        raw: the attribute as it is written.
        polarity: 1 the image shows it, 0 it does not.
        part: of the object, such as bill; "" for all of it.
        type: such as color; "" if it is not said.
        object: what carries the attribute; "" if it is not said.
        times: how often this is stated.
    """

    source: str
    split: str
    image: str
    raw: str
    polarity: int = 1
    part: str = ""
    type: str = ""
    object: str = ""
    times: int = 1


def mentions_of(source: Source) -> Iterator[Mention]:
    """Yield the rows of a source's annotations that say something, in their order.

    Raises:
        InputError: if there are none.
    """
    table = source.annotations
    names, items = table.names, table.items
    part_type = [part_and_type(name) for name in names.attributes]
    rows = known_rows(source)
    for start in range(0, len(rows), _CHUNK):
        chunk = rows[start : start + _CHUNK]
        item = table.columns.item[chunk]
        columns = (
            items.split[item], items.image[item], items.object[item],
            *(column[chunk] for column in table.columns[1:4]),
        )  # fmt: skip
        for split, image, thing, attribute, value, label in zip(
            *(column.tolist() for column in columns), strict=True
        ):
            part, kind = part_type[attribute]
            yield Mention(
                source.name, names.splits[split], names.images[image], names.values[value], label,
                part, kind, names.objects[thing],
            )  # fmt: skip


def known_rows(source: Source) -> NDArray[np.int64]:
    """Numbers of the rows with label 1 or 0, of items that are in a split.

    Raises:
        InputError: if there are none.
    """
    table = source.annotations
    in_split = np.array([name != "" for name in table.names.splits], bool)
    rows = np.flatnonzero(
        (table.columns.label >= 0) & in_split[table.items.split[table.columns.item]]
    )
    if not len(rows):
        raise InputError(
            f"expected annotations of {source.name} that say what an image shows, got none among "
            f"{len(table.columns.item):,}. Check its files with `make prepare DATA={source.name}`."
        )
    return rows


def part_and_type(attribute: str) -> tuple[str, str]:
    """The part and the type that the name of an attribute states: "bill color" -> bill, color."""
    part, _, kind = attribute.rpartition(" ")
    return (part, kind) if part and kind.casefold() in _KINDS else ("", attribute)


def read_list(path: Path) -> Iterator[Mention]:
    """Yield the entries of a list; see the top of this file.

    A file is a table if its name ends in ".csv", or if its first line names two columns or more.
    They are `value`, `raw` or `word`, and as far as wanted `count`, `type`, `object`, `part`,
    `split`, `image`, and `polarity` or `label`: 1 shown, 0 not shown, -1 unknown, which is left
    out.

    Raises:
        InputError: if the file is missing, empty or not UTF-8, or a line is broken; the message
            names file and line.
    """
    lines = read_lines(path, _WHAT, get="Give a list of attributes, one a line.")
    header = [cell.strip(' "') for _, line in islice(lines, 1) for cell in line.split(",")]
    named = len(header) > 1 and _COLUMNS.issuperset(header)
    rows = _table(path, header) if named or path.suffix.lower() == ".csv" else _plain(path)
    yielded = False
    for mention in rows:
        yielded = True
        yield mention
    if not yielded:
        raise InputError(
            f"expected attributes in {path}, got none. Write one a line, such as 'red' or "
            "'pale green'."
        )


def _plain(path: Path) -> Iterator[Mention]:
    for number, line in read_lines(path, _WHAT):
        place, fields = f"{path}, line {number}", line.split("\t")
        if len(fields) == 1:
            before, _, after = line.rpartition(",")
            if after.strip().isdecimal():  # else the comma is one of the text
                fields = [before, after]
        if len(fields) > 2 or not fields[0].strip():
            raise InputError(
                f"{place}: expected an attribute, and its count after a tab if that is known, got "
                f"{line.strip()[:80]!r}. Correct or remove the line."
            )
        count = _count(fields[1].strip(), place) if len(fields) == 2 else 1
        yield Mention(path.name, "", "", fields[0].strip(), times=count)


def _table(path: Path, header: list[str]) -> Iterator[Mention]:
    words = [name for name in _WORD_COLUMNS if name in header]
    if len(words) != 1 or {"polarity", "label"} <= set(header):
        raise InputError(
            f"{path}, line 1: expected a header with one of {', '.join(_WORD_COLUMNS)}, and at "
            f"most one of polarity, label, got {', '.join(header) or 'nothing'}. Name the column "
            "that holds the attributes `word`."
        )
    for _ in read_lines(path, _WHAT):  # so that a line that is not UTF-8 has a number
        pass
    for row in read_table(path, _WHAT, words):
        polarity = _polarity(row)
        if polarity >= 0:
            split, image, part, kind, thing = (
                row.cells.get(name, "") for name in ("split", "image", "part", "type", "object")
            )
            count = _count(row.cells.get("count") or "1", row.place)
            yield Mention(
                path.name, split, image, row.cells[words[0]], polarity, part, kind, thing, count
            )


def _polarity(row: Row) -> int:
    text = row.cells.get("polarity", row.cells.get("label", ""))
    if text not in _POLARITY:
        raise InputError(
            f"{row.place}: expected 1 (shown), 0 (not shown) or -1 (unknown), got {text[:80]!r}. "
            "Correct the row."
        )
    return _POLARITY[text]


def _count(text: str, place: str) -> int:
    count = whole_number(text, place, "a count")
    if count > _MAX_COUNT:
        raise InputError(f"{place}: expected a count of at most {_MAX_COUNT:,}, got {count:,}.")
    return count
