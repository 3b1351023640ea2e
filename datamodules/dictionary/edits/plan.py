"""Edits -> which values go where, decided before anything is changed."""

from __future__ import annotations

from dataclasses import dataclass, field

from datamodules.dictionary.edits.check import circle
from datamodules.dictionary.edits.finder import Finder, Key, loose_by_key
from datamodules.dictionary.edits.names import Names, plan_names
from datamodules.dictionary.edits.record import Edits
from datamodules.dictionary.lookup import spellings, word_key
from datamodules.dictionary.records import Value
from datamodules.dictionary.schema import Dictionary


@dataclass
class Plan:
    """What becomes of the values; those that are not named stay as they are.

    Attributes:
        move: value -> its attribute.
        into: value -> the value that it becomes part of, which may go on into another.
        texts: value -> the spelling that a merge puts first.
        keep: values that are right as they are.
        drop: values that are none.
        names: what is displayed, and which attributes are selected.
    """

    move: dict[Key, str] = field(default_factory=dict)
    into: dict[Key, Key] = field(default_factory=dict)
    texts: dict[Key, str] = field(default_factory=dict)
    keep: set[Key] = field(default_factory=set)
    drop: set[Key] = field(default_factory=set)
    names: Names = field(default_factory=Names)

    def end(self, key: Key) -> Key:
        """The value that a value becomes part of in the end."""
        while key in self.into:
            key = self.into[key]
        return key


def make_plan(dictionary: Dictionary, edits: Edits, finder: Finder) -> Plan:
    """Find every entry in the dictionary; what cannot be done is added to the finder's problems."""
    planner = _Planner(dictionary, edits, finder)
    for word, target in edits.move.items():
        planner.move(word, target)
    for words in edits.merge:
        planner.merge(words)
    for word in edits.drop:
        planner.drop(word)
    for word in edits.keep:
        planner.keep(word)
    if way := circle(planner.plan.into):
        names = " -> ".join(planner.text(key) for key in way)
        finder.problem("merge", "", f"merges that lead back to their beginning: {names}")
        return planner.plan
    planner.check_merges()
    planner.plan.names = plan_names(
        dictionary, edits, finder, gone=planner.gone, moved=planner.plan.move
    )
    planner.join_arrivals()
    return planner.plan


class _Planner:
    def __init__(self, dictionary: Dictionary, edits: Edits, finder: Finder) -> None:
        self.edits, self.finder, self.plan = edits, finder, Plan()
        self.values = {
            (attribute.name, value.id): value
            for attribute in dictionary.attributes
            for value in attribute.values
        }
        self.losers = {
            word_key(word)
            for first, *rest in edits.merge
            for word in rest
            if word_key(word) != word_key(first)
        }
        self.loose = loose_by_key(dictionary)
        self.gone: dict[Key, str] = {}  # what goes away under its own name, and how
        self.merged: list[tuple[Key, Key, str]] = []

    def text(self, key: Key) -> str:
        return self.values[key].text if key in self.values else self.loose[key].text

    def move(self, word: str, target: str) -> None:
        name = self.finder.attribute("move", word, target)
        if name is None:
            return
        hits = self.finder.hits(word)
        if not hits and (parts := self.finder.lookup.parts(word))[0]:
            # It may have been moved there by an earlier application.
            hits = self.finder.lookup.within(name, [word_key(parts[1])])
        if hits:
            key = self.finder.value("move", word, word, hits)
        else:
            key = self.finder.word("move", word, word)
        if key is not None:
            self._place(key, name, "move", word)

    def _place(self, key: Key, name: str, section: str, word: str) -> None:
        value = self.values.get(key)
        if value is not None and value.evidence == "given" and key[0] != name:
            self.finder.problem(
                section,
                word,
                f"the data set itself says that {value.text!r} is a {key[0]}, and its labels stand "
                "there: rename or drop it instead",
            )
        elif self.plan.move.setdefault(key, name) != name:
            other = self.plan.move[key]
            self.finder.problem(section, word, f"{word!r} also goes to {other!r}: keep one")

    def merge(self, words: tuple[str, ...]) -> None:
        entry = words[0]
        winner = self.finder.word("merge", entry, entry)
        for word in words[1:]:
            if winner in self.values and self._is_part(word, self.values[winner]):
                continue
            loser = self.finder.word("merge", entry, word)
            if loser is None or winner is None or loser == winner:
                continue
            if self.plan.into.setdefault(loser, winner) != winner:
                other = self.text(self.plan.into[loser])
                self.finder.problem(
                    "merge", entry, f"{word!r} is also merged into {other!r}: keep one"
                )
            self.gone[loser] = f"merged into {entry!r}"
            self.merged.append((loser, winner, entry))
        if winner in self.values and word_key(entry) not in self.losers:
            text = _display(self.finder.lookup.parts(entry)[1], self.values[winner])
            self.plan.texts.setdefault(winner, text)

    def _is_part(self, word: str, winner: Value) -> bool:
        """Whether a word that is not found is a spelling of the winner by now."""
        bare = self.finder.lookup.parts(word)[1]
        return not self.finder.hits(word) and word_key(bare) in spellings(winner)

    def drop(self, word: str) -> None:
        key = self.finder.word("drop", word, word)
        if key is None:
            return
        merged = self.gone.get(key, "dropped") != "dropped" or key in self.plan.into.values()
        if key in self.plan.move or merged:
            self.finder.problem("drop", word, f"{word!r} is also moved or merged: keep one")
        self.plan.drop.add(key)
        self.gone[key] = "dropped"

    def keep(self, word: str) -> None:
        name, bare = self.finder.lookup.parts(word)
        hits = self.finder.hits(word)
        if hits:
            key = self.finder.value("keep", word, word, hits)
        elif name:
            # The machine has changed its mind; a person has not.
            key = self.finder.word("keep", word, bare)
        else:
            if self.finder.word("keep", word, word) is not None:
                self.finder.problem("keep", word, f"{word!r} is no value: move it or drop it")
            return
        if key is None:
            return
        if key in self.plan.drop:
            self.finder.problem("keep", word, f"{word!r} is also dropped: keep one")
        elif key[0] == name or not name:
            if name and self.plan.move.get(key, name) != name:
                other = self.plan.move[key]
                self.finder.problem("keep", word, f"{word!r} also goes to {other!r}: keep one")
            self.plan.keep.add(key)
        else:
            self._place(key, name, "keep", word)

    def check_merges(self) -> None:
        """What is merged has an attribute, and labels that are stated are looked up there."""
        for loser, winner, entry in self.merged:
            end = self.plan.end(winner)
            name = self.plan.move.get(end, end[0])
            value = self.values.get(loser)
            if loser in self.plan.move:
                self.finder.problem(
                    "merge", entry, f"{self.text(loser)!r} is also moved: move {entry!r} instead"
                )
            if not name:
                self.finder.problem("merge", entry, f"{entry!r} is no value: move it as well")
            elif value is not None and value.evidence == "given" and loser[0] != name:
                self.finder.problem(
                    "merge",
                    entry,
                    f"the data set itself says that {value.text!r} is a {loser[0]}, not a {name}, "
                    "and its labels stand there: merge values of one attribute",
                )

    def join_arrivals(self) -> None:
        """A word that moves to an attribute that has it already becomes part of that value."""
        plan = self.plan
        first: dict[tuple[str, str], Key] = {}
        for key, name in list(plan.move.items()):
            if key[0] == name:
                continue
            value = self.values.get(key)
            keys = spellings(value) if value else (word_key(self.loose[key].text),)
            for attribute, there in self.finder.lookup.within(name, keys):
                host = (attribute.name, there.id)
                stays = host not in self.gone and plan.move.get(host, name) == name
                if stays and plan.end(host) != key:
                    plan.into.setdefault(key, host)
                    plan.move.setdefault(host, name)
            for each in keys:
                host = first.setdefault((name, each), key)
                if host != key and plan.end(host) != key:
                    plan.into.setdefault(key, host)


def _display(word: str, value: Value) -> str:
    """How a merge wants the value written: as the file does, if the source does so too."""
    if value.text not in value.forms:  # it was renamed
        return value.text
    if word in value.forms or word_key(word) == word_key(value.text):
        return word if word in value.forms else value.text
    return next(form for form in value.spellings if word_key(form) == word_key(word))
