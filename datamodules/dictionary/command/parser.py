"""The words and options of the `dictionary` command."""

from __future__ import annotations

import argparse
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.dictionary.command.request import DEFAULT_FOLDER

if TYPE_CHECKING:
    # argparse names this class only with an underscore.
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_GLYPHS = DEFAULT_FOLDER / "glyphs.json"


def add_parser(subparsers: Subparsers) -> None:
    """Add the `dictionary` command; its parsed arguments go to `run`."""
    text = "attributes and their values, found in a source's words"
    parser = subparsers.add_parser("dictionary", help=text, description=text, allow_abbrev=False)
    actions = parser.add_subparsers(dest="action", required=True, metavar="ACTION")

    def action(name: str, text: str) -> argparse.ArgumentParser:
        made = actions.add_parser(name, help=text, description=text, allow_abbrev=False)
        made.add_argument(
            "--json", action="store_true", help="print one JSON object as the last line"
        )
        return made

    _add_build(action("build", "build it from captions, annotations or a list of words"))
    _add_source(action("names", "print the selected attributes, one a line"))
    show = action("show", "print its attributes and values, or where one word comes from")
    _add_file(show)
    show.add_argument("--word", help="a word in any spelling, or attribute/value")
    _add_review(action("review", "write the words a person should judge, or read the judgements"))
    _add_edit(action("edit", "apply edits to a dictionary without building it again"))
    _add_evaluate(action("evaluate", "score it against known types"))
    diff = action("diff", "what changes from one dictionary to another")
    diff.add_argument("old", type=Path, help="a dictionary")
    diff.add_argument("new", type=Path, help="another one")
    _add_export(action("export", "write it for other programs"))


def _add_build(parser: argparse.ArgumentParser) -> None:
    _add_source(parser)
    parser.add_argument(
        "--list", type=Path, action="append", default=[],
        help="words in place of a source: one a line, or a CSV with a header; may come again",
    )  # fmt: skip
    parser.add_argument(
        "--words", choices=("captions", "annotations"),
        help="where a source's words come from, if it has both (default: annotations of no type)",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, help=f"file to write (default: {DEFAULT_FOLDER}/<source>.json)"
    )
    parser.add_argument(
        "--embedder",
        help="what gives word vectors: sentence[:FOLDER], vectors:FILE, word2vec, wordnet:FOLDER, "
        "clip:NAME, or several as in sentence+wordnet:FOLDER+0.5*word2vec, where word2vec reads "
        "WordNet's own text too (default: word2vec for captions, else sentence)",
    )
    parser.add_argument(
        "--text", type=Path, action="append", default=[], metavar="FILE",
        help="running text that word2vec is trained on beside the words, one sentence or paragraph "
        "a line, also packed by gzip; may come again",
    )  # fmt: skip
    parser.add_argument(
        "--types", type=Path, help="YAML of attribute kinds and seed words (default: shipped)"
    )
    parser.add_argument(
        "--no_seeds", action="store_true", help="use the names of the kinds alone, no seed words"
    )
    parser.add_argument(
        "--rules", help="rules of spelling to use, with commas; none switches all off"
    )
    parser.add_argument(
        "--mode", choices=("anchored", "hdbscan"), default="anchored",
        help="type words by seed words, or by HDBSCAN alone (default: anchored)",
    )  # fmt: skip
    parser.add_argument(
        "--groups", choices=("hdbscan", "linkage"), default="hdbscan",
        help="group the values of an attribute by HDBSCAN, which leaves noise, or by average "
        "linkage (default: hdbscan)",
    )  # fmt: skip
    parser.add_argument(
        "--edits", type=Path, help="YAML of a person's changes (default: <out>.edits.yaml, if any)"
    )
    parser.add_argument(
        "--backbone", help="a CLIP whose text features tell values apart, such as clip:glyph-clip"
    )
    parser.add_argument("--seed", type=int, default=0, help="seed of word2vec (default: 0)")


def _add_source(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("--source", default="glyphs", help="data source (default: glyphs)")
    parser.add_argument("--root", type=Path, help="folder of its files, if it needs one")


def _add_file(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", nargs="?", type=Path, default=_GLYPHS, help="the dictionary (default: glyphs)"
    )


def _add_review(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument("--out", type=Path, required=True, help="file to write")
    parser.add_argument(
        "--limit", type=int, help="rows of the sheet, by falling count x doubt (default: all)"
    )
    parser.add_argument("--read", type=Path, help="a filled sheet: --out becomes a file of edits")
    parser.add_argument("--edits", type=Path, help="edits to add those of the sheet to")
    parser.add_argument("--replace", action="store_true", help="overwrite --out if it is there")


def _add_edit(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument("--edits", type=Path, required=True, help="YAML of a person's changes")
    parser.add_argument("--out", type=Path, help="file to write; nothing else is changed")
    parser.add_argument("--check", action="store_true", help="only say whether they fit")


def _add_evaluate(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument(
        "--reference", type=Path, required=True,
        help='known types: CSV lines word,type, JSON {"word": "type"} or {"type": ["word"]}',
    )  # fmt: skip
    parser.add_argument(
        "--parents", type=Path, help="JSON or CSV that lifts its types to their parents"
    )
    parser.add_argument(
        "--ignore",
        nargs="+",
        default=[],
        metavar="TYPE",
        help='types to leave out, such as "other"',
    )
    parser.add_argument("--counts", type=Path, help="how often each word is used: CSV word,count")
    parser.add_argument(
        "--forced",
        action="store_true",
        help="count a word that abstained as the type it is nearest to; leave out unknown words",
    )
    parser.add_argument(
        "--without_seeds",
        action="store_true",
        help="leave out the words that stand for a type in the build: seeds and names",
    )


def _add_export(parser: argparse.ArgumentParser) -> None:
    _add_file(parser)
    parser.add_argument(
        "--format", choices=("csv", "words", "config", "projector"), required=True,
        help="a table, word -> type as JSON, the YAML that trains --attribute, or a folder for "
        "TensorBoard's projector",
    )  # fmt: skip
    parser.add_argument("--out", type=Path, required=True, help="file or folder to write")
    parser.add_argument("--attribute", help="for config: the attribute to train")
    parser.add_argument("--root", type=Path, help="for config: folder of the source's files")
    parser.add_argument("--embedder", help="for projector: what gives vectors (default: sentence)")
