"""Time and memory of the dictionary at the size of Visual Genome's attributes.

    python -m benchmarks.dictionary_scale [--json] [--mentions 2800000] [--strings 68000]

The mentions are drawn: strings made of the word lists below, their frequencies by a law of Zipf
under which the 200 most frequent hold 65 % of the mentions, as they do in Visual Genome. Every
stage runs in a process of its own, so that its memory is its own. The floor is counting the numbers
of the raw strings without reading them.
"""

from __future__ import annotations

import argparse
import multiprocessing
import os
import resource
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from itertools import islice, product
from pathlib import Path
from types import SimpleNamespace
from typing import TYPE_CHECKING, Any, cast

import numpy as np

from benchmarks._output import add_output, put_out
from datamodules.annotations import Annotations
from datamodules.annotations.table import Items, Names, Rows
from datamodules.dictionary.command import Request, build_file
from datamodules.dictionary.words.lemmas import lemma_pairs, slip_pairs
from datamodules.dictionary.words.mention import mentions_of
from datamodules.dictionary.words.vocabulary import count, count_table

if TYPE_CHECKING:
    from datamodules.sources import Source

IMAGES_PER_MENTION, ITEMS_PER_MENTION = 0.0386, 0.57  # of Visual Genome 1.4, about
OBJECT_NAMES = 80_000
EXPONENT = 1.115  # of Zipf's law
_COLORS = """
red orange yellow green blue purple pink brown black white grey beige cream ivory tan golden silver
bronze copper maroon crimson scarlet coral peach salmon olive lime mint teal turquoise cyan navy
azure indigo violet lavender lilac magenta plum amber ochre khaki charcoal rust sandy chestnut
"""
_MATERIALS = """
wooden metal plastic glass leather cotton woolen denim paper cardboard stone brick concrete marble
granite ceramic porcelain clay rubber steel iron brass aluminium chrome wicker straw velvet silk
canvas nylon felt lace foam wax sandstone bamboo
"""
_MODIFIERS = """
light dark bright pale deep dull faded dirty clean shiny matte glossy rusty dusty wet dry old new
large small tall short long wide narrow thick thin round square curved flat striped spotted dotted
plaid checkered floral patterned painted carved woven folded broken cracked open closed empty full
parked standing sitting walking running flying smiling sleeping resting leaning hanging stripe
stripes spots painting crack cracks curve curves pattern patterns folds dirt rust rusting
multi-coloured
"""
_OBJECTS = """
man woman child boy girl dog cat horse cow sheep bird elephant giraffe zebra bear car truck bus
train bicycle boat airplane street road sidewalk building house wall window door roof tower bridge
tree leaf flower grass bush sky cloud mountain river lake ocean beach table chair bench bed couch
lamp shelf plate bowl cup bottle fork knife pizza cake sandwich apple banana shirt jacket hat shoe
sock tie bag umbrella clock sign pole fence
"""
COLORS, MATERIALS, MODIFIERS, OBJECTS = (
    words.split() for words in (_COLORS, _MATERIALS, _MODIFIERS, _OBJECTS)
)


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(
        prog="python -m benchmarks.dictionary_scale", allow_abbrev=False
    )
    parser.add_argument("--mentions", type=int, default=2_800_000, help="rows of the table")
    parser.add_argument("--strings", type=int, default=68_000, help="different attribute strings")
    add_output(parser)
    args = parser.parse_args(argv)
    result = measure(args.mentions, args.strings)
    for row in result["stages"]:
        print(
            f"{row['stage']:<44} {row['seconds']:>8.2f} s {row['cpu_seconds']:>8.2f} s "
            f"{row['megabytes']:>7.0f} MB {row['found']:>8,}"
        )
    print("seconds on the clock, of the processor, memory beyond the table, what was found")
    put_out(result, args)
    return 0


def measure(mentions: int, strings: int) -> dict[str, Any]:
    """Seconds and peak memory of every stage."""
    source = drawn_source(mentions, strings)
    tenth = drawn_source(mentions // 10, strings // 10)
    value = source.annotations.columns.value
    rows = [
        alone("floor: numbers of raw strings counted", lambda: len(np.bincount(value))),
        alone("vocabulary of the table", lambda: len(count_table(source))),
        alone("vocabulary, a tenth, one by one", lambda: len(count(mentions_of(tenth)))),
    ]
    vocabulary = count_table(source)
    texts, counts = vocabulary.texts, vocabulary.counts_W.tolist()
    rows += [
        alone("merges by lemma", lambda: len(lemma_pairs(texts))),
        alone("merges by slip of the pen", lambda: len(slip_pairs(texts, counts))),
    ]
    return {"mentions": mentions, "strings": strings, "stages": rows + build_whole(source)}


def build_whole(source: Source) -> list[dict[str, Any]]:
    """Rows of the whole build with the sentence encoder, without and with its rows on the disk."""
    with tempfile.TemporaryDirectory() as folder:

        def whole() -> int:
            os.chdir(folder)
            dictionary, _ = build_file(Path("drawn.json"), Request(source="drawn"), source=source)
            return sum(len(each.values) for each in dictionary.attributes)

        return [
            alone("whole build, words embedded for the first time", whole),
            alone("whole build, words embedded before", whole),
        ]


def alone(stage: str, run: Callable[[], int]) -> dict[str, Any]:
    """Run a stage in a child process.

    Returns:
        Its name, seconds, cpu_seconds, megabytes beyond what this process holds, and how many it
        found.
    """
    context = multiprocessing.get_context("fork")  # the child shares the table
    receiver, sender = context.Pipe(duplex=False)

    def child() -> None:
        before, start, used = peak(), time.perf_counter(), time.process_time()
        found = run()
        sender.send(
            {
                "stage": stage,
                "seconds": time.perf_counter() - start,
                "cpu_seconds": time.process_time() - used,
                "megabytes": peak() - before,
                "found": found,
            }
        )

    process = context.Process(target=child)
    process.start()
    sender.close()
    measured = receiver.recv()
    process.join()
    return cast("dict[str, Any]", measured)


def peak() -> float:
    """The most memory this process has held, in megabytes."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def drawn_source(mentions: int, strings: int) -> Source:
    """A source without types, as Visual Genome is, of `mentions` rows."""
    random = np.random.default_rng(0)
    num_images, num_items = (
        max(1, int(each * mentions)) for each in (IMAGES_PER_MENTION, ITEMS_PER_MENTION)
    )
    image = np.sort(random.integers(num_images, size=num_items)).astype(np.int32)
    split_of = random.choice(3, num_images, p=(0.8, 0.1, 0.1)).astype(np.int32)
    items = Items(
        image=image,
        object=_zipf(random, OBJECT_NAMES, num_items, 1.0),
        split=split_of[image],
        box=random.integers(1, 400, (num_items, 4)).astype(np.float64),
    )
    once = np.arange(strings, dtype=np.int32)
    value = np.concatenate([once, _zipf(random, strings, mentions - strings, EXPONENT)])
    rows = Rows(
        item=np.sort(random.integers(num_items, size=mentions)).astype(np.int32),
        attribute=np.zeros(mentions, np.int32),
        value=random.permutation(value),
        label=np.ones(mentions, np.int8),
        weight=np.ones(mentions),
    )
    names = Names(
        images=tuple(f"VG_100K/{number}.jpg" for number in range(num_images)),
        objects=tuple(islice(_object_names(), OBJECT_NAMES)),
        splits=("train", "validation", "test"),
        attributes=("",),
        values=tuple(islice(_strings(random), strings)),
    )
    source = SimpleNamespace(
        name="drawn",
        annotations=Annotations(names, items, rows),
        states_types=False,
        captions=lambda split: [],
        templates={},
    )
    return cast("Source", source)


def _zipf(random: np.random.Generator, names: int, size: int, exponent: float) -> Any:
    share = 1 / np.arange(1, names + 1) ** exponent
    return random.choice(names, size, p=share / share.sum()).astype(np.int32)


def _object_names() -> Iterator[str]:
    yield from OBJECTS
    for material, color, thing in product(MATERIALS, COLORS, OBJECTS):
        yield f"{color} {material} {thing}"


def _strings(random: np.random.Generator) -> Iterator[str]:
    """Different strings, short ones first; longer ones in an order that is drawn."""
    words = dict.fromkeys((*COLORS, *MODIFIERS, *MATERIALS))
    yield from words
    shapes: tuple[tuple[str, tuple[list[str], ...]], ...] = (
        ("{} {}", (MODIFIERS, COLORS)),
        ("{}-{}", (MODIFIERS, COLORS)),
        ("{} and {}", (COLORS, COLORS)),
        ("{} {}", (COLORS, MATERIALS)),
        ("not {} {}", (COLORS, MATERIALS)),
        ("{} shaped", (OBJECTS,)),
        ("without a {}", (OBJECTS,)),
        ("{}{}", (MATERIALS, OBJECTS)),  # many last words
        ("{}{}s", (COLORS, OBJECTS)),
        ("wearing a {} {}", (COLORS, OBJECTS)),
        ("made of {} {}", (MODIFIERS, MATERIALS)),
    )
    phrases = [shape.format(*each) for shape, lists in shapes for each in product(*lists)]
    slips = {f"{word[:2]}{word[3:]}" for word in words if len(word) > 5}
    yield from random.permutation([*phrases, *sorted(slips)]).tolist()
    for place in random.permutation(len(MODIFIERS) * len(COLORS) * len(MATERIALS)).tolist():
        rest, material = divmod(place, len(MATERIALS))
        modifier, color = divmod(rest, len(COLORS))
        yield f"{MODIFIERS[modifier]} {COLORS[color]} {MATERIALS[material]}"


if __name__ == "__main__":
    sys.exit(main())
