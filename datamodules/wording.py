"""How the attributes of a dictionary are put into words: one of them, or several in one phrase."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence

from datamodules.dictionary import Attribute
from datamodules.errors import InputError
from datamodules.prompts import are_nouns, templates_for, with_articles

_PLACE = re.compile(r"\{([^{}]*)\}")


def templates_of(entry: Attribute) -> tuple[str, ...]:
    """The prompt templates of an attribute: its own, or chosen by how captions use values."""
    return entry.templates or templates_for(_captions(entry))


def is_noun(entry: Attribute) -> bool:
    """Whether its values are nouns: by its own templates where it has some, else by captions."""
    filled_in = ((text, each.format(text)) for each in entry.templates for text in entry.texts)
    return are_nouns(filled_in if entry.templates else _captions(entry))


def noun_phrase(words: Sequence[str], nouns: Sequence[bool]) -> str:
    """One phrase of several values: adjectives in their order, then the noun, else "object".

    Args:
        words: the values.
        nouns: which of them are nouns.

    Example:
        >>> noun_phrase(["star", "red", "small"], [True, False, False])
        'red small star'
        >>> noun_phrase(["red", "small"], [False, False])
        'red small object'
    """
    adjectives = [word for word, noun in zip(words, nouns, strict=True) if not noun]
    last = [word for word, noun in zip(words, nouns, strict=True) if noun]
    return " ".join([*adjectives, *(last or ["object"])])


def filled(template: str, words: Mapping[str, str]) -> str:
    """A template with a word in every place, and "a" made "an" before a vowel.

    Args:
        template: with the names of `words` in braces.
        words: name -> the word for it.

    Example:
        >>> filled("a {wing color} {shape}", {"wing color": "orange", "shape": "{}"})
        'an orange {}'
    """
    return with_articles(_PLACE.sub(lambda place: words[place[1]], template))


def check_places(templates: Sequence[str], names: Sequence[str]) -> None:
    """Every template has a place for every name, else two classes would be one text.

    Args:
        templates: see `filled`.
        names: what the places are called.

    Raises:
        InputError: if a template lacks a name or has a place of another one.
    """
    for template in templates:
        places = set(_PLACE.findall(template))
        if places != set(names):
            wanted = ", ".join(f"{{{name}}}" for name in names)
            got = ", ".join(f"{{{name}}}" for name in sorted(places)) or "none"
            raise InputError(
                f"--data.templates: expected the places {wanted} in every template, got {got} in "
                f"{template!r}. Write each attribute's name in braces."
            )


def _captions(entry: Attribute) -> Iterator[tuple[str, str]]:
    return ((value.text, text) for value in entry.values for text in value.examples)
