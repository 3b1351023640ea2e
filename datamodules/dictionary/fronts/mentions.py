"""The front of words that a source states without their types: annotations, or a person's list.

    mentions -> vocabulary -> vectors of bare words, centered

Shape letters: W words, D features, N items of the annotations, V values.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
from numpy.typing import NDArray

from datamodules.annotations import Annotations
from datamodules.dictionary.anchoring.phrase_types import anchor_words
from datamodules.dictionary.embed import Embedder, features
from datamodules.dictionary.fronts.front import Front, Together, Word
from datamodules.dictionary.records import Proposal
from datamodules.dictionary.settings import Settings
from datamodules.dictionary.words.lemmas import propose_merges, slip_pairs
from datamodules.dictionary.words.vocabulary import Vocabulary
from datamodules.errors import InputError
from datamodules.prompts import prompts

_TRAIN = "train"
_ALWAYS, _MOST = 2000, 5000  # words that are clustered: at least, however rare, and at most


def from_mentions(
    vocabulary: Vocabulary,
    settings: Settings,
    embedder: Embedder,
    *,
    table: Annotations | None = None,
) -> Front:
    """The front of a counted vocabulary: its entries of no stated type.

    Where the mentions have splits, words count by those of training, and others are left out.

    Args:
        vocabulary: the words.
        settings: thresholds.
        embedder: what gives the vectors.
        table: the annotations they come from; None for a list.

    Raises:
        InputError: if no word is left.
    """
    counts_W = _counted(vocabulary)
    entries = [
        entry
        for entry in np.lexsort((np.arange(len(vocabulary)), -counts_W)).tolist()
        if counts_W[entry] and not vocabulary.types[entry]
    ]
    if not entries:
        raise InputError(
            f"expected words of no stated type in the training split, got none of "
            f"{len(vocabulary):,}. Check the split column."
        )
    words = tuple(
        _word(vocabulary, entry, int(counts_W[entry]), spoken=rank < _MOST)
        for rank, entry in enumerate(entries)
    )
    keys = [word.key for word in words]
    anchors = anchor_words(settings.types)
    # Centered over both, so that a list of colors alone does not lose what makes them colors.
    rows = features(embedder, [*keys, *anchors])
    features_WD, anchor_rows_AD = rows[: len(keys)], rows[len(keys) :]
    known_W = embedder.known(keys)
    head = min(
        max(sum(word.count >= settings.min_count for word in words), _ALWAYS),
        _MOST,
        len(words),
    )
    total = sum(word.count for word in words)
    return Front(
        read_from="list" if table is None else "annotations",
        words=words,
        rows=list(range(len(words))),
        reasons={},
        features_CD=features_WD,
        vectors_CD=features_WD,
        head=head,
        proposals=_proposals(words[:head], features_WD),
        coverage=lambda rows: sum(words[row].count for row in rows) / total,
        together=None if table is None else _together(words, table),
        anchors=anchors,
        anchor_rows_AD=anchor_rows_AD,
        unknown=tuple(key for key, known in zip(keys, known_W, strict=True) if not known),
        numbers={
            "num_mentions": total,
            "num_words": len(words),
            "num_clustered": head,
            "num_without_words": vocabulary.wordless,
        },
        versions=("hdbscan", "numpy", "spacy"),
        embedder=embedder.name,
        embedder_hash=embedder.content_hash,
    )


def _counted(vocabulary: Vocabulary) -> NDArray[np.int64]:
    """How often each entry is shown: in training, where there are splits."""
    if _TRAIN not in vocabulary.splits:
        return vocabulary.counts_W
    return vocabulary.counts_WS[:, vocabulary.splits.index(_TRAIN)]


def _word(vocabulary: Vocabulary, entry: int, count: int, *, spoken: bool) -> Word:
    """A word, with examples of how it is said if that is wanted."""
    splits = dict(zip(vocabulary.splits, vocabulary.counts_WS[entry].tolist(), strict=True))
    forms = vocabulary.forms[entry]
    return Word(
        key=vocabulary.texts[entry],
        text=vocabulary.texts[entry],
        count=count,
        denied=int(vocabulary.denied_W[entry]),
        forms=forms,
        denials=vocabulary.denials[entry],
        splits={name: number for name, number in splits.items() if name and number},
        objects=vocabulary.objects[entry],
        examples=tuple(
            text
            for thing in list(vocabulary.objects[entry])[: 2 * spoken]
            for text in prompts(f"{vocabulary.texts[entry]} {thing}", ["a {}"])
        ),
    )


def _proposals(words: Sequence[Word], features_WD: NDArray[np.float64]) -> tuple[Proposal, ...]:
    """Merges by lemma, and slips of the pen."""
    keys, counts = [word.key for word in words], [word.count for word in words]
    slips = [
        Proposal(
            words=(keys[left], keys[right]),
            counts=(counts[left], counts[right]),
            lemma="",
            cosine=round(float(features_WD[left] @ features_WD[right]), 3),
            kind="spelling",
        )
        for left, right in slip_pairs(keys, counts)
    ]
    return (*propose_merges(keys, counts, features_WD[: len(keys)], None), *slips)


def _together(words: Sequence[Word], table: Annotations) -> Together:
    """How often items show two values at once."""
    row_of: Mapping[str, int] = {form: row for row, word in enumerate(words) for form in word.forms}
    row_T = np.array([row_of.get(value, -1) for value in table.names.values], np.int64)
    in_training = np.zeros(len(table), np.bool_)
    in_training[table.members(_TRAIN) if _TRAIN in table.splits else slice(None)] = True
    shown = (table.columns.label == 1) & in_training[table.columns.item]
    item_R, row_R = table.columns.item[shown], row_T[table.columns.value[shown]]
    num_items = len(np.unique(item_R))

    def together(rows_V: Sequence[Sequence[int]]) -> tuple[float, float]:
        value_of = np.full(len(words) + 1, -1, np.int64)  # the last place is that of no word
        for number, rows in enumerate(rows_V):
            value_of[list(rows)] = number
        value_R = value_of[row_R]
        pairs = np.unique(
            item_R[value_R >= 0].astype(np.int64) * len(rows_V) + value_R[value_R >= 0]
        )
        of_item = np.unique(pairs // len(rows_V), return_counts=True)[1].astype(np.float64)
        of_value = np.bincount(pairs % len(rows_V), minlength=len(rows_V)).astype(np.float64)
        found = float((of_item * (of_item - 1)).sum())
        expected = float((of_value.sum() ** 2 - (of_value**2).sum()) / max(num_items, 1))
        return (found / expected if expected else 1.0), expected

    return together
