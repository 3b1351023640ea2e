"""The review sheet: what a person should look at first, as a table for a spreadsheet.

Rows come by count x doubt: frequent words whose attribute is in doubt. Doubt is 1 - margin, from 0
to 1, and half of it where a rule of spelling gave the attribute: a rule is trusted, even against
the scores. The last column is empty and takes the decisions, which `read_review` turns into edits:

    (empty)     not decided
    ok          right as it is (an unassigned word: right that it is no value)
    texture     it is a value of this attribute
    drop        it is no value
    =gray       it is the same value as "gray"
"""

from __future__ import annotations

import csv
import io
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.dictionary.edits.check import check
from datamodules.dictionary.edits.join import DROPPED
from datamodules.dictionary.edits.record import Edits
from datamodules.dictionary.edits.words import tidy
from datamodules.dictionary.lookup import Lookup, word_key
from datamodules.dictionary.records import Attribute, Unassigned, Value
from datamodules.dictionary.schema import Dictionary
from datamodules.errors import InputError
from datamodules.files import write_text
from datamodules.sources.lines import read_lines
from datamodules.text_table import one_line

COLUMNS = (
    "word", "count", "attribute", "second", "score", "margin", "evidence", "group", "objects",
    "examples", "decision",
)  # fmt: skip
_SURE = ("seed", "says nothing about the image")  # where no type was asked, none is in doubt


def write_review(
    dictionary: Dictionary, path: Path, limit: int | None = None, *, replace: bool = False
) -> int:
    """Write the sheet of what no person has judged yet: tab-separated, UTF-8.

    Args:
        dictionary: the dictionary.
        path: the file.
        limit: most rows, 1 or more; None takes all.
        replace: whether a sheet that is there may be overwritten, decisions and all.

    Returns:
        The number of rows.

    Raises:
        InputError: if `limit` is below 1, a file is there and `replace` is False, or it cannot be
            written.
    """
    if limit is not None and limit < 1:
        raise InputError(f"--limit: expected 1 row or more, got {limit}. Leave it out for all.")
    if path.exists() and not replace:
        raise InputError(
            f"expected a new file for the review, {path} is there already. Choose another name, or "
            "add --replace; decisions in it would be lost."
        )
    rows = review_rows(dictionary)[:limit]
    stream = io.StringIO()
    writer = csv.writer(stream, delimiter="\t", lineterminator="\n")
    writer.writerows([COLUMNS, *([*map(one_line, row.values()), ""] for row in rows)])
    write_text(path, stream.getvalue())
    return len(rows)


def review_rows(dictionary: Dictionary) -> list[dict[str, object]]:
    """The rows of the sheet without their decisions, by falling count x doubt.

    What the data set states, a person has reviewed or an edit has dropped is left out.
    """
    lookup = Lookup(dictionary)
    rows = [
        (value.count * _doubt(value.margin, value.evidence), value.count, row)
        for attribute in dictionary.attributes
        for value in attribute.values
        if value.status == "auto"
        for row in [_value_row(attribute, value, lookup)]
    ]
    rows += [
        (loose.count * _doubt(loose.margin, loose.reason), loose.count, row)
        for loose in dictionary.unassigned
        if loose.reason != DROPPED
        for row in [_loose_row(loose)]
    ]
    return [row for *_, row in sorted(rows, key=lambda item: (-item[0], -item[1], item[2]["word"]))]


def _doubt(margin: float, evidence: str) -> float:
    """How unsure the attribute is, from 0 to 1; the margin of a rule may be below 0."""
    if evidence in _SURE:
        return 0.0
    doubt = 1 - min(max(margin, 0.0), 1.0)
    return doubt / 2 if evidence.startswith("rule:") else doubt


def _value_row(attribute: Attribute, value: Value, lookup: Lookup) -> dict[str, object]:
    return {
        "word": lookup.shortest(attribute.name, value.text),
        "count": value.count,
        "attribute": attribute.name,
        "second": value.second,
        "score": value.score,
        "margin": value.margin,
        "evidence": value.evidence,
        "group": value.group,
        "objects": ", ".join(f"{name} ({count})" for name, count in value.objects.items()),
        "examples": " | ".join(value.examples),
    }


def _loose_row(loose: Unassigned) -> dict[str, object]:
    return {
        "word": loose.text,
        "count": loose.count,
        "attribute": "",
        "second": loose.nearest,
        "score": loose.score,
        "margin": loose.margin,
        "evidence": loose.reason,
        "group": "",
        "objects": "",
        "examples": "",
    }


def read_review(path: Path) -> Edits:
    """Read the decisions of a sheet, also one that a spreadsheet program has saved.

    Columns are found by name; only "word", "attribute" and "decision" are read.

    Raises:
        InputError: if the file is missing or is no such sheet, a row is broken, or two decisions
            contradict each other; the message names file and line.
    """
    decided = _Decisions()
    for place, row in _rows(Path(path)):
        if row["decision"]:
            decided.add(place, row["word"], row["attribute"], row["decision"])
    edits = Edits(
        move=decided.move,
        merge=tuple((word, *others) for word, others in decided.merge.items()),
        drop=tuple(decided.drop),
        keep=tuple(decided.keep),
        places=decided.places,
    )
    check(edits)
    return edits


@dataclass
class _Decisions:
    move: dict[str, str] = field(default_factory=dict)
    merge: dict[str, dict[str, None]] = field(default_factory=dict)
    drop: dict[str, None] = field(default_factory=dict)
    keep: dict[str, None] = field(default_factory=dict)
    places: dict[str, str] = field(default_factory=dict)

    def add(self, place: str, word: str, attribute: str, decision: str) -> None:
        try:
            word, name = tidy(word), tidy(decision.removeprefix("="))
        except ValueError as error:
            raise InputError(
                f"{place}: expected a word and ok, drop, =word or an attribute, got {error}. "
                "Correct the line."
            ) from None
        if decision.startswith("#"):
            raise InputError(
                f"{place}: expected ok, drop, =word or the name of an attribute, got {decision!r}. "
                "A spreadsheet takes =word for a formula: type '=word, with an apostrophe."
            )
        section, entry = "move", word
        if decision.startswith("="):
            section, entry = "merge", name
            if word_key(entry) == word_key(word):
                raise InputError(f"{place}: expected another word than {word!r} after =.")
            self.merge.setdefault(entry, {})[word] = None
        elif decision.casefold() == "drop" or (decision.casefold() == "ok" and not attribute):
            section = "drop"
            self.drop[word] = None
        elif decision.casefold() == "ok":
            qualified = word.startswith(f"{attribute}/")
            section, entry = "keep", word if qualified else f"{attribute}/{word}"
            self.keep[entry] = None
        elif self.move.setdefault(word, decision) != decision:
            before = self.places[f"move {word}"]
            raise InputError(
                f"{place}: expected one attribute for {word!r}, got {decision!r} and ({before}) "
                f"{self.move[word]!r}. Keep one of them."
            )
        self.places.setdefault(f"{section} {entry}", place)


def _rows(path: Path) -> Iterator[tuple[str, Mapping[str, str]]]:
    """Place and cells of every row below the header."""
    header: list[str] = []
    for number, line in read_lines(path, "a review sheet"):
        place = f"{path}, line {number}"
        try:
            cells = next(csv.reader([line], "excel-tab", strict=True))
        except csv.Error as error:
            raise InputError(f"{place}: expected cells between tabs, got {error}.") from None
        cells = [" ".join(cell.split()) for cell in cells]
        if not header:
            header = cells
            _check_header(header, place)
        elif len(cells) > len(header):
            raise InputError(
                f"{place}: expected {len(header)} cells between tabs, got {len(cells)}. Correct or "
                "remove the line."
            )
        elif any(cells):
            # Some programs leave out empty cells at the end of a line.
            cells += [""] * (len(header) - len(cells))
            yield place, dict(zip(header, cells, strict=True))
    if not header:
        _check_header([], f"{path}, line 1")


def _check_header(header: Iterable[str], place: str) -> None:
    known = list(header)
    needed = ("word", "attribute", "decision")
    if missing := [name for name in needed if known.count(name) != 1]:
        raise InputError(
            f"{place}: expected one column of each of {', '.join(needed)} between tabs, got "
            f"{', '.join(known)[:80] or 'nothing'}; look at {missing[0]}."
        )
