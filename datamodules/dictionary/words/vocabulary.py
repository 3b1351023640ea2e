"""Mentions -> a counted vocabulary: every attribute that anybody wrote, in one spelling each.

An entry is a type and a text: "light" as a color and "light" of no stated type are two. Phrases
that differ only in blanks are one entry. Nothing is dropped for being rare. The result does not
depend on the order of the mentions.

Shape letters: M mentions, P pairs of a type and a raw string, V raw strings, W entries, S splits.
"""

from __future__ import annotations

from array import array
from collections.abc import Hashable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.words.entries import Codes, Columns, Names, entries_of
from datamodules.dictionary.words.mention import Mention, known_rows, part_and_type
from datamodules.dictionary.words.tally import Ints, distinct, ranking, sums

if TYPE_CHECKING:
    from datamodules.sources import Source

_MOST = 5  # objects and parts kept of an entry


@dataclass(frozen=True, eq=False)
class Vocabulary:
    """What the mentions speak of, by falling count; equal counts by text, then by type.

    Attributes:
        texts: the W attributes, in the most frequent spelling of those that differ in blanks.
        types: the type that the source states for each; "" where it states none.
        counts_W: how often each is shown.
        denied_W: how often it is said not to be there.
        splits: names of the S splits, sorted.
        counts_WS: how often each is shown in each split.
        images_W: number of images that show it; mentions without an image add none.
        forms: for each, the raw strings that say it, with their mentions, the commonest first.
        denials: for each, the raw strings that deny it, such as "not red", likewise.
        objects: for each, the five objects that most often show it, with their counts.
        parts: for each, the five parts of objects that most often show it, with their counts.
        wordless: mentions without any word, such as "..." and "not".
    """

    texts: tuple[str, ...]
    types: tuple[str, ...]
    counts_W: Ints
    denied_W: Ints
    splits: tuple[str, ...]
    counts_WS: Ints
    images_W: Ints
    forms: tuple[Mapping[str, int], ...]
    denials: tuple[Mapping[str, int], ...]
    objects: tuple[Mapping[str, int], ...]
    parts: tuple[Mapping[str, int], ...]
    wordless: int = 0

    def __len__(self) -> int:
        return len(self.texts)


def count(mentions: Iterable[Mention]) -> Vocabulary:
    """Count mentions in one pass, without keeping them.

    Raises:
        InputError: if there are none, or none has a word.
    """
    codes: list[dict[Any, int]] = [{} for _ in Names._fields]
    columns = [array("i") for _ in Names._fields]
    shown, counts = array("b"), array("q")
    for source, split, image, raw, polarity, part, kind, thing, times in mentions:
        names = (raw, kind, part, image and (source, image), thing, split)
        for code, column, name in zip(codes, columns, names, strict=True):
            column.append(code.setdefault(name, len(code)))
        shown.append(polarity)
        counts.append(times)
    raw_M, type_M, part_M, image_M, object_M, split_M = (np.array(each) for each in columns)
    return _vocabulary(
        Columns(
            raw_M, type_M, part_M, image_M, object_M, split_M,
            np.array(shown, bool), np.array(counts, np.int64),
        ),
        Names(*map(tuple, codes)),
    )  # fmt: skip


def count_table(source: Source) -> Vocabulary:
    """The same as `count(mentions_of(source))`, straight from the columns of the annotations.

    Raises:
        InputError: if the annotations say nothing, or nothing in words.
    """
    table, rows = source.annotations, known_rows(source)
    names, part_type = table.names, [part_and_type(name) for name in table.names.attributes]
    parts, part_A = _coded([part for part, _ in part_type])
    types, type_A = _coded([kind for _, kind in part_type])
    item, attribute = table.columns.item[rows], table.columns.attribute[rows]
    mentions = Columns(
        raw=table.columns.value[rows],
        type=type_A[attribute],
        part=part_A[attribute],
        image=table.items.image[item],
        object=table.items.object[item],
        split=table.items.split[item],
        shown=table.columns.label[rows] > 0,
    )
    return _vocabulary(
        mentions, Names(names.values, types, parts, names.images, names.objects, names.splits)
    )


def _coded(names: Sequence[str]) -> tuple[tuple[str, ...], Codes]:
    """The distinct names, and the number of each name among them."""
    code = {name: number for number, name in enumerate(dict.fromkeys(names))}
    return tuple(code), np.array([code[name] for name in names], np.int32)


def _vocabulary(mentions: Columns, names: Names) -> Vocabulary:
    entries = entries_of(mentions, names)
    size, entry_P, denies_P = len(entries.keys), entries.entry_P, entries.denies_P
    entry_M = entries.entry_M[entries.mentions.shown]
    shown = entries.mentions.where(entries.mentions.shown)
    counts_W = sums(entry_M, size, shown.times)
    total_W = sums(entry_P, size, entries.total_P)

    def spelled(mask_P: NDArray[np.bool_]) -> tuple[dict[str, int], ...]:
        raw_P, total_P = entries.raw_P[mask_P], entries.total_P[mask_P]
        return ranking(entry_P[mask_P], raw_P, names.raw, size, total_P)

    def most(name_M: Codes, of: Sequence[str]) -> tuple[dict[str, int], ...]:
        named_M = _named(of)[name_M]
        times = None if shown.times is None else shown.times[named_M]
        return ranking(entry_M[named_M], name_M[named_M], of, size, times, most=_MOST)

    has_image = _named(names.image)[shown.image]
    splits, counts_WS = _by_split(entry_M, shown, entries.mentions.split, names.split, size)
    return Vocabulary(
        texts=tuple(text for text, _ in entries.keys),
        types=tuple(kind for _, kind in entries.keys),
        counts_W=counts_W,
        denied_W=total_W - counts_W,
        splits=splits,
        counts_WS=counts_WS,
        images_W=distinct(entry_M[has_image], shown.image[has_image], size, len(names.image)),
        forms=spelled(~denies_P),
        denials=spelled(denies_P),
        objects=most(shown.object, names.object),
        parts=most(shown.part, names.part),
        wordless=entries.wordless,
    )


def _by_split(
    entry_M: Ints, shown: Columns, split_M: Codes, names: Sequence[str], size: int
) -> tuple[tuple[str, ...], Ints]:
    """The splits of any mention, sorted, and the counts of the entries in each, (W, S)."""
    present = np.unique(split_M).tolist()
    splits = sorted(names[code] for code in present)
    column_V = np.zeros(len(names), np.int64)
    column_V[present] = [splits.index(names[code]) for code in present]
    cells = entry_M * len(splits) + column_V[shown.split]
    return tuple(splits), sums(cells, size * len(splits), shown.times).reshape(size, -1)


def _named(names: Sequence[Hashable]) -> NDArray[np.bool_]:
    return np.array([name != "" for name in names], bool)
