"""A user's file of word vectors (GloVe, word2vec): the words asked for, as gensim would read them.

Gensim reads whole files, a GB and minutes for the common ones; here one pass keeps what is needed.

Shape letters: W texts, D features.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

import numpy as np

from datamodules.dictionary.embed.phrases import known_phrases, phrase_rows, words_of
from datamodules.dictionary.embed.protocol import Mask, Rows
from datamodules.dictionary.embed.vector_file import (
    Layout,
    Record,
    place,
    read_layout,
    read_records,
)
from datamodules.errors import InputError
from datamodules.files import sha256_file, sha256_json

_VERSION = 1  # of the arithmetic of phrases


class FileVectors:
    """Vectors of a file; a phrase is the weighted mean of its words.

    Each call reads the file once if it asks for words that were not asked for before.

    Args:
        path: GloVe text, word2vec text or word2vec binary, also packed by gzip.
        counts: how often each word was seen, for the weights in phrases; None takes Zipf's law and
            the order of the file, in which those files list frequent words first.
    """

    def __init__(self, path: Path, counts: Mapping[str, int] | None = None) -> None:
        self.path = path
        self.counts = counts
        self._layout = read_layout(path)
        self._words: dict[str, Rows] = {}
        self._ranks: dict[str, int] = {}
        self._asked: set[str] = set()
        self._num_words = 0

    @property
    def name(self) -> str:
        """`vectors:` and the file's name."""
        return f"vectors:{self.path.name}"

    @cached_property
    def content_hash(self) -> str:
        """Hash of the file and the counts."""
        counts = None if self.counts is None else dict(self.counts)
        return sha256_json([_VERSION, sha256_file(self.path), counts])

    def encode(self, texts: Sequence[str]) -> Rows:
        """One row for each text, (W, D); zeros where no word of it is in the file.

        Raises:
            InputError: if the file is broken; the message names file and line.
        """
        self._read(words_of(texts))
        return phrase_rows(texts, self._words, self._share, self._layout.width)

    def known(self, texts: Sequence[str]) -> Mask:
        """Which texts have a word in the file, (W,).

        Raises:
            InputError: if the file is broken; the message names file and line.
        """
        self._read(words_of(texts))
        return known_phrases(texts, self._words)

    def _read(self, wanted: set[str]) -> None:
        wanted = wanted - self._asked
        if not wanted:
            return
        path, layout = self.path, self._layout
        words: dict[str, Rows] = {}
        numbers: dict[str, int] = {}
        for record in read_records(path, layout):
            self._num_words = record.number
            if record.word not in wanted:
                continue
            if record.word in words:
                raise InputError(
                    f"{place(path, layout, record.number)}: expected each word once, got "
                    f"{record.word!r}, which has a vector already: "
                    f"{place(path, layout, numbers[record.word])}. Remove one of them."
                )
            words[record.word] = _parsed(path, layout, record)
            numbers[record.word] = record.number
        self._words |= words
        self._ranks |= numbers
        self._asked |= wanted

    def _share(self, word: str) -> float:
        if self.counts is not None:
            return self.counts.get(word, 0) / max(self._total, 1)
        return 1 / (self._ranks[word] * self._harmonic)

    @cached_property
    def _total(self) -> int:
        return sum((self.counts or {}).values())

    @cached_property
    def _harmonic(self) -> float:
        """Sum of 1 / rank, which makes the shares of Zipf's law add up to one."""
        return float((1 / np.arange(1, self._num_words + 1)).sum())


def _parsed(path: Path, layout: Layout, record: Record) -> Rows:
    """The numbers of a record, (D,).

    Raises:
        InputError: if one of them is not finite, or no number.
    """
    try:
        with np.errstate(over="ignore"):  # beyond float32 is not finite, and that has its message
            row_D: Rows = (
                np.frombuffer(record.vector, "<f4").astype(np.float32)
                if layout.binary
                else np.asarray(record.vector.split(b" "), dtype=np.float32)
            )
        finite = bool(np.isfinite(row_D).all())
    except ValueError:
        finite = False
    if not finite:
        raise InputError(
            f"{place(path, layout, record.number)}: expected {layout.width} finite numbers after "
            f"{record.word!r}, got one that is not. Correct or remove the word."
        )
    return row_D
