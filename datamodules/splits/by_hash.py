"""Splits by a hash of each image's identifier: what an image is in never depends on the others.

    u(x) = SHA-256(JSON of [seed, x]), its first 53 bits, as a number in [0, 1)

Image x is in the part whose stretch of [0, 1) holds u(x); stretches lie in the order of the shares.
So images may be added, removed or reordered and no other image moves, on any machine. The price: a
part's size is a draw around its share, with standard deviation sqrt(N share (1 - share)).
"""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterable, Mapping, Sequence
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray

from datamodules.annotations import Annotations
from datamodules.errors import InputError
from datamodules.splits.split import Identifier, Split, check_lengths, check_seed

Key = TypeVar("Key", bound=str | int | tuple[str, str])


def uniform(identifier: Identifier | tuple[str, str], seed: int) -> float:
    """A number in [0, 1) that depends on the identifier and the seed alone.

    Example:
        >>> round(uniform("a.jpg", 0), 6)
        0.243476
    """
    digest = hashlib.sha256(json.dumps([seed, identifier]).encode()).digest()
    return (int.from_bytes(digest[:7], "big") >> 3) / (1 << 53)


def in_hash_order(identifiers: Iterable[Key], seed: int) -> list[Key]:
    """The distinct identifiers in an order that depends on them and the seed, not on their own."""
    return sorted(set(identifiers), key=lambda each: (uniform(each, seed), repr(each)))


def limited(
    annotations: Annotations, wanted_N: NDArray[np.bool_], max_images: int
) -> NDArray[np.int64]:
    """A part of every split, chosen by the hash of the images' names: the same on any machine.

    Args:
        annotations: N items.
        wanted_N: which items an image is worth taking for.
        max_images: most images of each split.

    Returns:
        Numbers of the items on the chosen images, ascending; those that are not wanted too.
    """
    image_N, names = annotations.items.image, annotations.names.images
    kept = np.zeros(len(names), np.bool_)
    for split in annotations.splits:
        members = annotations.members(split)
        codes = {names[code]: code for code in set(image_N[members[wanted_N[members]]].tolist())}
        kept[[codes[name] for name in in_hash_order(codes, 0)[:max_images]]] = True
    codes_S = [annotations.names.splits.index(split) for split in annotations.splits]
    in_a_split = np.isin(annotations.items.split, codes_S)
    return np.flatnonzero(kept[image_N] & in_a_split)


def hash_split(
    identifiers: Sequence[Identifier],
    shares: Mapping[str, float],
    *,
    seed: int,
    source: str,
    groups: Sequence[Identifier] | None = None,
) -> Split:
    """Share images out by hash.

    Args:
        identifiers: one an image.
        shares: the expected share of each part, from 0 to 1, together 1; the order counts. Changing
            the shares moves images; growing the first part never takes one out of it.
        seed: 0 or more; another seed gives an unrelated split.
        source: name of the data set.
        groups: what each image belongs to, such as a person or a product; all images of a group
            then land in one part, and it is the group's name that is hashed. None: no groups.

    Returns:
        Protocol "by-hash"; the members keep the order of `identifiers`.

    Raises:
        InputError: if shares are not such, an identifier occurs twice or the groups do not fit.
    """
    check_seed(seed)
    edges = _edges(shares)
    if groups is not None:
        check_lengths("groups as images", groups, identifiers)
    members: dict[str, list[Identifier]] = {part: [] for part in shares}
    for identifier, key in zip(identifiers, identifiers if groups is None else groups, strict=True):
        number = uniform(key, seed)
        part = next(part for part, edge in edges.items() if number < edge)
        members[part].append(identifier)
    return Split(
        "by-hash",
        seed,
        {part: tuple(chosen) for part, chosen in members.items()},
        source,
        {"shares": list(shares.items()), "grouped": groups is not None},
    )


def _edges(shares: Mapping[str, float]) -> dict[str, float]:
    """The upper end of each part's stretch; the last is 1 exactly."""
    if not all(0 <= share <= 1 for share in shares.values()) or not math.isclose(
        sum(shares.values()), 1, abs_tol=1e-9
    ):
        got = ", ".join(f"{part} {share:g}" for part, share in shares.items()) or "none"
        raise InputError(
            f"expected shares from 0 to 1 that add up to 1, got {got}. Change one of them."
        )
    parts = [part for part, share in shares.items() if share > 0]
    edges = {
        part: math.fsum(shares[each] for each in parts[: n + 1]) for n, part in enumerate(parts)
    }
    return {**edges, parts[-1]: 1.0}
