"""Two files of edits made one, such as a person's own and the decisions on a review sheet."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from datamodules.dictionary.edits.check import check
from datamodules.dictionary.edits.record import Edits
from datamodules.dictionary.lookup import word_key
from datamodules.errors import InputError


def merge_edits(old: Edits, new: Edits) -> Edits:
    """Both wishes in one, each entry once, those of `old` first.

    Raises:
        InputError: if they contradict each other; the message names both places.
    """
    kinds = {word_key(kind.name): kind for kind in old.types}
    for kind in new.types:
        if kinds.setdefault(word_key(kind.name), kind) != kind:
            raise _contradiction(old, new, "types", kind.name, kind.name)
    if old.select and new.select and set(old.select) != set(new.select):
        raise _contradiction(old, new, "select", old.select[0], new.select[0])
    both = Edits(
        types=tuple(kinds.values()),
        move=_joined(old, new, "move"),
        merge=_union(old.merge, new.merge),
        split=_union(old.split, new.split),
        rename=_joined(old, new, "rename"),
        drop=_union(old.drop, new.drop),
        keep=_union(old.keep, new.keep),
        select=old.select or new.select,
        places={**new.places, **old.places},
    )
    check(both)
    return both


def _union(old: tuple[Any, ...], new: tuple[Any, ...]) -> tuple[Any, ...]:
    return tuple(dict.fromkeys((*old, *new)))


def _joined(old: Edits, new: Edits, section: str) -> dict[str, str]:
    before: Mapping[str, str] = getattr(old, section)
    after: Mapping[str, str] = getattr(new, section)
    for word, target in after.items():
        if before.get(word, target) != target:
            raise _contradiction(old, new, section, word, word)
    return {**before, **after}


def _contradiction(old: Edits, new: Edits, section: str, first: str, second: str) -> InputError:
    return InputError(
        f"{new.place(section, second)}: expected what agrees with {old.place(section, first)}, got "
        f"something else for {section} {second!r}. Keep one of them."
    )
