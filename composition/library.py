"""Saved deltas by name or by folder."""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path

from datamodules.errors import InputError
from lightning_modules.delta import Delta, find_deltas, load_delta
from lightning_modules.delta.store import CARD_NAME
from lightning_modules.tensors import first_five


def open_deltas(asked: Iterable[str], shelf: Path) -> dict[Path, Delta]:
    """Load deltas, in the order asked for.

    Args:
        asked: folders of deltas, or display names of those on the shelf.
        shelf: the folder that holds the deltas of one backbone and data set.

    Raises:
        InputError: if there is no such delta, or it is damaged.
    """
    known: dict[str, Path] | None = None
    found = {}
    for each in asked:
        folder = Path(each)
        if not (folder / CARD_NAME).is_file():
            known = find_deltas(shelf) if known is None else known
            if each not in known:
                raise InputError(
                    f"--model.deltas: expected the folder of a delta, or the name of one in "
                    f"{shelf} ({first_five(list(known)) or 'none there'}), got {each!r}. Train it "
                    f"with: make train ATTR={each}"
                )
            folder = known[each]
        found[folder] = load_delta(folder)
    return found
