"""Entries of a file of edits -> values of a dictionary; what matches nothing is written down."""

from __future__ import annotations

from collections.abc import Iterable

from datamodules.dictionary.edits.record import Edits
from datamodules.dictionary.lookup import Hit, Lookup, attribute_names, word_key
from datamodules.dictionary.records import Unassigned
from datamodules.dictionary.schema import Dictionary
from datamodules.dictionary.word_id import word_id

Key = tuple[str, str]  # attribute and id of a value; "" and id of an unassigned word
GROUP = "group:"
_SUGGESTED = 20  # a search for near spellings takes a while


class Finder:
    """What the words of some edits mean in one dictionary.

    Args:
        dictionary: the dictionary.
        edits: the edits.
        problems: those that are known already.

    Attributes:
        lookup: the dictionary's words; attributes go by their new names too.
        problems: sentences on entries that cannot be applied.
    """

    def __init__(self, dictionary: Dictionary, edits: Edits, problems: Iterable[str] = ()) -> None:
        self._edits = edits
        self.problems = list(problems)
        self.lookup = Lookup(dictionary, _aliases(dictionary, edits))
        self._sources = {
            word_key(name): word
            for word, name in edits.rename.items()
            if not word.startswith(GROUP) and word_key(word) != word_key(name)
        }

    def attribute(self, section: str, entry: str, name: str) -> str | None:
        """The attribute or kind called `name`; None, and a problem, if there is none."""
        found = self.lookup.attribute(name)
        if found is None:
            near = _near(self.lookup.near_attributes(name))
            self.problem(section, entry, f"no attribute {name!r}{near}; new ones go under `types`")
        return found

    def hits(self, word: str) -> list[Hit]:
        """The values that a word stands for, by its own spelling or one that it is renamed to."""
        found = self.lookup.find(word)
        name, bare = self.lookup.parts(word)
        if not found and (source := self._sources.get(word_key(bare))):
            hits = self.lookup.find(source)
            return [hit for hit in hits if name in ("", hit[0].name)]
        return found

    def value(self, section: str, entry: str, word: str, hits: list[Hit]) -> Key | None:
        """The one value of `hits`; None, and a problem, if there are several."""
        if len(hits) > 1:
            names = ", ".join(f"{attribute.name}/{value.text}" for attribute, value in hits)
            self.problem(section, entry, f"{word!r} is several values, write one of {names}")
        return (hits[0][0].name, hits[0][1].id) if len(hits) == 1 else None

    def word(self, section: str, entry: str, word: str) -> Key | None:
        """The value or unassigned word; None, and a problem, if there is none or several."""
        hits = self.hits(word)
        if not hits:
            if loose := self.lookup.unassigned(word):
                return key_of(loose)
            self.unknown(section, entry, word)
        return self.value(section, entry, word, hits)

    def unknown(self, section: str, entry: str, word: str) -> None:
        """Write down that a word is not in the dictionary."""
        few = len(self.problems) < _SUGGESTED
        near = _near(self.lookup.near(word)) if few else ""
        self.problem(section, entry, f"no word {word!r}{near}")

    def problem(self, section: str, entry: str, text: str) -> None:
        """Write down what is wrong with an entry."""
        self.problems.append(f"{self._edits.place(section, entry)}: {text}")


def key_of(loose: Unassigned) -> Key:
    """The key of a word that is no value."""
    return "", loose.id or word_id(word_key(loose.text))


def loose_by_key(dictionary: Dictionary) -> dict[Key, Unassigned]:
    """The unassigned words; a second one of the same id is kept under a key that no entry finds."""
    found: dict[Key, Unassigned] = {}
    for number, each in enumerate(dictionary.unassigned):
        key = key_of(each)
        found[key if key not in found else ("", f"{key[1]} {number}")] = each
    return found


def _aliases(dictionary: Dictionary, edits: Edits) -> dict[str, str]:
    """New kinds, and the old or new names of attributes that the edits rename."""
    aliases = {kind.name: kind.name for kind in edits.types}
    names = {word_key(name): name for name in aliases} | attribute_names(dictionary)
    for old, new in edits.rename.items():
        if known := names.get(word_key(old)):
            aliases[new] = known
        # Where edits were applied before, the attribute may have its new name already.
        elif dictionary.edits_hash and (known := names.get(word_key(new))):
            aliases[old] = known
    return aliases


def _near(words: list[str]) -> str:
    return f" (near: {', '.join(words)})" if words else ""
