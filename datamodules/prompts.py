"""Sentences that turn a value into a class: "red" -> "a red object", "something red", ...

Which templates read as English depends on whether people use the value as a noun ("a star") or as an
adjective ("a red object"); the captions behind the dictionary say which.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence

ADJECTIVE = ("a {} object", "something {}", "the object is {}", "a picture of a {} object")
NOUN = ("a {}", "a picture of a {}", "there is a {}", "a {} in the image")


def prompts(value: str, templates: Sequence[str]) -> list[str]:
    """The value in each template, with "a" made "an" where it must be.

    Example:
        >>> prompts("orange", ["a {} object", "something {}"])
        ['an orange object', 'something orange']
    """
    return [re.sub(r"\ba (?=[aeiou])", "an ", template.format(value)) for template in templates]


def templates_for(examples: Iterable[tuple[str, str]]) -> tuple[str, ...]:
    """`NOUN` if most values end their noun phrase in their example captions, else `ADJECTIVE`.

    Args:
        examples: pairs of (value, a caption that mentions it).
    """
    votes = [_is_noun(value, caption) for value, caption in examples]
    return NOUN if sum(votes) * 2 > len(votes) else ADJECTIVE


_AFTER_A_NOUN = frozenset({"on", "in", "is", "at", "of", "with", "and", "near", "by", "."})


def _is_noun(value: str, caption: str) -> bool:
    """Whether `caption` uses `value` as "a ... value", with nothing but the end or a preposition after it."""
    match = re.search(rf"\b(?:a|an|the|one)\s(?:[\w-]+\s)*?{re.escape(value)}\b\s*(\S*)", caption.lower())
    return bool(match) and (match[1] == "" or match[1] in _AFTER_A_NOUN) if match else False
