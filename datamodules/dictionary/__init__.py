"""The compositional dictionary: the visual attributes a data set's own words name.

    captions -> phrases -> words -> word vectors -> anchors + HDBSCAN -> one JSON file

Importing this package reads the standard library only; the builder loads its tools when it runs.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
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
    on_stage: Callable[[str], None] | None = None,
) -> Dictionary:
    """Build a dictionary from captions alone; see `datamodules.dictionary.build.build`."""
    from datamodules.dictionary.build import build

    return build(
        source_name, captions, data_hash=data_hash, seed=seed, settings=settings, on_stage=on_stage
    )
