"""Mentions in columns, and which entry of the vocabulary each of them is of.

Shape letters: M mentions, V raw strings, P pairs of a type and a raw string, W entries.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Hashable, Sequence
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.words.phrase import Phrase, merge_key, parse
from datamodules.dictionary.words.tally import Ints, numbered, sums
from datamodules.errors import InputError

Codes = NDArray[np.int32]


class Columns(NamedTuple):
    """Mentions as numbers of names, (M,) each."""

    raw: Codes
    type: Codes
    part: Codes
    image: Codes
    object: Codes
    split: Codes
    shown: NDArray[np.bool_]  # what the label says of the raw string
    times: Ints | None = None  # None where each counts once

    def where(self, mask_M: NDArray[np.bool_]) -> Columns:
        """Some of the mentions."""
        if mask_M.all():
            return self
        raw, kind, part, image, thing, split = (column[mask_M] for column in self[:6])
        times = None if self.times is None else self.times[mask_M]
        return Columns(raw, kind, part, image, thing, split, self.shown[mask_M], times)


class Names(NamedTuple):
    """What the numbers stand for; "" as an image, object or part is none."""

    raw: Sequence[str]
    type: Sequence[str]
    part: Sequence[str]
    image: Sequence[Hashable]
    object: Sequence[str]
    split: Sequence[str]


class Entries(NamedTuple):
    """The vocabulary's entries, and what says them.

    Attributes:
        keys: text and type of each entry, by how often it is shown; equal counts by spelling.
        mentions: those that have words, with `shown` as said of the entry's text.
        entry_M: the entry of each of them.
        wordless: how many mentions have no word.
        entry_P: the entry of each pair of a type and a raw string.
        raw_P: the number of its raw string.
        total_P: its mentions, whether they show or deny.
        denies_P: whether its raw string is negated, as "not red".
    """

    keys: list[tuple[str, str]]
    mentions: Columns
    entry_M: Ints
    wordless: int
    entry_P: Ints
    raw_P: Ints
    total_P: Ints
    denies_P: NDArray[np.bool_]


def entries_of(mentions: Columns, names: Names) -> Entries:
    """Read the raw strings and put those of one type and text together.

    Raises:
        InputError: if no mention has a word.
    """
    phrases = [parse(raw) for raw in names.raw]
    mentions, wordless = _with_words(mentions, phrases)
    num_raws = len(names.raw)
    pairs, pair_M = numbered(
        mentions.type * np.int64(num_raws) + mentions.raw, len(names.type) * num_raws
    )
    type_P, raw_P = np.divmod(pairs, num_raws)
    denies_V = np.array([phrase is not None and phrase.negated for phrase in phrases], bool)
    mentions = mentions._replace(shown=mentions.shown ^ denies_V[mentions.raw])
    total_P = sums(pair_M, len(pairs), mentions.times)
    shown_P = sums(pair_M, len(pairs), _times_shown(mentions))
    text_V = _texts(phrases, sums(raw_P, num_raws, total_P).tolist())
    key_P = [
        (text_V[raw], names.type[kind])
        for raw, kind in zip(raw_P.tolist(), type_P.tolist(), strict=True)
    ]
    count_of: Counter[tuple[str, str]] = Counter()
    for key, times in zip(key_P, shown_P.tolist(), strict=True):
        count_of[key] += times
    keys = sorted(count_of, key=lambda key: (-count_of[key], key))
    number_of = {key: number for number, key in enumerate(keys)}
    entry_P = np.array([number_of[key] for key in key_P], np.int64)
    return Entries(
        keys, mentions, entry_P[pair_M], wordless, entry_P, raw_P, total_P, denies_V[raw_P]
    )


def _with_words(mentions: Columns, phrases: list[Phrase | None]) -> tuple[Columns, int]:
    """The mentions that have words, and how many have none."""
    wordless_M = np.array([phrase is None for phrase in phrases], bool)[mentions.raw]
    if wordless_M.all():
        raise InputError(
            f"expected attributes in words, got none in {len(wordless_M):,} mentions. Give other "
            "annotations, or another list."
        )
    return mentions.where(~wordless_M), int(sums(wordless_M, 2, mentions.times)[1])


def _times_shown(mentions: Columns) -> Ints:
    return mentions.shown * (np.int64(1) if mentions.times is None else mentions.times)


def _texts(phrases: list[Phrase | None], total_V: list[int]) -> list[str]:
    """The text of each raw string: of those that differ in blanks, the most frequent; "" for none.

    It is the same whatever the type, so that a word is spelled in one way.
    """
    totals: Counter[str] = Counter()
    for phrase, total in zip(phrases, total_V, strict=True):
        if phrase:
            totals[phrase.text] += total
    best: dict[str, str] = {}
    chosen = {
        text: best.setdefault(merge_key(text), text)
        for text in sorted(totals, key=lambda text: (-totals[text], text))
    }
    return [chosen[phrase.text] if phrase else "" for phrase in phrases]
