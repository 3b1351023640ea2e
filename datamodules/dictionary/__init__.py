"""The compositional dictionary: the visual attributes a data set's own words name.

    captions -> phrases -> words -> word vectors -> anchors + HDBSCAN -> one JSON file

Importing this package reads the standard library only; the builder loads its tools when it runs.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING

from datamodules.dictionary.records import (
    AnchorType,
    Attribute,
    Group,
    Merit,
    Proposal,
    Unassigned,
    Value,
)
from datamodules.dictionary.schema import Dictionary

if TYPE_CHECKING:
    from datamodules.dictionary.settings import Settings

__all__ = [
    "AnchorType",
    "Attribute",
    "Dictionary",
    "Group",
    "Merit",
    "Proposal",
    "Unassigned",
    "Value",
    "build_dictionary",
]


def build_dictionary(
    source_name: str,
    captions: Iterable[str | Sequence[str]],
    *,
    data_hash: str,
    seed: int = 0,
    settings: Settings | None = None,
) -> Dictionary:
    """Build a dictionary from captions alone.

    Args:
        source_name: name of the data source.
        captions: one entry an image: its caption, or better all of its captions; words such as
            "picture" and "object" are told from values only by comparing these.
        data_hash: hash of the captions, kept in the dictionary.
        seed: seed of the word vectors, 0 or more.
        settings: thresholds and types; None takes the defaults.

    Raises:
        InputError: if there are no captions, or no type's seed word describes them.
    """
    from datamodules.dictionary.build import build
    from datamodules.dictionary.fronts import from_captions
    from datamodules.dictionary.settings import Settings

    settings = settings or Settings()
    front = from_captions(captions, settings, seed=seed)
    return build(source_name, front, data_hash=data_hash, settings=settings, seed=seed)
