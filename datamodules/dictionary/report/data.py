"""Everything the page's script reads, as one JSON object."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from typing import Any

from datamodules.dictionary.records import Attribute, Merit
from datamodules.dictionary.report.columns import Point, Strings, word_columns, words_of
from datamodules.dictionary.report.conflicts import conflicts
from datamodules.dictionary.report.plain import (
    catch_all,
    is_counted,
    shown_groups,
)
from datamodules.dictionary.schema import Dictionary

Rows = list[list[Any]]
_MODES = ("anchored", "hdbscan")


def page_data(dictionary: Dictionary, points: Mapping[str, Point]) -> dict[str, Any]:
    """What the page shows; see `word_columns` for the words."""
    strings = Strings()
    words = word_columns(dictionary, points, strings)
    rows = _rows_by_spelling(dictionary)
    return {
        "counted": is_counted(dictionary),
        "attributes": _attributes(dictionary),
        "words": words,
        "strings": strings.all(),
        "proposals": [
            {
                "words": list(each.words), "rows": [rows.get(word, -1) for word in each.words],
                "counts": list(each.counts), "lemma": each.lemma,
                "cosine": round(each.cosine, 3), "shared": each.shared_images, "kind": each.kind,
            }
            for each in dictionary.proposals
        ],
        "conflicts": [each._asdict() for each in conflicts(dictionary)],
        "unknown": [[word, rows.get(word, -1)] for word in dictionary.unknown],
        "kinds": [
            {"name": each.name, "seeds": list(each.seeds), "found": list(each.found)}
            for each in dictionary.types
        ],
        **_checks(dictionary.scores),
        "settings": flat(dictionary.settings),
        "versions": flat(dictionary.versions),
    }  # fmt: skip


def as_script(data: Any) -> str:
    """JSON that cannot end the script element it stands in, whatever words it holds: plain ASCII.

    Direction marks, line separators and lone surrogates are written as escapes too.
    """
    text = json.dumps(data, ensure_ascii=True, allow_nan=False, separators=(",", ":"))
    return re.sub("[<>&]", lambda found: f"\\u{ord(found[0]):04x}", text)


def flat(tree: Any, prefix: str = "") -> Rows:
    """Leaves of nested mappings as [path, value] rows, in key order."""
    if not isinstance(tree, Mapping):
        return [[prefix, tree]]
    return [
        row
        for key in sorted(tree)
        for row in flat(tree[key], f"{prefix} / {key}" if prefix else str(key))
    ]


def _rows_by_spelling(dictionary: Dictionary) -> dict[str, int]:
    """Row of each word by every spelling in lower case; a word itself goes before a spelling."""
    found: dict[str, int] = {}
    words = words_of(dictionary)
    for row, word in enumerate(words):
        found.setdefault(word.text.lower(), row)
    for row, word in enumerate(words):
        for form in getattr(word, "forms", ()):
            found.setdefault(form.lower(), row)
    return found


def _attributes(dictionary: Dictionary) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = []
    first, counted = 0, is_counted(dictionary)
    for attribute in dictionary.attributes:
        found.append(_attribute(attribute, first, counted))
        first += len(attribute.values)
    return found


def _attribute(attribute: Attribute, first: int, counted: bool) -> dict[str, Any]:
    rows = {value.id: first + number for number, value in enumerate(attribute.values)}
    merit, hidden = attribute.merit, catch_all(attribute)
    return {
        "name": attribute.name,
        "exclusive": attribute.exclusive,
        "selected": attribute.selected,
        "templates": list(attribute.templates),
        "merit": merit and {"score": round(merit.score, 3), "reasons": _reasons(merit, counted)},
        "groups": [
            {
                "id": group.id, "label": group.label, "medoid": rows.get(group.medoid, -1),
                "cohesion": round(group.cohesion, 3), "aliases": list(group.aliases),
            }
            for group in shown_groups(attribute)
        ],
        "center": -1 if hidden is None else rows.get(hidden.medoid, -1),
    }  # fmt: skip


def _reasons(merit: Merit, counted: bool) -> list[str]:
    """What speaks for an attribute; of words met once each, what counts can say is left out."""
    if counted:
        return list(merit.reasons)
    return [f"{merit.purity:.0%} of its words are surely of this attribute"]


def _checks(scores: Mapping[str, Any]) -> dict[str, Rows]:
    """Self-checks of the two modes side by side, and those of the whole dictionary."""
    sides = [dict(flat(scores[mode])) if mode in scores else {} for mode in _MODES]
    names = sorted({*sides[0], *sides[1]})
    return {
        "modes": [[name, *(side.get(name) for side in sides)] for name in names],
        "checks": flat({name: each for name, each in scores.items() if name not in _MODES}),
    }
