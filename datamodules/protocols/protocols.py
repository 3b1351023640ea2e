"""The protocols applied to an opened data set, by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

from datamodules.annotations import Annotations
from datamodules.errors import InputError
from datamodules.sources import about_source
from datamodules.splits.base_to_new import base_to_new_split
from datamodules.splits.by_hash import hash_split
from datamodules.splits.compositional import PairRequest, compositional_split
from datamodules.splits.coop_files import Item
from datamodules.splits.few_shot import few_shot_split
from datamodules.splits.split import Split
from datamodules.splits.zero_shot import zero_shot_split


@dataclass(frozen=True)
class Request:
    """What is asked of a protocol; each reads what it needs.

    Attributes:
        attribute: whose values are the classes; "" takes the source's class attribute.
        object: second attribute of a pair, for "compositional"; "" takes the items' objects.
        shots: images a class; None for all.
        seed: of what is drawn.
        unseen: unseen classes, or unseen pairs.
    """

    attribute: str = ""
    object: str = ""
    shots: int | None = None
    seed: int = 0
    unseen: int = 1


def split_source(table: Annotations, source: str, protocol: str, request: Request) -> Split:
    """The split of a data set by one of `PROTOCOLS`.

    Args:
        table: its annotations.
        source: its name.
        protocol: name of the rule.
        request: what the rule needs.

    Raises:
        InputError: if the protocol is unknown, or cannot be had from this source.
    """
    if protocol not in PROTOCOLS:
        raise InputError(
            f"expected a protocol among {', '.join(PROTOCOLS)}, got {protocol!r}. Choose one of "
            "them."
        )
    return PROTOCOLS[protocol](table, source, request)


def _official(table: Annotations, source: str, request: Request) -> Split:
    members = {split: table.images_of(split) for split in table.splits}
    return Split("official", None, members, source)


def _by_hash(table: Annotations, source: str, request: Request) -> Split:
    shares = {"train": 0.8, "validation": 0.1, "test": 0.1}
    return hash_split(table.names.images, shares, seed=request.seed, source=source)


def _few_shot(table: Annotations, source: str, request: Request) -> Split:
    if request.shots is None:
        raise InputError("--protocol few-shot needs the images a class, got none. Add --shots 16.")
    items = _items(table, source, request)
    return few_shot_split(items, shots=request.shots, seed=request.seed, source=source)


def _base_to_new(table: Annotations, source: str, request: Request) -> Split:
    seed = None if request.shots is None else request.seed
    return base_to_new_split(
        _items(table, source, request), source=source, shots=request.shots, seed=seed
    )


def _zero_shot(table: Annotations, source: str, request: Request) -> Split:
    shown = _shown(table, _class_attribute(table, source, request))
    return zero_shot_split(
        list(shown), list(shown.values()), unseen=request.unseen, seed=request.seed,
        source=source,
    )  # fmt: skip


def _compositional(table: Annotations, source: str, request: Request) -> Split:
    value = _shown(table, _class_attribute(table, source, request))
    if request.object:
        other = _shown(table, request.object)
    else:
        other = {
            image: name for image, name in zip(table.images, table.objects, strict=True) if name
        }
    both = [image for image in value if image in other]
    if not both:
        raise InputError(
            f"expected images of {source} with a value of {request.attribute!r} and an "
            "object, got none. Name a second attribute with --object."
        )
    pairs = [(value[image], other[image]) for image in both]
    asked = PairRequest(unseen_test=request.unseen, unseen_validation=0, seen_validation=0.1)
    return compositional_split(both, pairs, asked, seed=request.seed, source=source)


PROTOCOLS: dict[str, Callable[[Annotations, str, Request], Split]] = {
    "official": _official,
    "by-hash": _by_hash,
    "few-shot": _few_shot,
    "base-to-new": _base_to_new,
    "zero-shot": _zero_shot,
    "compositional": _compositional,
}


def _class_attribute(table: Annotations, source: str, request: Request) -> str:
    name = request.attribute or about_source(source).class_attribute
    known = table.attributes
    if name not in known:
        raise InputError(
            f"expected an attribute of {source} whose values are the classes, got {name!r}. "
            f"Name one with --attribute: {', '.join(known)}."
        )
    return name


def _shown(table: Annotations, attribute: str) -> dict[str, str]:
    """The first value that each image shows, in the order of the table."""
    shown: dict[str, str] = {}
    for row in table.iterate():
        if row.attribute == attribute and row.label == 1:
            shown.setdefault(row.image, row.value)
    return shown


def _items(table: Annotations, source: str, request: Request) -> dict[str, Sequence[Item]]:
    """The images of each part with their class, numbered in order of first appearance in train."""
    shown = _shown(table, _class_attribute(table, source, request))
    parts = {
        part: [image for image in table.images_of(part) if image in shown] for part in table.splits
    }
    if "train" not in parts or "test" not in parts:
        raise InputError(
            f"expected the splits train and test in {source}, got {', '.join(parts)}. Use "
            "--protocol by-hash."
        )
    number: dict[str, int] = {}
    for image in [*parts["train"], *(each for part in parts.values() for each in part)]:
        number.setdefault(shown[image], len(number))
    return {
        part: [Item(image, number[shown[image]], shown[image]) for image in images]
        for part, images in parts.items()
    }
