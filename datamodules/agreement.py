"""Do source, splits and dictionary belong together? Asked before anything is trained."""

from __future__ import annotations

from pathlib import Path

from datamodules.annotations import Annotations
from datamodules.dictionary import Dictionary
from datamodules.dictionary.command import Request, build_file, default_path
from datamodules.dictionary.given import words_hash, words_of
from datamodules.errors import InputError
from datamodules.files import locked
from datamodules.sources import Source

NEEDED = ("train", "validation")


def check_splits(annotations: Annotations, root: Path, split_file: Path | None) -> None:
    """There is something to train on and something to choose by.

    Args:
        annotations: with the splits that are used.
        root: folder of the source, for the message.
        split_file: where the splits come from, if not from the source itself.

    Raises:
        InputError: if a split of `NEEDED` has no items.
    """
    splits = annotations.splits
    if missing := [split for split in NEEDED if split not in splits]:
        where, remedy = root, "Name it in the split column."
        if split_file is not None:
            where, remedy = split_file, "Make another split."
        raise InputError(
            f"expected the splits train and validation in {where}, got {', '.join(splits)}: "
            f"{missing[0]} is missing. {remedy}"
        )


def build_missing(source: Source, root: Path | None) -> None:
    """Build the default dictionary of a source if there is none; of several processes, one does.

    Args:
        source: the data set.
        root: its folder as the user named it; None for the default one.
    """
    path = default_path(source.name, root)
    if not path.is_file():
        with locked(path):
            if not path.is_file():
                build_file(path, Request(source=source.name, root=root), source=source)


def dictionary_of(source: Source, root: Path | None, given: Path | None) -> Dictionary:
    """The dictionary of a source, built from what the source says today.

    Args:
        source: the data set.
        root: its folder as the user named it; None for the default one.
        given: the file that the user named; None for the default one.

    Raises:
        InputError: if it is missing, of another source, or was built from other captions or
            annotations; says how to build it.
    """
    path = given or default_path(source.name, root)
    if given is not None and not path.is_file():
        raise InputError(
            f"--data.dictionary is {path}, found no such file. Leave it out to use "
            f"{default_path(source.name, root)}, or build it with: make dictionary "
            f"DATA={source.name} ARGS=--out={path}"
        )
    dictionary = Dictionary.load(path, source=source.name)
    words = words_hash(source)
    if dictionary.data_hash != words:
        what = "annotations" if source.states_types else words_of(source)
        root_word, out = f" ROOT={root}" if root else "", f" ARGS=--out={path}" if given else ""
        raise InputError(
            f"expected a dictionary of the {what} in {source.root} ({words[:12]}), {path} is of "
            f"others ({dictionary.data_hash[:12]}). Build it with: make dictionary "
            f"DATA={source.name}{root_word}{out}"
        )
    return dictionary
