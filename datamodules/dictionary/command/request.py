"""What a person asks of a build, and where it goes unless told otherwise."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datamodules.dictionary.records import Mode
from datamodules.errors import InputError
from datamodules.names import safe_name

DEFAULT_FOLDER = Path("artifacts/dictionary")


@dataclass(frozen=True)
class Request:
    """What the user asked for; None leaves a choice to the source.

    Args:
        source: name of the data set.
        root: its folder.
        lists: files of words in place of a source.
        words: where a source's words come from.
        embedder: what gives word vectors.
        text: files of running text that word2vec is trained on, beside the words.
        types: file of kinds and seed words.
        seeds: whether seed words are used, beside the names of the kinds.
        rules: names of the rules of spelling; None takes all.
        mode: how words are typed.
        groups: how the values of an attribute are grouped.
        edits: file of a person's changes; None takes `edits_path`, if it is there.
        backbone: a CLIP, as an embedder, by which attributes are told apart.
        seed: of word2vec.
    """

    source: str = "glyphs"
    root: Path | None = None
    lists: tuple[Path, ...] = ()
    words: Literal["captions", "annotations"] | None = None
    embedder: str | None = None
    text: Sequence[Path] = ()
    types: Path | None = None
    seeds: bool = True
    rules: tuple[str, ...] | None = None
    mode: Mode = "anchored"
    groups: Literal["hdbscan", "linkage"] = "hdbscan"
    edits: Path | None = None
    backbone: str | None = None
    seed: int = 0

    @property
    def name(self) -> str:
        """What the dictionary is of: the source, or the first list."""
        return self.lists[0].stem if self.lists else self.source


def default_path(source: str, root: Path | None = None) -> Path:
    """Where a source's dictionary lies unless told otherwise.

    Args:
        source: its name.
        root: its folder; one named "<source>-<number>" has a dictionary of its own.
    """
    numbered = re.fullmatch(rf"{re.escape(source)}(-\d+)", root.name) if root else None
    return DEFAULT_FOLDER / f"{safe_name(source)}{numbered[1] if numbered else ''}.json"


def edits_path(path: Path) -> Path:
    """Where the edits of a dictionary lie unless told otherwise: beside it."""
    return path.with_suffix(".edits.yaml")


def check_request(request: Request) -> None:
    """Refuse unknown rules, and what a list of words would silently do without.

    Raises:
        InputError: naming the rule or the flag.
    """
    from datamodules.dictionary.anchoring.rules import check_rules

    check_rules(request.rules or ())
    if not request.lists:
        return
    for flag, given in (
        ("--source", request.source != Request.source),
        ("--root", request.root is not None),
        ("--words", request.words is not None),
    ):
        if given:
            raise InputError(
                f"{flag} is about a data set, and --list takes its words from a file instead. "
                "Leave one of the two out."
            )
