"""The `evaluate` action: a dictionary against known types."""

from __future__ import annotations

import argparse
from collections.abc import Iterator, Mapping
from typing import Any

from datamodules.dictionary.command.output import done, say
from datamodules.dictionary.schema import Dictionary
from datamodules.text_table import counted, listed, text_table

_MOST_WRONG = 20


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
    say(text_table(("score", "value", "95 %"), rows))
    kinds = [(kind, *each.values()) for kind, each in scores["types"].items()]
    say(["", *text_table(("type", "words", "precision", "recall"), kinds)])
    say(["", *_words(scores)])
    say(["", *_protocol(scores), f"dictionary  {args.file}", f"reference   {args.reference}"])
    return done(args, {"path": str(args.file), "reference": str(args.reference), **scores})


def _words(scores: Mapping[str, Any]) -> Iterator[str]:
    for name in ("extra", "missing", "several", "unread"):
        yield f"{name:<8} {', '.join(scores[name]) or 'none'}"
    wrong = ["{word}: {found}, not {known}".format(**each) for each in scores["wrong"]]
    yield f"wrong    {listed(wrong, _MOST_WRONG, '; ') or 'none'}"


def _protocol(scores: Mapping[str, Any]) -> Iterator[str]:
    """What was counted otherwise than plainly."""
    if scores["forced"]:
        yield (
            "forced      words that abstained count as the type they are nearest to; left out: "
            f"{counted(len(scores['unread']), 'word')} that the build never read"
        )
    if left_out := scores["seeds_left_out"]:
        stand = "stands" if left_out == 1 else "stand"
        yield f"left out    {counted(left_out, 'word')} that {stand} for a type"
