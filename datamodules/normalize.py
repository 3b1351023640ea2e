"""Spelling: what a caption becomes before anything is counted. Pure, standard library only."""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

from datamodules.american import american

# Closed-class English words: they tie a caption together and never name what is seen.
_FUNCTION_WORDS = """
a about above across after against all along also although am among an and another any anybody
anyone anything are around as at away be because been before behind being below beneath beside
besides between beyond both but by can could did do does doing done down during each either else
enough etc ever every everybody everyone everything few for from had has have having he her here
hers herself him himself his how however i if in inside into is isn it its itself just let like
many may me might mine more most much must my myself near neither no nobody none nor not nothing
now of off on once one ones only onto or other others ought our ours ourselves out outside over
own per perhaps quite rather really same shall she should since so some somebody someone something
somewhere still such than that the their theirs them themselves then there therefore these they
this those though through throughout thus to too toward towards under until up upon us very via
was we were what whatever when where whether which while who whoever whole whom whose why will
with within without would yet you your yours yourself
"""
FUNCTION_WORDS = frozenset(_FUNCTION_WORDS.split())

_WORD = re.compile(r"[^\W\d_]+(?:['\u2019][^\W\d_]+)?")
_BREAK = re.compile(r"[^\w\s'\u2019-]+")


def normalize(text: str) -> str:
    """One spelling for one word or phrase: NFKC, lower case, spaces for hyphens, American spelling.

    Example:
        >>> normalize(" Dark-GREY_")
        'dark gray'
    """
    return " ".join(map(american, raw_words(text)))


def raw_words(text: str) -> list[str]:
    """Words in lower case, split at spaces, hyphens and underscores, in their own spelling."""
    return [
        word.replace("\u2019", "'")
        for word in _WORD.findall(unicodedata.normalize("NFKC", text).casefold())
    ]


def clauses(caption: str) -> Iterator[list[tuple[str, str]]]:
    """Yield each stretch between punctuation marks as (normalised word, raw word) pairs."""
    for part in _BREAK.split(unicodedata.normalize("NFKC", caption)):
        words = [(american(raw), raw) for raw in raw_words(part)]
        if words:
            yield words


def phrases(words: list[str]) -> list[tuple[str, ...]]:
    """Maximal runs of content words.

    Example:
        >>> phrases("a red star on the wall".split())
        [('red', 'star'), ('wall',)]
    """
    found: list[tuple[str, ...]] = []
    run: list[str] = []
    for word in words:
        if word not in FUNCTION_WORDS:
            run.append(word)
        elif run:
            found.append(tuple(run))
            run = []
    return [*found, tuple(run)] if run else found
