"""Known types of words, to score a dictionary by: a person's table, or a data set's taxonomy.

    CSV    word,type            one line a word, with or without that header
    JSON   {"red": "color"}     or {"color": ["red", ...]}, as taxonomies are published

A second file may lift the types of the first to their parents, and a third counts the words.
"""

from __future__ import annotations

import csv
from collections import deque
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from datamodules.errors import InputError
from datamodules.files import read_json
from datamodules.normalize import normalize
from datamodules.sources.lines import read_lines
from datamodules.text_table import counted

Pairs = list[tuple[str, str]]


@dataclass(frozen=True)
class Reference:
    """Words of one known type.

    Attributes:
        types: word -> type.
        counts: word -> how often it is used; empty where that was not asked.
        several: words left out because they have several types.
        ignored: words left out because their type is to be ignored.
    """

    types: Mapping[str, str]
    counts: Mapping[str, int] = field(default_factory=dict)
    several: tuple[str, ...] = ()
    ignored: tuple[str, ...] = ()


def read_reference(
    path: Path,
    *,
    parents: Path | None = None,
    ignore: Collection[str] = (),
    counts: Path | None = None,
) -> Reference:
    """Read known types. A word of several types is left out, and so is one of an ignored type.

    Args:
        path: CSV or JSON, see above.
        parents: JSON {"subtype": "parent"} or {"parent": ["subtype", ...]}; a type that it does not
            name stays.
        ignore: types that say nothing, such as "other".
        counts: CSV `word,count` or JSON {"word": count}.

    Raises:
        InputError: if a file is missing or malformed, no word is of a type to ignore, or no word is
            left.
    """
    parent = dict(_read(parents, "--parents", "subtype", "parent")) if parents else {}
    types_of: dict[str, dict[str, None]] = {}
    for word, kind in _read(path, "--reference", "word", "type"):
        types_of.setdefault(normalize(word), {})[parent.get(kind, kind)] = None
    _check_ignored(ignore, types_of, path)
    single = {word: next(iter(kinds)) for word, kinds in types_of.items() if len(kinds) == 1}
    types = {word: kind for word, kind in single.items() if kind not in set(ignore)}
    if not types:
        raise InputError(
            f"--reference: expected words of one type in {path}, got none of "
            f"{counted(len(types_of), 'word')}."
        )
    return Reference(
        types=types,
        counts=_counts(counts) if counts else {},
        several=tuple(sorted(word for word, kinds in types_of.items() if len(kinds) > 1)),
        ignored=tuple(sorted(set(single) - set(types))),
    )


def _check_ignored(
    ignore: Collection[str], types_of: Mapping[str, Collection[str]], path: Path
) -> None:
    known = sorted({kind for kinds in types_of.values() for kind in kinds})
    if unknown := [kind for kind in ignore if kind not in known]:
        raise InputError(
            f"--ignore: expected types of the words in {path}, got {unknown[0]!r}. The types are: "
            f"{', '.join(known)}."
        )


def _read(path: Path, flag: str, left: str, right: str) -> Pairs:
    """Pairs of a CSV file, or of a JSON object in either layout."""
    if not path.is_file():
        raise InputError(f"{flag}: expected a CSV or JSON file at {path}, found none.")
    if path.suffix.lower() == ".json":
        pairs = _json_pairs(path, flag, left, right)
    else:
        pairs = [(row[0], row[1].strip()) for row in _csv_rows(path, flag, left, right)]
    if not pairs:
        raise InputError(f"{flag}: expected `{left},{right}` lines in {path}, got none.")
    return pairs


def _json_pairs(path: Path, flag: str, left: str, right: str) -> Pairs:
    try:
        deque(read_lines(path, flag), maxlen=0)  # names the line that is not UTF-8
        raw = read_json(path)
    except InputError as error:
        raise InputError(f"{flag}: {error}") from None
    if isinstance(raw, dict) and all(isinstance(value, str) for value in raw.values()):
        return list(raw.items())
    if isinstance(raw, dict) and all(_is_strings(value) for value in raw.values()):
        return [(word, kind) for kind, words in raw.items() for word in words]
    raise InputError(
        f'{flag}: expected a JSON object {{"{left}": "{right}"}} or {{"{right}": ["{left}", ...]}} '
        f"in {path}, got something else."
    )


def _is_strings(value: Any) -> bool:
    return isinstance(value, list) and all(isinstance(item, str) for item in value)


def _csv_rows(path: Path, flag: str, left: str, right: str) -> Sequence[list[str]]:
    rows = []
    for number, line in read_lines(path, flag):
        try:
            row = next(csv.reader([line]))
        except csv.Error as error:
            raise InputError(
                f"{flag}: expected `{left},{right}` in {path}, got line {number}: {error}."
            ) from None
        if len(row) != 2:
            raise InputError(
                f"{flag}: expected `{left},{right}` in {path}, line {number} has "
                f"{counted(len(row), 'column')}."
            )
        rows.append(row)
    if rows and [cell.strip().lower() for cell in rows[0]] == [left, right]:
        return rows[1:]
    return rows


def _counts(path: Path) -> dict[str, int]:
    """Count of each word; spellings of one word are added."""
    flag = "--counts"
    found: dict[str, int] = {}
    if path.suffix.lower() == ".json" and path.is_file():
        raw = read_json(path)
        pairs = list(raw.items()) if isinstance(raw, dict) else [("", raw)]
    else:
        pairs = [(word, text) for word, text in _read(path, flag, "word", "count")]
    for word, count in pairs:
        text = str(count).strip()
        if isinstance(count, bool) or not (text.isascii() and text.isdecimal()):
            raise InputError(
                f"{flag}: expected a count of 0 or more for {word!r} in {path}, got {count!r}."
            )
        found[normalize(word)] = found.get(normalize(word), 0) + int(text)
    return found
