"""How good a dictionary is: against itself while building, against a reference taxonomy afterwards.

Shape letters: N words that have a reference type.
"""

from __future__ import annotations

import csv
import json
from collections import Counter
from collections.abc import Mapping, Sequence
from io import StringIO
from pathlib import Path
from typing import Any

from datamodules.dictionary.schema import Dictionary
from datamodules.errors import InputError
from datamodules.normalize import normalize


def reference_scores(dictionary: Dictionary, reference: Mapping[str, str]) -> dict[str, Any]:
    """Compare a dictionary with a word -> type table that was not used to build it.

    Words the dictionary does not assign count as types of their own in ARI and NMI, and as wrong in
    accuracy. Values absent from the reference are listed as `extra`: they may be distractors.

    Args:
        dictionary: the dictionary.
        reference: type of each word; type names need not match the dictionary's except for
            accuracy.

    Returns:
        num_words, ari (adjusted Rand index), nmi, accuracy, coverage (share of the words assigned),
        hdbscan_ari and hdbscan_nmi (the same words under HDBSCAN alone), extra, missing and wrong
        (word -> found type). The numbers lie in 0..1, ARI from -1.
    """
    table = {normalize(word): kind for word, kind in reference.items()}
    if not table:
        raise InputError("expected a reference of word -> type, got no word.")
    found = {word: dictionary.find(word) for word in table}
    names = {word: hit[0].name for word, hit in found.items() if hit is not None}
    labels = [names.get(word, f"\0{word}") for word in table]
    kinds = list(table.values())
    known = {normalize(form) for form in table}
    alone = noise_as_singletons([dictionary.labels_.get(word, -1) for word in table])
    extra = [
        value.text
        for attribute in dictionary.attributes
        for value in attribute.values
        if not known & {normalize(form) for form in (value.text, *value.forms)}
    ]
    return {
        "num_words": len(table),
        "ari": round(adjusted_rand(kinds, labels), 4),
        "nmi": round(normalized_information(kinds, labels), 4),
        "accuracy": round(
            sum(names.get(word) == kind for word, kind in table.items()) / len(table), 4
        ),
        "coverage": round(len(names) / len(table), 4),
        "hdbscan_ari": round(adjusted_rand(kinds, alone), 4),
        "hdbscan_nmi": round(normalized_information(kinds, alone), 4),
        "extra": sorted(extra),
        "missing": sorted(word for word in table if word not in names),
        "wrong": {word: names[word] for word in sorted(names) if names[word] != table[word]},
    }


def adjusted_rand(left: Sequence[Any], right: Sequence[Any]) -> float:
    """Adjusted Rand index of two labelings: 1 is the same partition, 0 is chance."""
    from sklearn.metrics import adjusted_rand_score

    return float(adjusted_rand_score(_codes(left), _codes(right)))


def normalized_information(left: Sequence[Any], right: Sequence[Any]) -> float:
    """Normalised mutual information (arithmetic mean), equal to the V measure."""
    from sklearn.metrics import normalized_mutual_info_score

    return float(normalized_mutual_info_score(_codes(left), _codes(right)))


def noise_as_singletons(labels: Sequence[int]) -> list[int]:
    """Labels where every -1 becomes a cluster of its own, as ARI must see noise."""
    return [label if label >= 0 else -1 - row for row, label in enumerate(labels)]


def read_reference(path: Path) -> dict[str, str]:
    """Read a word -> type table: a JSON object, or CSV lines `word,type`, with or without header.

    Raises:
        InputError: if the file is missing, malformed, empty, or gives a word two types.
    """
    if not path.is_file():
        raise InputError(f"--reference: expected a CSV or JSON file at {path}, found none.")
    text = path.read_text(encoding="utf-8")
    rows = _json_rows(text, path) if path.suffix.lower() == ".json" else _csv_rows(text, path)
    doubles = sorted(
        word for word, count in Counter(word for word, _ in set(rows)).items() if count > 1
    )
    if doubles:
        raise InputError(
            f"--reference: expected one type a word in {path}, got several for: "
            f"{', '.join(doubles[:5])}."
        )
    if not rows:
        raise InputError(f"--reference: expected `word,type` lines in {path}, got none.")
    return dict(rows)


def _json_rows(text: str, path: Path) -> list[tuple[str, str]]:
    try:
        raw = json.loads(text)
    except json.JSONDecodeError as error:
        raise InputError(
            f"--reference: expected JSON in {path}, line {error.lineno} is not ({error})."
        ) from None
    if not isinstance(raw, dict) or not all(isinstance(kind, str) for kind in raw.values()):
        raise InputError(
            f'--reference: expected a JSON object {{"word": "type"}} in {path}, got something else.'
        )
    return [(normalize(word), kind) for word, kind in raw.items()]


def _csv_rows(text: str, path: Path) -> list[tuple[str, str]]:
    rows = [row for row in csv.reader(StringIO(text)) if row]
    for number, row in enumerate(rows, start=1):
        if len(row) != 2:
            raise InputError(
                f"--reference: expected `word,type` in {path}, line {number} has {len(row)} "
                "columns."
            )
    if rows and [cell.strip().lower() for cell in rows[0]] == ["word", "type"]:
        rows = rows[1:]
    return [(normalize(word), kind.strip()) for word, kind in rows]


def _codes(labels: Sequence[Any]) -> list[int]:
    order = {label: number for number, label in enumerate(dict.fromkeys(labels))}
    return [order[label] for label in labels]
