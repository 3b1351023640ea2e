"""Saved deltas by name or by folder; a saved composition counts as one of them."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path

from composition.export.load import open_delta
from composition.export.store import CARD_NAME as COMPOSITION_NAME
from composition.export.store import read_card
from datamodules.attribute import AttributeDataModule
from datamodules.errors import InputError
from lightning_modules.backbone import Backbone
from lightning_modules.delta import Delta, find_deltas
from lightning_modules.delta.store import CARD_NAME
from lightning_modules.tensors import first_five

_log = logging.getLogger(__name__)


def find_folders(asked: Iterable[str], shelf: Path) -> list[Path]:
    """Where deltas lie, in the order asked for.

    Args:
        asked: folders of deltas or of compositions, or display names of deltas on the shelf; none
            stands for all deltas on the shelf, sorted by name.
        shelf: the folder that holds the deltas of one backbone and data set.

    Raises:
        InputError: if there is no such delta.
    """
    asked = list(asked)
    if not asked:
        return _all_of(shelf)
    known: dict[str, Path] | None = None
    found = []
    for each in asked:
        folder = Path(each)
        if not any((folder / name).is_file() for name in (CARD_NAME, COMPOSITION_NAME)):
            known = find_deltas(shelf) if known is None else known
            if each not in known:
                raise InputError(
                    f"--model.deltas: expected the folder of a delta, or the name of one in "
                    f"{shelf} ({first_five(list(known)) or 'none there'}), got {each!r}. Train it "
                    f"with: make train ATTR={each}"
                )
            folder = known[each]
        found.append(folder)
    return found


def open_deltas(folders: Iterable[Path], backbone: Backbone) -> dict[Path, Delta]:
    """Load what lies in some folders, see `open_delta`.

    Args:
        folders: of deltas or of compositions.
        backbone: the base; its model is left as it was.

    Raises:
        InputError: if one is damaged, or see `open_delta`.
    """
    return {folder: open_delta(folder, backbone) for folder in folders}


def without_own(
    deltas: Mapping[Path, Delta], tasks: Iterable[AttributeDataModule]
) -> tuple[dict[Path, Delta], list[str]]:
    """Deltas that know nothing of the tasks' attributes: the protocol of aTLAS, leave one out.

    A composition is left out, too, if anything it is made of or was fitted for has to do with them.

    Args:
        deltas: folder -> delta; "color+shape" has to do with "color".
        tasks: their data.

    Returns:
        What is kept, and the names of what is left out.

    Raises:
        InputError: if nothing is kept.
    """
    own = {name for task in tasks for name in own_attributes(task)}
    left_out = {
        folder: delta.card.attribute
        for folder, delta in deltas.items()
        if own & _learned(folder, delta.card.attribute)
    }
    if len(left_out) == len(deltas):
        raise InputError(
            f"--model.leave_own_out leaves none of the deltas {', '.join(left_out.values())}: all "
            f"have to do with the tasks' own attributes, {', '.join(sorted(own))}. Name deltas of "
            "other attributes in --model.deltas."
        )
    if left_out:
        _log.info("left out, as the tasks' own: %s", ", ".join(left_out.values()))
    kept = {folder: delta for folder, delta in deltas.items() if folder not in left_out}
    return kept, list(left_out.values())


def own_attributes(task: AttributeDataModule) -> tuple[str, ...]:
    """The attributes that a task asks for, one by one."""
    return tuple(getattr(task, "attributes", (task.attribute,)))


def check_towers(deltas: Iterable[Delta]) -> None:
    """Check that deltas change the image tower alone.

    Raises:
        InputError: naming those that do not.
    """
    wrong = [
        delta.card.attribute
        for delta in deltas
        if not all(name.startswith("visual.") for name in (*delta.factors, *delta.differences))
    ]
    if wrong:
        raise InputError(
            f"expected deltas of the image tower alone, got {len(wrong)} that change others: "
            f"{first_five(wrong)}. Train them with --model.towers vision: the values' embeddings "
            "are fixed while coefficients are fitted."
        )


def made_of(folder: Path) -> set[Path]:
    """The folder itself and, if it holds a composition, all that this is made of, resolved."""
    found: set[Path] = set()
    coming = [folder.resolve()]
    while coming:
        each = coming.pop()
        if each not in found:
            found.add(each)
            if (each / COMPOSITION_NAME).is_file():
                coming += [(each / record.folder).resolve() for record in read_card(each).deltas]
    return found


def _learned(folder: Path, name: str) -> set[str]:
    """Attributes that a delta was trained on, by its name and by those in a composition."""
    names = {name}
    for each in made_of(folder):
        if (each / COMPOSITION_NAME).is_file():
            card = read_card(each)
            targets = (target.rpartition("/")[2] for target in card.targets)
            names |= {*targets, *(record.name for record in card.deltas)}
    return {part for each in names for part in each.split("+")}


def _all_of(shelf: Path) -> list[Path]:
    if found := find_deltas(shelf):
        return list(found.values())
    raise InputError(
        f"--model.deltas is empty, which stands for all deltas in {shelf}, but there are none. "
        "Train one with: make train ATTR=color, or name their folders."
    )
