"""What is known of a source's words before any of them is typed.

Two fronts make it: `captions`, from sentences, and `mentions`, from words of no stated type.

Shape letters: W words, C candidates (words that may be values), A anchor words, D features, V
values.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

from datamodules.dictionary.records import Proposal, ReadFrom, Value
from datamodules.dictionary.word_id import word_id
from datamodules.dictionary.words.evidence import Array
from datamodules.normalize import normalize

Together = Callable[[Sequence[Sequence[int]]], "tuple[float, float]"]


@dataclass(frozen=True)
class Word:
    """A word or phrase of the source; see `Value` for its attributes.

    Attributes:
        key: its normalized spelling.
        text: as the source writes it most often.
    """

    key: str
    text: str
    count: int
    denied: int = 0
    forms: Mapping[str, int] = field(default_factory=dict)
    denials: Mapping[str, int] = field(default_factory=dict)
    splits: Mapping[str, int] = field(default_factory=dict)
    objects: Mapping[str, int] = field(default_factory=dict)
    examples: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Front:
    """The words with their evidence.

    Attributes:
        read_from: where the words come from, see `Dictionary`.
        words: all W words, by falling count.
        rows: positions of the C candidates.
        reasons: why the other words are no candidates, by position.
        features_CD: unit rows by which candidates are typed and grouped.
        vectors_CD: unit rows of the word vectors alone.
        head: how many candidates, from the first, are clustered; the others are too rare.
        proposals: merges for a person to judge.
        coverage: rows of words -> share of the images (mentions) that speak of any of them.
        together: rows of the words of each of V values -> how often two of the values share an
            image, over the rate expected of independent words, and the expected number of times;
            None where there are no images.
        views: unit rows that typing by nearest seeds is checked with, by name.
        anchors: words that stand for the types, embedded beside the candidates; none where the
            candidates alone are looked at.
        anchor_rows_AD: their unit rows.
        lift_W: see `Unassigned`; None where it is not known.
        unknown: words without a vector.
        numbers: facts of the source, for the dictionary's scores.
        versions: libraries that decided the features.
        trained: whether the vectors are those of word2vec, trained as the settings say.
        embedder: name of what gave the vectors.
        embedder_hash: SHA-256 of what decides them.
    """

    read_from: ReadFrom
    words: tuple[Word, ...]
    rows: list[int]
    reasons: Mapping[int, str]
    features_CD: Array
    vectors_CD: Array
    head: int
    proposals: tuple[Proposal, ...]
    coverage: Callable[[Sequence[int]], float]
    together: Together | None
    views: Mapping[str, Array] = field(default_factory=dict)
    anchors: tuple[str, ...] = ()
    anchor_rows_AD: Array | None = None
    lift_W: Array | None = None
    unknown: tuple[str, ...] = ()
    numbers: Mapping[str, Any] = field(default_factory=dict)
    versions: tuple[str, ...] = ()
    trained: bool = False
    embedder: str = ""
    embedder_hash: str = ""

    def keys(self) -> list[str]:
        """The normalized spellings of the candidates."""
        return [self.words[row].key for row in self.rows]

    def rows_of(self, value: Value) -> list[int]:
        """Positions of the words that a value unites."""
        own = self._row_of_id.get(value.id)
        if own is not None and self.words[own].forms == value.forms:
            return [own]  # as it was found: no spelling needs to be looked up
        found = {self._row_of.get(normalize(form)) for form in (value.text, *value.forms)}
        return sorted(row for row in found if row is not None)

    @cached_property
    def _row_of_id(self) -> dict[str, int]:
        return {word_id(word.key): row for row, word in enumerate(self.words)}

    @cached_property
    def _row_of(self) -> dict[str, int]:
        found: dict[str, int] = {}
        for row, word in enumerate(self.words):
            for form in (word.key, *map(normalize, word.forms)):
                found.setdefault(form, row)
        return found
