"""`python -m datamodules dictionary build | names | show | evaluate`."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterable, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Any

from datamodules.dictionary.records import Mode
from datamodules.dictionary.schema import Dictionary
from datamodules.names import safe_name

if TYPE_CHECKING:
    # argparse names this class only with an underscore.
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

DEFAULT_FOLDER = Path("artifacts/dictionary")


def add_parser(subparsers: Subparsers) -> None:
    """Add the `dictionary` command; its parsed arguments go to `run`."""
    help_text = "attributes and their values, found in a source's captions"
    parser = subparsers.add_parser(
        "dictionary", help=help_text, description=help_text, allow_abbrev=False
    )
    actions = parser.add_subparsers(
        dest="action", required=True, metavar="build | names | show | evaluate"
    )
    build = actions.add_parser("build", help="build it from the captions", allow_abbrev=False)
    build.add_argument(
        "--out", type=Path, help=f"file to write (default: {DEFAULT_FOLDER}/<source>.json)"
    )
    build.add_argument(
        "--types",
        type=Path,
        help="YAML of attribute kinds and seed words (default: the shipped one)",
    )
    build.add_argument(
        "--mode", choices=("anchored", "hdbscan"), default="anchored",
        help="type words by seed words, or by HDBSCAN alone (default: anchored)",
    )  # fmt: skip
    build.add_argument("--seed", type=int, default=0, help="seed of the word vectors (default: 0)")
    names = actions.add_parser(
        "names", help="print the selected attributes, one a line", allow_abbrev=False
    )
    for action in (build, names):
        action.add_argument("--source", default="glyphs", help="data source (default: glyphs)")
        action.add_argument("--root", type=Path, help="folder of its files, if it needs one")
    show = actions.add_parser("show", help="print its attributes and values", allow_abbrev=False)
    evaluate = actions.add_parser(
        "evaluate", help="score it against known types", allow_abbrev=False
    )
    for action in (show, evaluate):
        action.add_argument(
            "file",
            nargs="?",
            type=Path,
            default=DEFAULT_FOLDER / "glyphs.json",
            help="the dictionary (default: glyphs)",
        )
    evaluate.add_argument(
        "--reference",
        type=Path,
        required=True,
        help='known types: CSV lines word,type or JSON {"word": "type"}',
    )
    for action in (build, names, show, evaluate):
        action.add_argument(
            "--json", action="store_true", help="print one JSON object as the last line"
        )


def default_path(source: str) -> Path:
    """Where a source's dictionary lies unless told otherwise."""
    return DEFAULT_FOLDER / f"{safe_name(source)}.json"


def run(args: argparse.Namespace) -> int:
    """Run the parsed command; returns the exit code.

    Raises:
        InputError: for a user's mistake; the front door prints it and exits with 2.
    """
    runs = {"build": _build, "names": _names, "show": _show, "evaluate": _evaluate}
    return runs[args.action](args)


def _build(args: argparse.Namespace) -> int:
    path = args.out or default_path(args.source)
    dictionary, page = build_file(
        path, args.source, args.root, types=args.types, mode=args.mode, seed=args.seed
    )
    _say(_attribute_table(dictionary))
    _say(["", f"dictionary  {path}", f"report      {page}"])
    if args.json:
        _say_json(
            {"paths": [str(path), str(page)], "hash": dictionary.hash, **_overview(dictionary)}
        )
    return 0


def build_file(
    path: Path,
    source: str,
    root: Path | None,
    *,
    types: Path | None = None,
    mode: Mode = "anchored",
    seed: int = 0,
) -> tuple[Dictionary, Path]:
    """Build and write a source's dictionary and its page, with progress on stderr.

    A source that states its types is taken at its word; from any other, types are found in the
    captions of the training split.

    Returns:
        The dictionary, and the path of the page beside it.
    """
    # All of these are slow to import or read files, and `--help` must stay quick.
    from rich.console import Console
    from rich.progress import Progress, TextColumn, TimeElapsedColumn

    from datamodules.dictionary.build import STAGES, build
    from datamodules.dictionary.given import stated, words_hash
    from datamodules.dictionary.report import write_report
    from datamodules.dictionary.settings import Settings, load_types
    from datamodules.sources import load_source

    opened = load_source(source, root)
    page = path.with_suffix(".report.html")
    if opened.states_types:
        dictionary = stated(opened)
        dictionary.save(path)
        write_report(dictionary, page)
        return dictionary, page
    settings = Settings(mode=mode, types=load_types(types))
    captions = opened.captions("train")
    columns = (
        *Progress.get_default_columns()[:2],
        TextColumn("{task.completed}/{task.total} stages"),
        TimeElapsedColumn(),
    )
    with Progress(*columns, console=Console(stderr=True), transient=True) as progress:
        task = progress.add_task("", total=len(STAGES))

        def on_stage(name: str) -> None:
            progress.update(task, description=name, completed=STAGES.index(name))

        dictionary = build(
            source,
            captions,
            data_hash=words_hash(opened),
            seed=seed,
            settings=settings,
            on_stage=on_stage,
        )
    dictionary.save(path)
    write_report(dictionary, page)
    if not dictionary.scores["captions_compared"]:
        sys.stderr.write(
            "note: every image has one caption, so general words such as 'object' cannot be told "
            "from values. Check the values, or give several captions an image.\n"
        )
    return dictionary, page


def _names(args: argparse.Namespace) -> int:
    path = default_path(args.source)
    if path.is_file():
        dictionary = Dictionary.load(path, source=args.source)
    else:
        dictionary, _ = build_file(path, args.source, args.root)
    _say(dictionary.names)
    if args.json:
        _say_json({"path": str(path), "selected": list(dictionary.names)})
    return 0


def _show(args: argparse.Namespace) -> int:
    dictionary = Dictionary.load(args.file)
    _say(_attribute_table(dictionary))
    _say(["", f"dictionary  {args.file}"])
    if args.json:
        _say_json({"path": str(args.file), **asdict(dictionary)})
    return 0


def _evaluate(args: argparse.Namespace) -> int:
    from datamodules.dictionary.scores import read_reference, reference_scores

    dictionary = Dictionary.load(args.file)
    scores = reference_scores(dictionary, read_reference(args.reference))
    shown = {name: value for name, value in scores.items() if isinstance(value, int | float)}
    lists = {
        name: ", ".join(value) or "none" for name, value in scores.items() if name not in shown
    }
    _say(table(("score", "value"), [*shown.items(), *lists.items()]))
    _say(["", f"dictionary  {args.file}", f"reference   {args.reference}"])
    if args.json:
        _say_json({"path": str(args.file), "reference": str(args.reference), **scores})
    return 0


def _overview(dictionary: Dictionary) -> dict[str, Any]:
    return {
        "source": dictionary.source,
        "attributes": {
            attribute.name: list(attribute.texts) for attribute in dictionary.attributes
        },
        "selected": list(dictionary.names),
        "scores": dictionary.scores,
    }


def _attribute_table(dictionary: Dictionary) -> list[str]:
    rows = [
        (
            attribute.name,
            "yes" if attribute.selected else "no",
            "yes" if attribute.exclusive else "no",
            len(attribute.values),
            ", ".join(attribute.texts[:12]) + (", ..." if len(attribute.texts) > 12 else ""),
        )
        for attribute in dictionary.attributes
    ]
    return table(("attribute", "selected", "exclusive", "values", "by falling count"), rows)


def table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> list[str]:
    """Lines of a table with aligned columns."""
    cells = [[str(cell) for cell in row] for row in (head, *rows)]
    widths = [max(map(len, column)) for column in zip(*cells, strict=True)]
    return [
        "  ".join(cell.ljust(width) for cell, width in zip(row, widths, strict=True)).rstrip()
        for row in cells
    ]


def _say(lines: Iterable[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


def _say_json(value: dict[str, Any]) -> None:
    _say([json.dumps(value, sort_keys=True, ensure_ascii=False, allow_nan=False)])
