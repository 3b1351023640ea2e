"""Sentences that turn a value into a class: "red" -> "a red object", "something red", ...

Which templates read as English depends on whether people use the value as a noun ("a star") or as
an adjective ("a red object"); the captions behind the dictionary say which.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

from datamodules.normalize import FUNCTION_WORDS, clauses, normalize

ADJECTIVE = ("a {} object", "something {}", "the object is {}", "a picture of a {} object")
NOUN = ("a {}", "a picture of a {}", "there is a {}", "a {} in the image")

_ARTICLES = frozenset({"a", "an", "the", "one", "this", "that"})


def prompts(value: str, templates: Sequence[str]) -> list[str]:
    """The value in each template, with "a" made "an" before a vowel.

    Example:
        >>> prompts("orange", ["a {} object", "something {}"])
        ['an orange object', 'something orange']
    """
    return [with_articles(template.format(value)) for template in templates]


def with_articles(text: str) -> str:
    """The text with "a" made "an" before a vowel."""
    return re.sub(r"\ba (?=[aeiou])", "an ", text)


def templates_for(examples: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """`NOUN` if the values are used as nouns, see `are_nouns`, else `ADJECTIVE`.

    Args:
        examples: pairs of (value, a caption that mentions it).

    Example:
        >>> templates_for([("star", "a red star"), ("ring", "the ring is red")])[0]
        'a {}'
    """
    return NOUN if are_nouns(examples) else ADJECTIVE


def are_nouns(examples: Iterable[tuple[str, str]]) -> bool:
    """Whether more examples use their value as a noun than as an adjective.

    Args:
        examples: pairs of (value, a caption that mentions it).
    """
    return sum(_noun_or_adjective(value, caption) for value, caption in examples) > 0


def _noun_or_adjective(value: str, caption: str) -> int:
    """1 if `caption` uses `value` as a noun, -1 if as an adjective, 0 if it does not say.

    A noun ends the phrase that an article opens: "a large red star on the wall". An adjective
    stands before another content word ("a red star"), or ends a phrase without article ("is red").
    """
    wanted = normalize(value).split()
    for clause in clauses(caption.replace(",", " ")):  # "a red, striped star" is one phrase
        words = [word for word, _ in clause]
        for start in range(len(words) - len(wanted) + 1):
            end = start + len(wanted)
            if words[start:end] != wanted:
                continue
            after = [word in FUNCTION_WORDS for word in words[end : end + 2]]
            if after[:1] == [False]:
                return -1
            if words[end : end + 1] == ["and"] and after[1:] == [False]:
                return 0  # "a black and white bird", "a star and ring"
            opening = next((w for w in reversed(words[:start]) if w in FUNCTION_WORDS), None)
            return 0 if opening is None else 1 if opening in _ARTICLES else -1
    return 0
