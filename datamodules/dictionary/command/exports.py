"""The `export` action: a dictionary for other programs."""

from __future__ import annotations

import argparse
from collections.abc import Callable

from datamodules.dictionary.command.output import done, say
from datamodules.dictionary.schema import Dictionary
from datamodules.errors import InputError
from datamodules.text_table import counted, listed

_FORMAT_OF = {"attribute": "config", "root": "config", "embedder": "projector"}


def export(args: argparse.Namespace) -> int:
    """Write a dictionary for other programs."""
    for flag, meant in _FORMAT_OF.items():
        if getattr(args, flag) is not None and args.format != meant:
            raise InputError(
                f"--{flag} is for --format {meant}, got --format {args.format}. Leave one of them "
                "out."
            )
    dictionary = Dictionary.load(args.file)
    count = _WRITERS[args.format](args, dictionary)
    say([f"{counted(count, 'word')} of {dictionary.source}", "", f"{args.format}  {args.out}"])
    return done(args, {"path": str(args.out), "format": args.format, "words": count})


def _csv(args: argparse.Namespace, dictionary: Dictionary) -> int:
    from datamodules.dictionary.export.tables import csv_text
    from datamodules.files import write_text

    write_text(args.out, csv_text(dictionary))
    return sum(len(each.values) for each in dictionary.attributes)


def _words(args: argparse.Namespace, dictionary: Dictionary) -> int:
    from datamodules.dictionary.export.tables import word_types
    from datamodules.files import write_json

    found, left_out = word_types(dictionary)
    write_json(args.out, found)
    if left_out:
        say([f"left out, of several attributes: {listed(left_out, 10)}"])
    return len(found)


def _config(args: argparse.Namespace, dictionary: Dictionary) -> int:
    from datamodules.dictionary.export.tables import config_text
    from datamodules.files import write_text

    if dictionary.read_from == "list":
        raise InputError(
            f"--format config: expected the dictionary of a data set, got that of the word list "
            f"{dictionary.source!r}, which has no images to train on. Build one of a data set: "
            "python -m datamodules dictionary build --source NAME."
        )
    if args.attribute is None:
        raise InputError(
            "expected --attribute NAME for a configuration, got none. The dictionary selects: "
            f"{', '.join(dictionary.names)}."
        )
    name = dictionary.attribute(args.attribute).name
    write_text(args.out, config_text(dictionary, args.file, name, root=args.root))
    return len(dictionary.attribute(name).values)


def _projector(args: argparse.Namespace, dictionary: Dictionary) -> int:
    from datamodules.dictionary.export.projector import embedded_words, export_projector

    vectors = embedded_words(dictionary, args.embedder or "sentence")
    return export_projector(dictionary, vectors, args.out)


_WRITERS: dict[str, Callable[[argparse.Namespace, Dictionary], int]] = {
    "csv": _csv,
    "words": _words,
    "config": _config,
    "projector": _projector,
}
