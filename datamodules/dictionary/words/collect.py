"""Captions -> counts. One pass; everything later works on words, not on captions.

Shape letters: I images, W words of the vocabulary.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import TYPE_CHECKING

from datamodules.errors import InputError
from datamodules.normalize import FUNCTION_WORDS, clauses, phrases

if TYPE_CHECKING:
    from scipy.sparse import csr_array

Clause = list[tuple[str, str]]


@dataclass(frozen=True)
class Corpus:
    """What the captions say, counted.

    Attributes:
        words: content words and fixed pairs, by falling count, then by spelling.
        counts: captions that mention each word.
        forms: spellings of each word with their counts, most frequent first.
        examples: up to two captions for each word.
        sentences: clauses as normalized words, function words kept: the context of the word
            vectors. "an" becomes "a", else words that begin with a vowel would look like a kind of
            their own.
        mentions_IW: number of captions of each image that mention each word.
        captions_I: number of captions of each image.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]
    forms: dict[str, dict[str, int]]
    examples: dict[str, tuple[str, ...]]
    sentences: list[list[str]]
    mentions_IW: csr_array
    captions_I: list[int]

    @property
    def grouped(self) -> bool:
        """Whether some image has two captions, so that they can be compared."""
        return any(count > 1 for count in self.captions_I)


def collect(captions: Iterable[str | Sequence[str]], *, min_count: int, max_words: int) -> Corpus:
    """Read captions, one entry an image: its caption, or all of its captions.

    Args:
        captions: the captions.
        min_count: smallest number of captions that mention a word.
        max_words: the most frequent words kept.

    Raises:
        InputError: if there is no caption, or no word is frequent enough.
    """
    images = [[entry] if isinstance(entry, str) else list(entry) for entry in captions]
    texts = [text for image in images for text in image]
    if not texts:
        raise InputError(
            "expected captions to build a dictionary from, got none. Give a source that has "
            "captions."
        )
    read = [list(clauses(text)) for text in texts]
    pairs = _fixed_pairs(read, min_count)
    joined = [[_join(clause, pairs) for clause in caption] for caption in read] if pairs else read
    counts, spellings, examples = _count(joined, texts)
    kept = sorted(
        (word for word, count in counts.items() if count >= min_count),
        key=lambda w: (-counts[w], w),
    )
    if not kept:
        raise InputError(
            f"expected words in at least {min_count} captions, got none in {len(texts)} captions. "
            "Give more captions."
        )
    words = tuple(kept[:max_words])
    return Corpus(
        words=words,
        counts=tuple(counts[word] for word in words),
        forms={word: _by_count(spellings[word]) for word in words},
        examples={word: tuple(examples[word]) for word in words},
        sentences=[
            ["a" if word == "an" else word for word, _ in clause]
            for caption in joined
            for clause in caption
        ],
        mentions_IW=_mentions(joined, images, words),
        captions_I=[len(image) for image in images],
    )


def _fixed_pairs(read: list[list[Clause]], min_count: int) -> set[tuple[str, str]]:
    """Neighbors that mostly come together, seen from either: "polka dotted" is one word."""
    singles: Counter[str] = Counter()
    doubles: Counter[tuple[str, str]] = Counter()
    for caption in read:
        for clause in caption:
            for phrase in phrases([word for word, _ in clause]):
                singles.update(phrase)
                doubles.update(pairwise(phrase))
    return {
        (left, right)
        for (left, right), count in doubles.items()
        if count >= min_count and 2 * count > max(singles[left], singles[right])
    }


def _join(clause: Clause, pairs: set[tuple[str, str]]) -> Clause:
    joined: Clause = []
    for word, raw in clause:
        if joined and (joined[-1][0], word) in pairs:
            before, raw_before = joined.pop()
            joined.append((f"{before} {word}", f"{raw_before} {raw}"))
        else:
            joined.append((word, raw))
    return joined


def _count(
    joined: list[list[Clause]], texts: list[str]
) -> tuple[Counter[str], dict[str, Counter[str]], dict[str, list[str]]]:
    counts: Counter[str] = Counter()
    spellings: dict[str, Counter[str]] = {}
    examples: dict[str, list[str]] = {}
    for caption, text in zip(joined, texts, strict=True):
        seen = {
            word: raw
            for clause in caption
            for word, raw in clause
            if word not in FUNCTION_WORDS and len(word) > 1
        }
        for word, raw in seen.items():
            counts[word] += 1
            spellings.setdefault(word, Counter())[raw] += 1
            shown = examples.setdefault(word, [])
            if len(shown) < 2 and text not in shown:
                shown.append(text)
    return counts, spellings, examples


def _by_count(spellings: Counter[str]) -> dict[str, int]:
    return dict(sorted(spellings.items(), key=lambda item: (-item[1], item[0])))


def _mentions(
    joined: list[list[Clause]], images: list[list[str]], words: tuple[str, ...]
) -> csr_array:
    from scipy.sparse import coo_array

    column = {word: number for number, word in enumerate(words)}
    rows: list[int] = []
    columns: list[int] = []
    caption = iter(joined)
    for row, image in enumerate(images):
        for _ in image:
            seen = {
                column[word] for clause in next(caption) for word, _ in clause if word in column
            }
            rows.extend([row] * len(seen))
            columns.extend(sorted(seen))
    shape = (len(images), len(words))
    return coo_array(([1.0] * len(rows), (rows, columns)), shape=shape).tocsr()
