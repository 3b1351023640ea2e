"""The dictionary as frozen records, and its JSON file. Standard library only.

`artifacts/dictionary/<source>.json` is canonical JSON (sorted keys), so equal dictionaries are
equal bytes.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from functools import cached_property
from pathlib import Path
from typing import Any, Literal

from datamodules.dictionary.decode import decode
from datamodules.errors import InputError
from datamodules.files import read_json, sha256_json, write_json
from datamodules.normalize import normalize

SCHEMA = "aspectra.dictionary/2"
Mode = Literal["anchored", "hdbscan"]


@dataclass(frozen=True)
class Value:
    """One value of an attribute, such as "red".

    Attributes:
        id: stable over rebuilds; it depends on the normalised word alone.
        text: the word as the captions write it most often.
        count: number of captions that mention it.
        forms: every spelling found, most frequent first.
        score: likeness to the attribute's seed words, a cosine from -1 to 1.
        margin: lead of that score over the next attribute's.
        evidence: "seed" (a seed word), "anchor" (near the seeds), "cluster" (HDBSCAN put it with
            them) or "given" (the source states it).
        cluster: its HDBSCAN group inside the attribute; -1 is noise.
        examples: two captions that mention it.
    """

    id: str
    text: str
    count: int
    forms: tuple[str, ...] = ()
    score: float = 0.0
    margin: float = 0.0
    evidence: str = "anchor"
    cluster: int = -1
    examples: tuple[str, ...] = ()


@dataclass(frozen=True)
class Attribute:
    """One attribute, such as "color", with its values in order of falling count.

    Attributes:
        name: display name; use `datamodules.names.safe_name` for paths.
        values: the values.
        exclusive: True when the captions never give one image two of the values.
        selected: whether an adapter is trained for it.
        overlap: how often two values share an image, over the rate expected of independent words;
            where the source states the values, the share of its images that show two.
        templates: prompts with a place for the value; none leaves the choice to the examples.
    """

    name: str
    values: tuple[Value, ...]
    exclusive: bool = False
    selected: bool = True
    overlap: float = 0.0
    templates: tuple[str, ...] = ()

    @property
    def texts(self) -> tuple[str, ...]:
        """The values' display words, in order."""
        return tuple(value.text for value in self.values)


@dataclass(frozen=True)
class AnchorType:
    """A kind of attribute from `types.yaml`: its seed words, and those the captions use."""

    name: str
    seeds: tuple[str, ...]
    found: tuple[str, ...] = ()
    selected: bool = True


@dataclass(frozen=True)
class Unassigned:
    """A frequent word that is not a value, and why.

    Attributes:
        text: the word.
        count: number of captions that mention it.
        reason: "says nothing about the image", "far from every seed", "between two attributes" or
            "noise".
        lift: how many times more often than by chance it comes back in another caption of the same
            image; None when no image has two captions.
        nearest: the attribute it is nearest to, "" for none.
        cluster: its HDBSCAN group among the unassigned words; -1 is noise.
    """

    text: str
    count: int
    reason: str
    lift: float | None = None
    nearest: str = ""
    cluster: int = -1


@dataclass(frozen=True)
class Proposal:
    """A merge a person may want: spaCy's rules give both words the same lemma. Never applied.

    Attributes:
        words: the two words, the more frequent one first.
        counts: captions that mention each.
        lemma: their common base form, one of the two or a third word.
        cosine: likeness of their word vectors, -1 to 1.
        shared_images: images that mention both; None when no image has two captions.
    """

    words: tuple[str, ...]
    counts: tuple[int, ...]
    lemma: str
    cosine: float
    shared_images: int | None = None


@dataclass(frozen=True)
class Dictionary:
    """The attributes of one source, found in its captions, with everything needed to judge them.

    Attributes:
        source: name of the data source.
        data_hash: hash of the captions it was built from.
        attributes: the attributes, in the order of `types`.
        types: the kinds of attribute that were looked for.
        unassigned: frequent words that are not values.
        proposals: lemma merges for a person to judge.
        labels_: cluster of each typed or unassigned word under HDBSCAN alone; -1 is noise.
        settings: the builder's thresholds, seed and mode.
        versions: versions of the libraries that built it.
        scores: self-checks of both modes; no reference taxonomy is used.
        schema: version of the file format.
    """

    source: str
    data_hash: str
    attributes: tuple[Attribute, ...]
    types: tuple[AnchorType, ...] = ()
    unassigned: tuple[Unassigned, ...] = ()
    proposals: tuple[Proposal, ...] = ()
    labels_: Mapping[str, int] = field(default_factory=dict)
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
        rebuild = f"Build it: make dictionary DATA={source or path.stem}."
        if not path.is_file():
            raise InputError(
                f"expected the dictionary of {source or path.stem} at {path}, found none. {rebuild}"
            )
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
        """Write canonical JSON atomically: equal dictionaries give equal bytes."""
        write_json(Path(path), asdict(self))

    @cached_property
    def hash(self) -> str:
        """SHA-256 of the canonical JSON."""
        return sha256_json(asdict(self))

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
