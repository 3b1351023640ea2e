"""A dictionary in a few numbers, and in one line about where they come from."""

from __future__ import annotations

from typing import Any, NamedTuple

from datamodules.dictionary.report.plain import shown_groups
from datamodules.dictionary.schema import Dictionary

_MODES = {
    "anchored": "words typed by seed words",
    "hdbscan": "words typed by HDBSCAN alone",
    "given": "types as the source states them",
}


class Totals(NamedTuple):
    """Sums over a dictionary.

    Attributes:
        attributes: number of attributes.
        selected: attributes that get an adapter.
        values: values of all attributes.
        groups: groups of all attributes, but those that hold nearly all of one.
        mentions: mentions of all values.
        left_out: words that are not values.
        left_out_mentions: their mentions.
    """

    attributes: int
    selected: int
    values: int
    groups: int
    mentions: int
    left_out: int
    left_out_mentions: int

    @property
    def word_coverage(self) -> float:
        """Share of the words that are values, 0 to 1."""
        return self.values / max(1, self.values + self.left_out)

    @property
    def mention_coverage(self) -> float:
        """Share of the mentions that are of values, 0 to 1."""
        return self.mentions / max(1, self.mentions + self.left_out_mentions)


def totals(dictionary: Dictionary) -> Totals:
    """Sum up a dictionary."""
    attributes = dictionary.attributes
    return Totals(
        attributes=len(attributes),
        selected=len(dictionary.names),
        values=sum(len(each.values) for each in attributes),
        groups=sum(len(shown_groups(each)) for each in attributes),
        mentions=sum(value.count for each in attributes for value in each.values),
        left_out=len(dictionary.unassigned),
        left_out_mentions=sum(word.count for word in dictionary.unassigned),
    )


def origin(dictionary: Dictionary) -> list[str]:
    """What it was built from and how, one fact a string."""
    scores, mode = dictionary.scores, str(dictionary.settings.get("mode", ""))
    read = [
        _number(scores[key], noun)
        for key, noun in (("num_images", "image"), ("num_captions", "caption"))
        if scores.get(key)
    ]
    facts = [
        *([f"read from {' and '.join(read)}"] if read else []),
        *([_MODES.get(mode, f"mode {mode}")] if mode else []),
        f"word vectors: {dictionary.embedder}" if dictionary.embedder else "no word vectors",
        "edited by hand" if dictionary.edits_hash else "no edits by hand",
    ]
    return [facts[0][0].upper() + facts[0][1:], *facts[1:]]


def _number(count: Any, noun: str) -> str:
    return f"{count:,} {noun}{'' if count == 1 else 's'}"
