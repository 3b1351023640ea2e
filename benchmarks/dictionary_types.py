"""Types of attribute words: names alone, seed words, rules, WordNet, against known types.

    python -m benchmarks.dictionary_types --data FOLDER [--wordnet FOLDER] [--sentence SPEC]
        [--json] [--out FILE]

Every line types the same words of VAW: those with exactly one parent type of seven (color, action,
material, state, shape, texture, size) that no type of ours is told by. All 620 words stay in the
vocabulary as distractors. "forced" lines give each word its best type; the last lines abstain. What
was chosen, and on which words, stands in docs/dictionary.md.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from benchmarks import _typing_data as source
from benchmarks._output import add_output, put_out
from benchmarks._typing_views import Views
from datamodules.dictionary.anchoring.anchors import type_scores
from datamodules.dictionary.anchoring.phrase_types import anchor_words, type_phrases
from datamodules.dictionary.embed import TrainedVectors, Word2VecSettings, open_embedder
from datamodules.dictionary.embed.wordnet.database import WordNet
from datamodules.dictionary.embed.wordnet.text import wordnet_sentences
from datamodules.dictionary.grouping.clusters import hdbscan_labels, linkage_labels
from datamodules.dictionary.scoring.reference import Reference
from datamodules.dictionary.scoring.scores import typing_scores
from datamodules.dictionary.settings import LikenessSettings, TypeSpec, load_types
from datamodules.dictionary.words.evidence import Array
from datamodules.errors import InputError

FORCED = LikenessSettings(min_score=-np.inf, min_margin=-np.inf)
WORD2VEC = Word2VecSettings(size=100, window=3, min_count=2, epochs=6, updates=1)


class Line(NamedTuple):
    """One way to type words.

    Attributes:
        name: what it is called in the table.
        seeds: whether seed words are used.
        rules: whether lexical rules are.
    """

    name: str
    seeds: bool
    rules: bool


LINES = (
    Line("names", seeds=False, rules=False),
    Line("names + rules", seeds=False, rules=True),
    Line("seeds", seeds=True, rules=False),
    Line("seeds + rules", seeds=True, rules=True),
)


def main(argv: list[str] | None = None) -> int:
    """Measure, print tables, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dictionary_types", allow_abbrev=False
    )
    parser.add_argument("--data", type=Path, help="folder of data sets (default: $ASPECTRA_DATA)")
    parser.add_argument("--wordnet", type=Path, help="folder `dict` of WordNet, if there is one")
    parser.add_argument(
        "--sentence", default="sentence", help="sentence encoder (default: sentence)"
    )
    add_output(parser)
    args = parser.parse_args(argv)
    data = args.data or (
        Path(os.environ["ASPECTRA_DATA"]) if "ASPECTRA_DATA" in os.environ else None
    )
    skipped = "" if data else "no data sets at hand: name their folder with --data"
    try:
        open_embedder(args.sentence, cache=None)
    except InputError as error:
        skipped = skipped or str(error)
    if data is None or skipped:
        sys.stdout.write(f"skipped: {skipped}\n")
        put_out({"skipped": skipped}, args)
        return 0
    try:
        result = measure(data, args.wordnet, args.sentence)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    for name in ("vaw", "abstaining", "others", "coverage"):
        sys.stdout.write(f"\n{name}\n" + "\n".join(_table(result[name])) + "\n")
    put_out(result, args)
    return 0


def measure(data: Path, wordnet_folder: Path | None, sentence: str) -> dict[str, Any]:
    """All tables.

    Raises:
        InputError: if a file is missing or broken.
    """
    wordnet = WordNet(wordnet_folder) if wordnet_folder else None
    sentences = source.free_text(data)
    sentences += list(wordnet_sentences(wordnet)) if wordnet else []
    vectors = TrainedVectors(sentences, WORD2VEC)
    started = time.perf_counter()
    vectors.known(["a"])  # trains
    seconds = time.perf_counter() - started
    encoder = open_embedder(sentence, cache=None)
    views = Views(encoder, vectors, wordnet)
    words, reference = source.vaw(data)
    rows = views.rows(_vocabulary(words))
    return {
        "encoder": encoder.name,
        "training_words": sum(map(len, sentences)),
        "training_seconds": round(seconds, 1),
        "vaw": vaw_table(words, reference, rows),
        "abstaining": abstaining_table(words, reference, rows),
        "others": [
            row
            for name, (others, kinds) in {
                "own list": (source.own_words(), source.own()),
                "own list outside VAW": (source.own_words(), _without(source.own(), words)),
                "CUB 312, bare values": source.cub(data),
                "VL-CheckList": source.vl_checklist(data),
            }.items()
            for row in other_rows(name, others, kinds, views)
        ],
        "coverage": [
            coverage_row(name, others, views) for name, others in source.vocabularies(data).items()
        ],
    }


def vaw_table(
    words: Sequence[str], reference: Reference, views: Mapping[str, Array]
) -> list[dict[str, Any]]:
    """Every view by every line, each word forced to one of the seven types."""
    test = _scored(reference)
    texts = _vocabulary(words)
    table = []
    for view, rows_WD in views.items():
        inside = rows_WD[: len(words)]
        for name, labels in (
            ("HDBSCAN alone", hdbscan_labels(inside, pca=20, min_cluster_size=5)),
            ("average linkage alone, 16 groups", linkage_labels(inside, groups=16)),
        ):
            clusters = [None if label < 0 else str(label) for label in labels.tolist()]
            found = dict(zip(words, clusters, strict=True))
            table.append(_row(view, name, test, found, accuracy=False))
        for line in LINES:
            types = _types(test, seeds=line.seeds)
            asked = replace(FORCED, rules=None if line.rules else ())
            typed = type_phrases(texts, rows_WD, types, settings=asked)
            found = {text: types[k].name for text, k in zip(texts, typed.label_C, strict=True)}
            table.append(_row(view, line.name, test, found))
            if line.name == "seeds":
                table.append(_row(view, "3 nearest seeds", test, _nearest(texts, rows_WD, types)))
    return table


def abstaining_table(
    words: Sequence[str], reference: Reference, views: Mapping[str, Array]
) -> list[dict[str, Any]]:
    """All shipped types as rivals, forced and with the default thresholds."""
    test, texts, types = _scored(reference), _vocabulary(words), load_types()
    table = []
    for view, rows_WD in views.items():
        for name, settings in (("11 types, forced", FORCED), ("11 types", LikenessSettings())):
            typed = type_phrases(texts, rows_WD, types, settings=settings)
            found = {
                text: types[k].name if k >= 0 else None
                for text, k in zip(texts, typed.label_C.tolist(), strict=True)
            }
            table.append(_row(view, name, test, found))
    return table


def other_rows(
    name: str, words: Sequence[str], reference: Reference, views: Views
) -> list[dict[str, Any]]:
    """Seeds + rules among the reference's own types, forced."""
    test, texts = _scored(reference), _vocabulary(words)
    types = _types(test, seeds=True)
    table = []
    for view, rows_WD in views.rows(texts).items():
        typed = type_phrases(texts, rows_WD, types, settings=FORCED)
        found = {text: types[k].name for text, k in zip(texts, typed.label_C, strict=True)}
        row = _row(view, "seeds + rules", test, found, counts=reference.counts)
        table.append({"words": name, **row})
    return table


def coverage_row(name: str, words: Sequence[str], views: Views) -> dict[str, Any]:
    """How many words get a type with the default thresholds, by the richest view."""
    texts, types = _vocabulary(words), load_types()
    view, rows_WD = list(views.rows(texts).items())[-1]
    typed = type_phrases(texts, rows_WD, types)
    labels = typed.label_C[: len(words)].tolist()
    return {
        "words": name, "view": view, "number": len(words),
        "coverage": round(float(np.mean([label >= 0 for label in labels])), 3),
        **{kind.name: labels.count(number) for number, kind in enumerate(types)},
    }  # fmt: skip


def _types(test: Mapping[str, str], *, seeds: bool) -> list[TypeSpec]:
    return [each for each in load_types(seeds=seeds) if each.name in set(test.values())]


def _vocabulary(words: Sequence[str]) -> list[str]:
    return list(dict.fromkeys([*words, *anchor_words(load_types())]))


def _scored(reference: Reference) -> dict[str, str]:
    """The reference without words that stand for a type."""
    anchors = set(anchor_words(load_types()))
    return {word: kind for word, kind in reference.types.items() if word not in anchors}


def _without(reference: Reference, words: Sequence[str]) -> Reference:
    left_out = set(words)
    return Reference({w: kind for w, kind in reference.types.items() if w not in left_out})


def _nearest(texts: Sequence[str], rows_WD: Array, types: Sequence[TypeSpec]) -> dict[str, str]:
    position = {text: row for row, text in enumerate(texts)}
    seeds_T = [[position[seed] for seed in each.seeds] for each in types]
    best_W = type_scores(rows_WD, seeds_T, nearest=3).argmax(axis=1)
    return {text: types[k].name for text, k in zip(texts, best_W, strict=True)}


def _row(
    view: str,
    line: str,
    test: Mapping[str, str],
    found: Mapping[str, str | None],
    *,
    accuracy: bool = True,
    counts: Mapping[str, int] | None = None,
) -> dict[str, Any]:
    weights = [counts[word] for word in test] if counts else None
    scores = typing_scores(list(test.values()), [found[word] for word in test], counts=weights)
    low, high = scores["intervals"]["accuracy"]
    return {
        "view": view,
        "line": line,
        "n": scores["num_words"],
        "accuracy": scores["accuracy"] if accuracy else "",
        "95 %": f"{low:.3f}-{high:.3f}" if accuracy else "",
        "ari": scores["ari"],
        "ari 95 %": "{:.3f}-{:.3f}".format(*scores["intervals"]["ari"]),
        "nmi": scores["nmi"],
        "ami": scores["ami"],
        "coverage": scores["coverage"],
        "weighted": scores.get("weighted_accuracy", ""),
    }


def _table(rows: Sequence[Mapping[str, Any]]) -> list[str]:
    columns = list(rows[0])
    cells = [
        columns,
        *([f"{v:.3f}" if isinstance(v, float) else str(v) for v in row.values()] for row in rows),
    ]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return ["  ".join(c.ljust(w) for c, w in zip(row, widths, strict=True)) for row in cells]


if __name__ == "__main__":
    sys.exit(main())
