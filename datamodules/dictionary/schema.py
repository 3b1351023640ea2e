"""The dictionary as one frozen record, and its JSON file. Standard library only.

`artifacts/dictionary/<source>.json` has sorted keys and a line for every value, so equal
dictionaries are equal bytes, and a change of one word is a change of one line.
"""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any

from datamodules.dictionary.decode import decode, encode
from datamodules.dictionary.records import (
    AnchorType,
    Attribute,
    Proposal,
    ReadFrom,
    Unassigned,
    Value,
)
from datamodules.errors import InputError
from datamodules.files import json_lines, read_json, write_text
from datamodules.normalize import normalize

SCHEMA = "aspectra.dictionary/4"
_DEPTH = 4  # dictionary, attributes, one attribute, its values: what is inside has one line


@dataclass(frozen=True)
class Dictionary:
    """The attributes of one source, with everything needed to judge them.

    Attributes:
        source: name of the data source.
        data_hash: hash of the captions or annotations it was built from.
        attributes: the attributes, in the order of `types`.
        read_from: where its words come from, so what its counts are of: captions that speak of a
            word, mentions in annotations, or those in a list.
        types: the kinds of attribute that were looked for.
        unassigned: words that are not values.
        proposals: merges for a person to judge.
        labels_: cluster of each typed or unassigned word under HDBSCAN alone; -1 is noise.
        unknown: words that the embedder has no vector for, most frequent first.
        embedder: name of what gave the word vectors; "" if none was asked.
        embedder_hash: SHA-256 of what decides them.
        edits_hash: SHA-256 of the edits applied; "" if there were none.
        settings: the builder's mode and seed, and those of its numbers that were used.
        versions: versions of the libraries that built it.
        scores: self-checks of both modes; no reference taxonomy is used.
        schema: version of the file format.
    """

    source: str
    data_hash: str
    attributes: tuple[Attribute, ...]
    read_from: ReadFrom = "annotations"
    types: tuple[AnchorType, ...] = ()
    unassigned: tuple[Unassigned, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    labels_: Mapping[str, int] = field(default_factory=dict)
    unknown: tuple[str, ...] = ()
    embedder: str = ""
    embedder_hash: str = ""
    edits_hash: str = ""
    settings: Mapping[str, Any] = field(default_factory=dict)
    versions: Mapping[str, str] = field(default_factory=dict)
    scores: Mapping[str, Any] = field(default_factory=dict)
    schema: str = SCHEMA

    @classmethod
    def load(cls, path: Path, *, source: str | None = None) -> Dictionary:
        """Read a dictionary file.

        Args:
            path: the JSON file.
            source: the data source it must belong to; None accepts any.

        Raises:
            InputError: if the file is missing, is not JSON, has another schema version or malformed
                fields, or belongs to another source. The message says how to rebuild it.
        """
        path = Path(path)
        command = f"python -m datamodules dictionary build --out {path}"
        any_source = f"{command}, with --source NAME or --list FILE"
        rebuild = f"Build it: {f'make dictionary DATA={source}' if source else any_source}."
        if not path.is_file():
            what = f"the dictionary of {source}" if source else "a dictionary"
            raise InputError(f"expected {what} at {path}, found none. {rebuild}")
        try:
            raw = read_json(path)
        except InputError as error:
            raise InputError(f"{error} {rebuild}") from None
        found = raw.get("schema") if isinstance(raw, dict) else type(raw).__name__
        if found != SCHEMA:
            raise InputError(f"expected schema {SCHEMA!r} in {path}, got {found!r}. {rebuild}")
        try:
            dictionary = decode(cls, raw)
        except (TypeError, ValueError) as error:
            raise InputError(f"malformed dictionary {path}: {error}. {rebuild}") from None
        if source is not None and dictionary.source != source:
            raise InputError(
                f"expected the dictionary of {source}, but {path} was built from "
                f"{dictionary.source}. {rebuild}"
            )
        return dictionary

    def save(self, path: Path) -> None:
        """Write it atomically: equal dictionaries give equal bytes."""
        write_text(Path(path), self._text)

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the file's content."""
        return hashlib.sha256(self._text.encode()).hexdigest()

    @cached_property
    def _text(self) -> str:
        """The file's content; to write 68,000 words takes seconds, so once."""
        return json_lines(encode(self), depth=_DEPTH)

    @property
    def names(self) -> tuple[str, ...]:
        """Names of the selected attributes, in order."""
        return tuple(attribute.name for attribute in self.attributes if attribute.selected)

    def attribute(self, name: str) -> Attribute:
        """The attribute called `name`, selected or not; or the only one that ends in it.

        "color" stands for "hair color" where there is no other color.

        Raises:
            InputError: if there is none; the message lists the known names.
        """
        for attribute in self.attributes:
            if attribute.name == name:
                return attribute
        ending = [each for each in self.attributes if each.name.endswith(f" {name}")]
        if len(ending) == 1:
            return ending[0]
        known = ", ".join(entry.name for entry in self.attributes) or "none"
        raise InputError(
            f"expected an attribute of the {self.source} dictionary, got {name!r}. Known "
            f"attributes: {known}. Choose one of these, or rebuild with `make dictionary "
            f"DATA={self.source}`."
        )

    def find(self, word: str) -> tuple[Attribute, Value] | None:
        """The attribute and value that a word in any known spelling stands for, else None."""
        return self._index.get(normalize(word))

    @cached_property
    def _index(self) -> dict[str, tuple[Attribute, Value]]:
        return {
            normalize(form): (attribute, value)
            for attribute in self.attributes
            for value in attribute.values
            for form in (value.text, *value.forms)
        }
