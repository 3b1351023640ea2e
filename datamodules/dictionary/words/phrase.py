"""An attribute as somebody wrote it -> what it says: " Isn't Dark-GREY" denies "dark gray".

Standard library only.
"""

from __future__ import annotations

import re
import unicodedata
from functools import lru_cache
from typing import NamedTuple

from datamodules.american import american

# What only ties a value to its object: "is a red", "has a handle", "with stripes".
_LEADING = frozenset(["a", "an", "any", "are", "has", "have", "is", "the", "was", "were", "with"])
_CONTRACTIONS = ("arent", "didnt", "doesnt", "dont", "havent", "hasnt", "isnt", "wasnt", "werent")
_NEGATIONS = frozenset(
    ["cannot", "neither", "never", "no", "non", "none", "nor", "not", "without", *_CONTRACTIONS]
)
_SIGNS = str.maketrans(
    {"\u2018": "'", "\u2019": "'", "`": "'", "\u2044": "/", "_": " ", "&": " and "}
)
_WITHOUT, _WITH = re.compile(r"\bw/o\b"), re.compile(r"\bw/(?=\s|[^\W\d])")
# In this order: "a-line", whose "a" is no article; 10:15, 1/2, 3.5in; 50%; red, 2nd, o'clock.
_WORD = re.compile(
    r"(?<![\w-])a-[^\W_]+|\d+(?:[.,:/]\d+)+(?:%|[^\W\d_]*)|\d+%|[^\W_]+(?:'[^\W_]+)*"
)
_GAP = re.compile(r"(?<!\d)[ -]|[ -](?!\d)")


class Phrase(NamedTuple):
    """What an attribute string says.

    Attributes:
        text: its words in lower case and American spelling, with single blanks, without a leading
            article and without negation.
        negated: whether the string denies the text: "not red", "no stripes", "non-shiny".
        words: the words of the text, one or more.
    """

    text: str
    negated: bool
    words: tuple[str, ...]


@lru_cache(maxsize=1 << 17)
def parse(raw: str) -> Phrase | None:
    """Read an attribute string.

    Digits stay: they tell "2 door" from "4 door". A negation denies what follows it, and what
    stands before it is only what it is said of: "cup without handle" denies "handle". A second one
    directly after the first lifts it. Words that begin with "un" are words like others.

    Returns:
        The phrase; None if nothing is left, as of "the", "not" and "...".

    Example:
        >>> parse("Isn't a Dark-GREY")
        Phrase(text='dark gray', negated=True, words=('dark', 'gray'))
    """
    words, negated = _words(raw), False
    while (at := _first_negation(words)) >= 0:
        negated = at > 0 or not negated
        longer = words[at : at + 2] == ["no", "longer"]
        words = _without_leading(words[at + 1 + longer :])
    return Phrase(" ".join(words), negated, tuple(words)) if words else None


def merge_key(text: str) -> str:
    """What two ways to put blanks in a phrase share: "multi colored" and "multicolored".

    A blank between two numbers stays.
    """
    return _GAP.sub("", text)


def _words(raw: str) -> list[str]:
    # Twice, since lower case may fall apart into letters and marks.
    text = unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", raw).casefold())
    text = text.translate(_SIGNS)
    if "w/" in text:
        text = _WITH.sub("with ", _WITHOUT.sub("without", text))
    return _without_leading([american(word) for word in _WORD.findall(text)])


def _without_leading(words: list[str]) -> list[str]:
    for at, word in enumerate(words):
        if word not in _LEADING:
            return words[at:]
    return []


def _first_negation(words: list[str]) -> int:
    for at, word in enumerate(words):
        if word in _NEGATIONS or word.endswith("n't"):
            return at
    return -1
