"""What each action of the `dictionary` command does; each prints a table and the paths it wrote."""

from __future__ import annotations

import argparse
from collections.abc import Callable
from dataclasses import asdict, fields
from typing import Any

from datamodules.dictionary.command.building import build_file
from datamodules.dictionary.command.evaluation import evaluate
from datamodules.dictionary.command.exports import export
from datamodules.dictionary.command.output import done, say
from datamodules.dictionary.command.request import Request, default_path, edits_path
from datamodules.dictionary.schema import Dictionary
from datamodules.errors import InputError
from datamodules.text_table import counted, listed, text_table


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
    path = args.out or default_path(request.name, request.root)
    dictionary, page = build_file(path, request)
    say(_attribute_table(dictionary))
    say(["", *_notes(dictionary), f"dictionary  {path}", f"report      {page}"])
    if dictionary.edits_hash:
        say([f"edits       {request.edits or edits_path(path)}"])
    more = {"paths": [str(path), str(page)], "hash": dictionary.hash, **_overview(dictionary)}
    return done(args, more)


def names(args: argparse.Namespace) -> int:
    """Print the selected attributes; build the dictionary first if there is none."""
    path = default_path(args.source, args.root)
    if path.is_file():
        dictionary = Dictionary.load(path, source=args.source)
    else:
        dictionary, _ = build_file(path, Request(source=args.source, root=args.root))
    say(dictionary.names)
    return done(args, {"path": str(path), "selected": list(dictionary.names)})


def show(args: argparse.Namespace) -> int:
    """Print the attributes, or where one word comes from."""
    dictionary = Dictionary.load(args.file)
    if args.word is not None:
        from datamodules.dictionary.explain import explain

        lines = explain(dictionary, args.word)
        say([*lines, "", f"dictionary  {args.file}"])
        return done(args, {"path": str(args.file), "word": args.word, "lines": lines})
    say(_attribute_table(dictionary))
    say(["", *_notes(dictionary), f"dictionary  {args.file}"])
    return done(args, {"path": str(args.file), **asdict(dictionary)})


def review(args: argparse.Namespace) -> int:
    """Write the sheet of words to judge, or turn a filled one into edits that fit."""
    from datamodules.dictionary.edits import (
        Edits,
        apply_edits,
        load_edits,
        merge_edits,
        write_edits,
    )
    from datamodules.dictionary.review import read_review, write_review

    dictionary = Dictionary.load(args.file)
    if args.read is None:
        count = write_review(dictionary, args.out, args.limit, replace=args.replace)
        say([f"{counted(count, 'word')} to judge, most urgent first", "", f"sheet  {args.out}"])
        return done(args, {"path": str(args.out), "words": count})
    old = load_edits(args.edits) if args.edits else Edits()
    edits = merge_edits(old, read_review(args.read))
    apply_edits(dictionary, edits)  # raises where a word or an attribute is not in the dictionary
    write_edits(edits, args.out, replace=args.replace)
    sections = {name: len(each) for name, each in edits.content().items() if each}
    say([*(f"{name}: {count:,}" for name, count in sections.items()), "", f"edits  {args.out}"])
    return done(args, {"path": str(args.out), "edits": sections})


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
    say(changes.lines())
    paths = []
    if not args.check:
        page = args.out.with_suffix(".report.html")
        edited.save(args.out)
        write_report(edited, page)
        paths = [str(args.out), str(page)]
        say(["", f"dictionary  {args.out}", f"report      {page}"])
    return done(args, {"paths": paths, "hash": edited.hash, "changes": changes.as_json()})


def compare(args: argparse.Namespace) -> int:
    """Print what changes from one dictionary to another."""
    from datamodules.dictionary.diff.difference import diff

    changes = diff(Dictionary.load(args.old), Dictionary.load(args.new))
    say(changes.lines())
    say(["", f"old  {args.old}", f"new  {args.new}"])
    return done(args, changes.as_json())


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
        words = counted(len(dictionary.unassigned), "word")
        mentions = counted(sum(each.count for each in dictionary.unassigned), "mention")
        most = listed([each.text for each in dictionary.unassigned], 5)
        found.append(f"unassigned  {words} with {mentions}: {most}")
    if dictionary.unknown:
        found.append(f"no vector   {len(dictionary.unknown):,}: {listed(dictionary.unknown, 5)}")
    if dictionary.proposals:
        found.append(f"proposals   {counted(len(dictionary.proposals), 'merge')} to judge")
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
            {True: "yes", False: "no", None: "unknown"}[attribute.exclusive],
            "" if attribute.merit is None else f"{attribute.merit.score:.2f}",
            "" if attribute.merit is None else f"{attribute.merit.coverage:.1%}",
            len(attribute.values),
            listed(attribute.texts, 12),
        )
        for attribute in ranked(dictionary.attributes)
    ]
    head = ("attribute", "selected", "exclusive", "merit", "covers", "values", "by falling count")
    return text_table(head, rows)
