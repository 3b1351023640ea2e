"""`Edits` as one frozen record."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from datamodules.dictionary.records import AnchorType
from datamodules.files import sha256_json


@dataclass(frozen=True)
class Edits:
    """What a person wants changed; see `datamodules.dictionary.edits`.

    Attributes:
        types: kinds of attribute to look for besides those of `types.yaml`; their names are seeds.
        move: word -> the attribute it is a value of.
        merge: words that are one value, the one that stays first.
        split: spellings that are values of their own.
        rename: word, attribute or "group:<id>" -> its display name.
        drop: words that are no values.
        keep: words that are right; "attribute/word" also says where.
        select: the attributes that get an adapter; empty leaves that as it is.
        places: "section entry" -> where it stands, such as "edits.yaml, line 3".
    """

    types: tuple[AnchorType, ...] = ()
    move: Mapping[str, str] = field(default_factory=dict)
    merge: tuple[tuple[str, ...], ...] = ()
    split: tuple[tuple[str, ...], ...] = ()
    rename: Mapping[str, str] = field(default_factory=dict)
    drop: tuple[str, ...] = ()
    keep: tuple[str, ...] = ()
    select: tuple[str, ...] = ()
    places: Mapping[str, str] = field(default_factory=dict, compare=False, repr=False)

    @property
    def hash(self) -> str:
        """SHA-256 of what is wanted, whatever the order of the lines; "" for no edits at all."""
        content = self.content()
        content["merge"] = sorted(content["merge"])
        content["split"] = sorted(sorted(words) for words in content["split"])
        for name in ("drop", "keep", "select"):
            content[name] = sorted(set(content[name]))
        return sha256_json(content) if any(content.values()) else ""

    def content(self) -> dict[str, Any]:
        """The sections as plain lists and dicts, as `edits.yaml` has them."""
        return {
            "types": {
                kind.name: {"seeds": list(kind.seeds)}
                | ({} if kind.selected else {"selected": False})
                for kind in self.types
            },
            "move": dict(self.move),
            "merge": [list(words) for words in self.merge],
            "split": [list(words) for words in self.split],
            "rename": dict(self.rename),
            "drop": list(self.drop),
            "keep": list(self.keep),
            "select": list(self.select),
        }

    def place(self, section: str, entry: str) -> str:
        """Where an entry stands: "edits.yaml, line 3", or its section if that is not known."""
        return self.places.get(f"{section} {entry}", section)
