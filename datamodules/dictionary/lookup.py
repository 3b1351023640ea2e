"""Words that people type -> values of a dictionary, in any spelling; near words if there is none.

A word that is a value of several attributes is written "attribute/value", such as
"wing color/black".
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from difflib import get_close_matches
from functools import lru_cache
from types import MappingProxyType

from datamodules.annotations.table import spelling
from datamodules.dictionary.records import Attribute, Unassigned, Value
from datamodules.dictionary.schema import Dictionary

Hit = tuple[Attribute, Value]


class Lookup:
    """The words of one dictionary, indexed once.

    Args:
        dictionary: the dictionary.
        aliases: other names that attributes may be called by -> their names.
    """

    def __init__(
        self, dictionary: Dictionary, aliases: Mapping[str, str] = MappingProxyType({})
    ) -> None:
        self._names = attribute_names(dictionary)
        for called, name in aliases.items():
            self._names.setdefault(word_key(called), name)
        self._values: dict[str, list[Hit]] = {}
        for attribute in dictionary.attributes:
            for value in attribute.values:
                for key in spellings(value):
                    self._values.setdefault(key, []).append((attribute, value))
        self._loose = {word_key(each.text): each for each in dictionary.unassigned}

    def attribute(self, name: str) -> str | None:
        """The name of an attribute or kind as the dictionary spells it."""
        return self._names.get(word_key(name))

    def parts(self, word: str) -> tuple[str, str]:
        """Attribute and bare word of "attribute/value"; ("", word) if it names no attribute."""
        for at, letter in enumerate(word):
            if letter == "/" and (name := self.attribute(word[:at])) and word[at + 1 :].strip():
                return name, word[at + 1 :].strip()
        return "", word

    def find(self, word: str) -> list[Hit]:
        """Every value that a word may stand for; at most one where it names the attribute too."""
        name, bare = self.parts(word)
        key = word_key(bare)
        hits: dict[str, Hit] = {}
        for attribute, value in self._values.get(key, ()):
            # A spelling of two values of one attribute is the word of the one that is called so.
            if attribute.name not in hits or word_key(value.text) == key:
                hits[attribute.name] = (attribute, value)
        return [hit for each, hit in hits.items() if name in ("", each)]

    def within(self, attribute: str, keys: Iterable[str]) -> list[Hit]:
        """The values of one attribute that have one of some normalized spellings."""
        hits = (hit for key in keys for hit in self._values.get(key, ()))
        return [hit for hit in hits if hit[0].name == attribute]

    def unassigned(self, word: str) -> Unassigned | None:
        """The word that is no value, whichever attribute was named with it."""
        return self._loose.get(word_key(self.parts(word)[1]))

    def shortest(self, attribute: str, text: str) -> str:
        """The value's text, with its attribute where other attributes have the word too."""
        return text if len(self.find(text)) == 1 else f"{attribute}/{text}"

    def near(self, word: str) -> list[str]:
        """Up to three known words that are spelled much like this one."""
        words = [*self._values, *self._loose]
        return get_close_matches(word_key(self.parts(word)[1]), words, cutoff=0.7)

    def near_attributes(self, name: str) -> list[str]:
        """Up to three attributes whose names are spelled much like this one."""
        return [self._names[key] for key in get_close_matches(word_key(name), self._names)]


def attribute_names(dictionary: Dictionary) -> dict[str, str]:
    """The attributes and kinds of a dictionary by their normalized names."""
    names: dict[str, str] = {}
    for name in [each.name for each in dictionary.attributes] + [
        each.name for each in dictionary.types
    ]:
        names.setdefault(word_key(name), name)
    return names


def spellings(value: Value) -> tuple[str, ...]:
    """The normalized spellings of a value, each once."""
    return tuple(dict.fromkeys(word_key(form) for form in (value.text, *value.forms)))


@lru_cache(maxsize=1 << 18)  # every spelling of a large dictionary
def word_key(text: str) -> str:
    """What all spellings of a word share, as labels are looked up; blanks count as one."""
    return spelling(" ".join(text.split()))
