"""What `dictionary_types` reads from a folder of data sets; nothing of it is copied.

vaw/attribute_index.json, attribute_types.json, attribute_parent_types.json
attributes.txt                                    CUB's 312 attribute names
lfw/lfw_attributes_derived.txt                    LFW's 73
visual_genome/vocab_1600-400-20/attributes_vocab.txt
visual_genome/vl_checklist_vg/*.json              VL-CheckList: a phrase and its wrong twins
mit_states/mitstates_pair_split/all_attrs.txt
cgqa/compositional-split-natural/*_pairs.txt
text/, cub_text_c10/, nlvr/                       free text, for word vectors
"""

from __future__ import annotations

import csv
import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from datamodules.dictionary.scoring.reference import Reference, read_reference
from datamodules.errors import InputError
from datamodules.files import read_json
from datamodules.normalize import normalize

OWN = Path(__file__).with_name("typed_words.csv")
UNINFORMATIVE = ("other", "size comparison")
_CUB_TYPES = {"color": "color", "pattern": "texture", "shape": "shape", "size": "size",
              "length": "size"}  # fmt: skip


def vaw(data: Path) -> tuple[list[str], Reference]:
    """VAW's vocabulary, and the words of it that have exactly one parent type.

    Raises:
        InputError: if a file is missing.
    """
    folder = data / "vaw"
    words = list(dict.fromkeys(map(normalize, read_json(folder / "attribute_index.json"))))
    reference = read_reference(
        folder / "attribute_types.json",
        parents=folder / "attribute_parent_types.json",
        ignore=UNINFORMATIVE,
    )
    inside = set(words)
    return words, Reference({w: kind for w, kind in reference.types.items() if w in inside})


def own() -> Reference:
    """This project's own list; "none" is of no type."""
    return read_reference(OWN, ignore=["none"])


def own_words() -> list[str]:
    """All words of this project's own list, those of no type too."""
    with OWN.open(newline="", encoding="utf-8") as stream:
        return [normalize(row["word"]) for row in csv.DictReader(stream)]


def cub(data: Path) -> tuple[list[str], Reference]:
    """Values of CUB's 312 attributes with their types, counted by how many attributes have them."""
    types_of: dict[str, set[str]] = {}
    counts: dict[str, int] = {}
    for line in _lines(data / "attributes.txt"):
        group, _, value = line.split(maxsplit=1)[-1].partition("::")
        word = normalize(value.partition("(")[0])
        types_of.setdefault(word, set()).add(_CUB_TYPES.get(group.rpartition("_")[2], ""))
        counts[word] = counts.get(word, 0) + 1
    single = {word: next(iter(kinds)) for word, kinds in types_of.items() if len(kinds) == 1}
    return list(types_of), Reference({w: kind for w, kind in single.items() if kind}, counts)


def vl_checklist(data: Path) -> tuple[list[str], Reference]:
    """Attribute words of VL-CheckList: what a wrong twin has in place of a phrase's, by file."""
    types_of: dict[str, set[str]] = {}
    for path in sorted((data / "visual_genome/vl_checklist_vg").glob("*.json")):
        for _, phrases in read_json(path):
            for right, wrong in zip(phrases["POS"], phrases["NEG"], strict=False):
                for word in _difference(wrong.split(), right.split()):
                    types_of.setdefault(normalize(word), set()).add(path.stem)
    types_of.pop("", None)
    single = {word: next(iter(kinds)) for word, kinds in types_of.items() if len(kinds) == 1}
    return list(types_of), Reference(single)


def vocabularies(data: Path) -> dict[str, list[str]]:
    """Words of no known type: LFW, Visual Genome's 400, MIT-States, C-GQA."""
    lfw = next(
        line for line in _lines(data / "lfw/lfw_attributes_derived.txt") if "person\t" in line
    )
    pairs = sorted((data / "cgqa/compositional-split-natural").glob("*_pairs.txt"))
    found = {
        "LFW": lfw.split("\t")[3:],
        "Visual Genome 400": [
            line.split(",")[0]
            for line in _lines(data / "visual_genome/vocab_1600-400-20/attributes_vocab.txt")
        ],
        "MIT-States": list(_lines(data / "mit_states/mitstates_pair_split/all_attrs.txt")),
        "C-GQA": sorted({line.split()[0] for path in pairs for line in _lines(path)}),
    }
    return {
        name: [word for word in dict.fromkeys(map(normalize, words)) if word]
        for name, words in found.items()
    }


def free_text(data: Path) -> list[list[str]]:
    """Sentences of everything that is running text, as normalized words."""
    texts: list[str] = []
    for folder in ("cupl", "label_free_cbm"):
        for path in sorted((data / "text" / folder).rglob("*.json")):
            texts += _strings(read_json(path))
    for path in sorted((data / "text/classify_by_description").rglob("*.json")):
        for name, lines in read_json(path).items():
            texts += [f"{name} {line}" for line in _strings(lines)]
    for pattern in ("text/label_free_cbm/**/*.txt", "text/clip_prs/image_*.txt",
                    "text/splice_vocab/laion_bigrams.txt", "cub_text_c10/**/*.txt"):  # fmt: skip
        for path in sorted(data.glob(pattern)):
            texts += _lines(path)
    for path in sorted((data / "nlvr").rglob("*.json")):
        texts += [json.loads(line)["sentence"] for line in _lines(path)]
    for path in sorted((data / "visual_genome/vl_checklist_vg").glob("*.json")):
        texts += [text for _, phrases in read_json(path) for text in phrases["POS"]]
    colors = data / "text/colors/colornames.csv"
    texts += [line.split(",")[0] for line in _lines(colors)] if colors.is_file() else []
    return [words for text in dict.fromkeys(texts) if len(words := normalize(text).split()) > 1]


def _difference(this: list[str], other: list[str]) -> Iterator[str]:
    """The one stretch of `this` that `other` lacks, if it has at most three words."""
    start = 0
    while start < min(len(this), len(other)) and this[start] == other[start]:
        start += 1
    end = 0
    while end < min(len(this), len(other)) - start and this[-1 - end] == other[-1 - end]:
        end += 1
    if 0 < len(this) - end - start <= 3:
        yield " ".join(this[start : len(this) - end])


def _strings(tree: Any) -> list[str]:
    if isinstance(tree, str):
        return [tree]
    branches = tree.values() if isinstance(tree, dict) else tree if isinstance(tree, list) else ()
    return [text for branch in branches for text in _strings(branch)]


def _lines(path: Path) -> Iterator[str]:
    if not path.is_file():
        raise InputError(
            f"expected {path.name} at {path}, found none. Name the folder with --data."
        )
    with path.open(encoding="utf-8", errors="replace") as stream:
        yield from (line.strip() for line in stream if line.strip())
