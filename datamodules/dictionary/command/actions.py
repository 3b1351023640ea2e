"""What each action of the `dictionary` command does; each prints a table and the paths it wrote."""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Callable, Iterable
from dataclasses import asdict, fields
from typing import Any

from datamodules.dictionary.command.building import build_file
from datamodules.dictionary.command.request import Request, default_path, edits_path
from datamodules.dictionary.schema import Dictionary
from datamodules.errors import InputError
from datamodules.text_table import text_table


def build(args: argparse.Namespace) -> int:
    """Build a dictionary and its page."""
    given: dict[str, Any] = {each.name: getattr(args, each.name, None) for each in fields(Request)}
    rules = None if args.rules is None else tuple(map(str.strip, args.rules.split(",")))
    given |= {
        "lists": tuple(args.list),
        "seeds": not args.no_seeds,
        "rules": () if rules == ("none",) else rules,
    }
    request = Request(**given)
    path = args.out or default_path(request.name)
    dictionary, page = build_file(path, request)
    _say(_attribute_table(dictionary))
    _say(["", *_notes(dictionary), f"dictionary  {path}", f"report      {page}"])
    if dictionary.edits_hash:
        _say([f"edits       {request.edits or edits_path(path)}"])
    more = {"paths": [str(path), str(page)], "hash": dictionary.hash, **_overview(dictionary)}
    return _done(args, more)


def names(args: argparse.Namespace) -> int:
    """Print the selected attributes; build the dictionary first if there is none."""
    path = default_path(args.source)
    if path.is_file():
        dictionary = Dictionary.load(path, source=args.source)
    else:
        dictionary, _ = build_file(path, Request(source=args.source, root=args.root))
    _say(dictionary.names)
    return _done(args, {"path": str(path), "selected": list(dictionary.names)})


def show(args: argparse.Namespace) -> int:
    """Print the attributes, or where one word comes from."""
    dictionary = Dictionary.load(args.file)
    if args.word is not None:
        from datamodules.dictionary.explain import explain

        lines = explain(dictionary, args.word)
        _say([*lines, "", f"dictionary  {args.file}"])
        return _done(args, {"path": str(args.file), "word": args.word, "lines": lines})
    _say(_attribute_table(dictionary))
    _say(["", *_notes(dictionary), f"dictionary  {args.file}"])
    return _done(args, {"path": str(args.file), **asdict(dictionary)})


def review(args: argparse.Namespace) -> int:
    """Write the sheet of words to judge, or turn a filled one into edits."""
    from datamodules.dictionary.edits import Edits, load_edits, merge_edits, write_edits
    from datamodules.dictionary.review import read_review, write_review

    if args.read is None:
        count = write_review(Dictionary.load(args.file), args.out, args.limit)
        _say([f"{count:,} words to judge, most urgent first", "", f"sheet  {args.out}"])
        return _done(args, {"path": str(args.out), "words": count})
    old = load_edits(args.edits) if args.edits else Edits()
    edits = merge_edits(old, read_review(args.read))
    write_edits(edits, args.out)
    sections = {name: len(each) for name, each in edits.content().items() if each}
    _say([*(f"{name}: {count:,}" for name, count in sections.items()), "", f"edits  {args.out}"])
    return _done(args, {"path": str(args.out), "edits": sections})


def edit(args: argparse.Namespace) -> int:
    """Apply edits to a dictionary as it is, or only say whether they fit."""
    from datamodules.dictionary.diff.difference import diff
    from datamodules.dictionary.edits import apply_edits, load_edits
    from datamodules.dictionary.report import write_report

    if not args.check and args.out is None:
        raise InputError("expected --out FILE for the edited dictionary, or --check, got neither.")
    dictionary = Dictionary.load(args.file)
    edited = apply_edits(dictionary, load_edits(args.edits))
    changes = diff(dictionary, edited)
    _say(changes.lines())
    paths = []
    if not args.check:
        page = args.out.with_suffix(".report.html")
        edited.save(args.out)
        write_report(edited, page)
        paths = [str(args.out), str(page)]
        _say(["", f"dictionary  {args.out}", f"report      {page}"])
    return _done(args, {"paths": paths, "hash": edited.hash, "changes": changes.as_json()})


def evaluate(args: argparse.Namespace) -> int:
    """Score a dictionary against known types."""
    from datamodules.dictionary.scoring.comparison import reference_scores
    from datamodules.dictionary.scoring.reference import read_reference

    dictionary = Dictionary.load(args.file)
    reference = read_reference(
        args.reference, parents=args.parents, ignore=args.ignore, counts=args.counts
    )
    scores = reference_scores(
        dictionary, reference, forced=args.forced, without_seeds=args.without_seeds
    )
    ends = {name: "{} to {}".format(*pair) for name, pair in scores["intervals"].items()}
    rows = [
        (name, str(value), ends.get(name, ""))
        for name, value in scores.items()
        if type(value) in (int, float)
    ]
    _say(text_table(("score", "value", "95 %"), rows))
    kinds = [(kind, *each.values()) for kind, each in scores["types"].items()]
    _say(["", *text_table(("type", "words", "precision", "recall"), kinds)])
    lists = ("extra", "missing", "several", "wrong", "unread")
    _say(["", *(f"{name:<8} {', '.join(scores[name]) or 'none'}" for name in lists)])
    _say(["", *_protocol(scores), f"dictionary  {args.file}", f"reference   {args.reference}"])
    return _done(args, {"path": str(args.file), "reference": str(args.reference), **scores})


def _protocol(scores: dict[str, Any]) -> list[str]:
    """What was counted otherwise than plainly."""
    found = []
    if scores["forced"]:
        found.append(
            "forced      words that abstained count as the type they are nearest to; "
            f"{len(scores['unread']):,} that the build never read are left out"
        )
    if scores["seeds_left_out"]:
        found.append(f"left out    {scores['seeds_left_out']:,} words that stand for a type")
    return found


def compare(args: argparse.Namespace) -> int:
    """Print what changes from one dictionary to another."""
    from datamodules.dictionary.diff.difference import diff

    changes = diff(Dictionary.load(args.old), Dictionary.load(args.new))
    _say(changes.lines())
    _say(["", f"old  {args.old}", f"new  {args.new}"])
    return _done(args, changes.as_json())


def export(args: argparse.Namespace) -> int:
    """Write a dictionary for other programs."""
    dictionary = Dictionary.load(args.file)
    count = _WRITERS[args.format](args, dictionary)
    _say([f"{count:,} words of {dictionary.source}", "", f"{args.format}  {args.out}"])
    return _done(args, {"path": str(args.out), "format": args.format, "words": count})


def _csv(args: argparse.Namespace, dictionary: Dictionary) -> int:
    from datamodules.dictionary.export.tables import csv_text
    from datamodules.files import write_text

    write_text(args.out, csv_text(dictionary))
    return _count(dictionary)


def _words(args: argparse.Namespace, dictionary: Dictionary) -> int:
    from datamodules.dictionary.export.tables import word_types
    from datamodules.files import write_json

    found, left_out = word_types(dictionary)
    write_json(args.out, found)
    if left_out:
        _say([f"left out, of several attributes: {', '.join(left_out[:10])}"])
    return len(found)


def _config(args: argparse.Namespace, dictionary: Dictionary) -> int:
    from datamodules.dictionary.export.tables import config_text
    from datamodules.files import write_text

    if args.attribute is None:
        raise InputError(
            "expected --attribute NAME for a configuration, got none. The dictionary selects: "
            f"{', '.join(dictionary.names)}."
        )
    name = dictionary.attribute(args.attribute).name
    write_text(args.out, config_text(dictionary, args.file, name, root=args.root))
    return len(dictionary.attribute(name).values)


def _projector(args: argparse.Namespace, dictionary: Dictionary) -> int:
    from datamodules.dictionary.embed import features, open_embedder
    from datamodules.dictionary.export.projector import export_projector

    texts = [value.text for each in dictionary.attributes for value in each.values]
    texts = list(dict.fromkeys([*texts, *(each.text for each in dictionary.unassigned)]))
    vectors = features(open_embedder(args.embedder or "sentence"), texts)
    return export_projector(dictionary, (texts, vectors), args.out)


_WRITERS: dict[str, Callable[[argparse.Namespace, Dictionary], int]] = {
    "csv": _csv,
    "words": _words,
    "config": _config,
    "projector": _projector,
}
RUNS: dict[str, Callable[[argparse.Namespace], int]] = {
    "build": build,
    "names": names,
    "show": show,
    "review": review,
    "edit": edit,
    "evaluate": evaluate,
    "diff": compare,
    "export": export,
}


def _count(dictionary: Dictionary) -> int:
    return sum(len(each.values) for each in dictionary.attributes)


def _overview(dictionary: Dictionary) -> dict[str, Any]:
    return {
        "source": dictionary.source,
        "attributes": {
            attribute.name: list(attribute.texts) for attribute in dictionary.attributes
        },
        "selected": list(dictionary.names),
        "scores": dictionary.scores,
    }


def _notes(dictionary: Dictionary) -> list[str]:
    """What a person should know of the words that are no values."""
    found = []
    if dictionary.unassigned:
        total = sum(each.count for each in dictionary.unassigned)
        most = ", ".join(each.text for each in dictionary.unassigned[:5])
        found.append(
            f"unassigned  {len(dictionary.unassigned):,} words with {total:,} mentions: {most}, ..."
        )
    if dictionary.unknown:
        found.append(
            f"no vector   {len(dictionary.unknown):,}: {', '.join(dictionary.unknown[:5])}"
        )
    if dictionary.proposals:
        found.append(f"proposals   {len(dictionary.proposals):,} merges to judge")
    if dictionary.scores.get("captions_compared") is False:
        found.append(
            "note        every image has one caption, so general words such as 'object' cannot be "
            "told from values: check the values, or give several captions an image"
        )
    return found


def _attribute_table(dictionary: Dictionary) -> list[str]:
    """The attributes by merit, where that is known."""
    from datamodules.dictionary.merit import ranked

    rows = [
        (
            attribute.name,
            "yes" if attribute.selected else "no",
            "yes" if attribute.exclusive else "no",
            "" if attribute.merit is None else f"{attribute.merit.score:.2f}",
            "" if attribute.merit is None else f"{attribute.merit.coverage:.1%}",
            len(attribute.values),
            ", ".join(attribute.texts[:12]) + (", ..." if len(attribute.texts) > 12 else ""),
        )
        for attribute in ranked(dictionary.attributes)
    ]
    head = ("attribute", "selected", "exclusive", "merit", "covers", "values", "by falling count")
    return text_table(head, rows)


def _say(lines: Iterable[str]) -> None:
    sys.stdout.write("\n".join(lines) + "\n")


def _done(args: argparse.Namespace, found: dict[str, Any]) -> int:
    """The last line with --json; paths of this machine are what the user gave."""
    if args.json:
        _say([json.dumps(found, sort_keys=True, ensure_ascii=False, allow_nan=False)])
    return 0
