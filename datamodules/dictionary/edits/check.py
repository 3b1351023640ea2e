"""Contradictions inside a file of edits, found before any dictionary is looked at."""

from __future__ import annotations

from collections.abc import Hashable, Iterator, Mapping
from typing import TypeVar

from datamodules.dictionary.edits.record import Edits
from datamodules.dictionary.lookup import word_key
from datamodules.errors import InputError

H = TypeVar("H", bound=Hashable)


def check(edits: Edits) -> None:
    """Refuse edits that cannot all hold.

    Raises:
        InputError: if a word has two fates, merges lead back to where they began, words are both
            merged and split, or a seed word stands under two kinds.
    """
    _merges(edits)
    _fates(edits)
    _names(edits)
    _splits(edits)
    _seeds(edits)


def circle(into: Mapping[H, H]) -> list[H]:
    """A way along `into` that comes back to its beginning, else []."""
    done: set[H] = set()
    for start in into:
        path: dict[H, None] = {}
        at = start
        while at in into and at not in done:
            if at in path:
                way = list(path)
                return [*way[way.index(at) :], at]
            path[at] = None
            at = into[at]
        done.update(path)
    return []


def _merges(edits: Edits) -> None:
    into: dict[str, str] = {}
    for words in edits.merge:
        for word in words[1:]:
            into.setdefault(word.casefold(), words[0].casefold())
    if way := circle(into):
        place = next(
            edits.place("merge", words[0])
            for words in edits.merge
            if words[0].casefold() == way[1] and way[0] in map(str.casefold, words[1:])
        )
        raise InputError(
            f"{place}: expected merges that end at a word that stays, got a circle: "
            f"{' -> '.join(way)}. Write the word that stays first, and the others behind it."
        )


def _fates(edits: Edits) -> None:
    """No word is moved here and there, or moved and dropped, and so on."""
    fates: dict[str, tuple[str, str]] = {}
    for word, fate, place in _told(edits):
        before, where = fates.setdefault(word_key(word), (fate, place))
        if before != fate:
            raise InputError(
                f"{place}: expected one fate a word, got {word!r} to {fate} and ({where}) to "
                f"{before}. Keep one of them."
            )
    for section, words in (("keep", edits.keep), ("merge", [each[0] for each in edits.merge])):
        for word in words:
            fate, where = fates.get(word_key(word), ("", ""))
            if fate == "drop":
                raise InputError(
                    f"{edits.place(section, word)}: expected {word!r} to stay, but it is dropped "
                    f"({where}). Keep one of them."
                )


def _told(edits: Edits) -> Iterator[tuple[str, str, str]]:
    for word, name in edits.move.items():
        yield word, f"move to {name}", edits.place("move", word)
    for first, *rest in edits.merge:
        for word in rest:
            # Where both have one normal word_key, the merge only says how to display it.
            if word_key(word) != word_key(first):
                yield word, f"merge into {word_key(first)}", edits.place("merge", first)
    for word in edits.drop:
        yield word, "drop", edits.place("drop", word)


def _names(edits: Edits) -> None:
    names: dict[str, tuple[str, str]] = {}
    for word, name in edits.rename.items():
        place = edits.place("rename", word)
        before, where = names.setdefault(word_key(word), (name, place))
        if before != name:
            raise InputError(
                f"{place}: expected one display name for {word!r}, got {name!r} and ({where}) "
                f"{before!r}. Keep one of them."
            )
    losers = {word_key(word): words[0] for words in edits.merge for word in words[1:]}
    winners = {word_key(words[0]) for words in edits.merge}
    for word in edits.rename:
        if (key := word_key(word)) in losers and key not in winners:
            raise InputError(
                f"{edits.place('rename', word)}: expected a word that stays, but {word!r} is "
                f"merged into {losers[key]!r}. Rename that one."
            )


def _splits(edits: Edits) -> None:
    merged = [(words, {word_key(word) for word in words}) for words in edits.merge]
    for words in edits.split:
        keys = {word_key(word) for word in words}
        for together, known in merged:
            if len(keys & known) > 1:
                raise InputError(
                    f"{edits.place('split', words[0])}: expected words to be merged or split, got "
                    f"both for {', '.join(words)} ({edits.place('merge', together[0])}). Keep one "
                    "of them."
                )


def _seeds(edits: Edits) -> None:
    owner: dict[str, str] = {}
    for kind in edits.types:
        for seed in kind.seeds:
            if owner.setdefault(seed, kind.name) != kind.name:
                raise InputError(
                    f"{edits.place('types', kind.name)}: expected a seed word under one kind, got "
                    f"{seed!r} under {owner[seed]!r} and {kind.name!r}. Keep it under one."
                )
