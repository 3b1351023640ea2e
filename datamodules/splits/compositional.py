"""Compositional splits of own data: known values and known objects, in pairs that train never saw.

A pair is (value, object), such as ("red", "car"). An unseen pair is tested, or validated, and has
no region in train, though its value and its object both have some there, in other pairs.

Pairs become unseen in the order of a hash of seed and pair, one by one, as long as every other pair
keeps enough images for train and none is the last with its value or its object. Images are divided,
not regions: an image that shows an unseen test pair is tested as a whole, one that shows an unseen
validation pair is validated; regions whose pair has no business there are left out.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field

from datamodules.errors import InputError
from datamodules.splits.by_hash import in_hash_order, uniform
from datamodules.splits.pair_files import Pair
from datamodules.splits.split import Identifier, Split, check_disjoint, check_lengths, check_seed


@dataclass(frozen=True)
class PairRequest:
    """What a compositional split should hold.

    Attributes:
        unseen_test: number of pairs to test unseen, 1 or more.
        unseen_validation: number of further pairs to validate unseen.
        seen_test: share of the images without unseen pairs to test, from 0 to 1.
        seen_validation: share of them to validate, from 0 to 1.
        min_images: n, the fewest images of every pair in the part it is for: seen ones in train,
            unseen ones in theirs. Pairs that have fewer altogether take no part.

    Raises:
        InputError: if a number is out of its range.
    """

    unseen_test: int
    unseen_validation: int = 0
    seen_test: float = 0.1
    seen_validation: float = 0.0
    min_images: int = 1

    def __post_init__(self) -> None:
        for name, least in (("unseen_test", 1), ("unseen_validation", 0), ("min_images", 1)):
            if getattr(self, name) < least:
                raise InputError(
                    f"expected {name} of {least} or more, got {getattr(self, name)}. Raise it."
                )
        if min(self.seen_test, self.seen_validation) < 0 or not (
            self.seen_test + self.seen_validation < 1
        ):
            raise InputError(
                "expected shares of 0 or more with a sum below 1, got seen_test "
                f"{self.seen_test:g} and seen_validation {self.seen_validation:g}. Lower one."
            )


def compositional_split(
    identifiers: Sequence[Identifier],
    pairs: Sequence[Pair],
    request: PairRequest,
    *,
    seed: int,
    source: str,
    images: Sequence[Identifier] | None = None,
) -> Split:
    """Choose unseen pairs and divide the images; the order of the regions does not matter.

    Args:
        identifiers: one a region (or an image, where each shows one pair).
        pairs: the (value, object) of each region.
        request: how many pairs and images.
        seed: 0 or more.
        source: name of the data set.
        images: the image of each region; None where each has its own.

    Returns:
        Protocol "compositional", parts "train", "validation" and "test" in the order of
        `identifiers`; settings "seen", "unseen_validation" and "unseen_test" hold the pairs, and
        "left_out" how many regions are in no part.

    Raises:
        InputError: if so many unseen pairs cannot be had; the message says what stands in the way.
    """
    check_seed(seed)
    images = identifiers if images is None else images
    check_lengths("pairs as identifiers", pairs, identifiers)
    check_lengths("images as identifiers", images, identifiers)
    pool = _Pool.of(pairs, images, request.min_images)
    order = in_hash_order(pool.free, seed)
    unseen = {
        "test": pool.take(order, request.unseen_test, "test"),
        "validation": pool.take(order, request.unseen_validation, "validation"),
    }
    part_of_image = _parts_of_images(pool, images, request, seed)
    members: dict[str, list[Identifier]] = {"train": [], "validation": [], "test": []}
    allowed = {part: {*pool.free, *unseen.get(part, ())} for part in members}
    for identifier, pair, image in zip(identifiers, pairs, images, strict=True):
        if pair in allowed[part_of_image[image]]:
            members[part_of_image[image]].append(identifier)
    check_disjoint(members, of=dict(zip(identifiers, images, strict=True)))
    settings = {
        "request": asdict(request),
        "seen": sorted(pool.free),
        "unseen_validation": sorted(unseen["validation"]),
        "unseen_test": sorted(unseen["test"]),
        "left_out": len(identifiers) - sum(map(len, members.values())),
    }
    chosen = {part: tuple(each) for part, each in members.items()}
    return Split("compositional", seed, chosen, source, settings)


@dataclass
class _Pool:
    """The pairs that are still seen, and where the images of the others went.

    Attributes:
        free: the images of each seen pair that show no unseen one.
        shown: the pairs of each image.
        min_images: the fewest free images a seen pair keeps.
        part_of_image: the part of each image that shows an unseen pair.
    """

    free: dict[Pair, set[Identifier]]
    shown: dict[Identifier, set[Pair]]
    min_images: int
    part_of_image: dict[Identifier, str] = field(default_factory=dict)

    @classmethod
    def of(cls, pairs: Sequence[Pair], images: Sequence[Identifier], min_images: int) -> _Pool:
        free: dict[Pair, set[Identifier]] = {}
        for pair, image in zip(pairs, images, strict=True):
            free.setdefault(pair, set()).add(image)
        free = {pair: found for pair, found in free.items() if len(found) >= min_images}
        shown: dict[Identifier, set[Pair]] = {}
        for pair, found in free.items():
            for image in found:
                shown.setdefault(image, set()).add(pair)
        return cls(free, shown, min_images)

    def take(self, order: Sequence[Pair], number: int, part: str) -> list[Pair]:
        """Make `number` seen pairs unseen, and their free images those of `part`."""
        count = [Counter(pair[index] for pair in self.free) for index in (0, 1)]
        taken: list[Pair] = []
        reasons: Counter[str] = Counter()
        for pair in order:
            if len(taken) == number:
                break
            if pair not in self.free:
                continue
            if reason := self._reason_to_keep(pair, count):
                reasons[reason] += 1
                continue
            self._remove(pair, part)
            count[0][pair[0]] -= 1
            count[1][pair[1]] -= 1
            taken.append(pair)
        if len(taken) < number:
            why = ", ".join(f"{reason} {times}" for reason, times in sorted(reasons.items()))
            fewer = f"Ask for {len(taken)} or fewer, try" if taken else "Try"
            raise InputError(
                f"expected {number} unseen pairs for {part}, got {len(taken)}. The other "
                f"{len(self.free)} stay in train ({why or 'there are none'}). {fewer} another "
                "seed, or annotate more pairs."
            )
        return taken

    def _reason_to_keep(self, pair: Pair, count: Sequence[Counter[str]]) -> str:
        for index, kind in enumerate(("value", "object")):
            if count[index][pair[index]] < 2:
                return f"last with their {kind}"
        images = self.free[pair]
        for other in {each for image in images for each in self.shown[image]} - {pair}:
            if other in self.free and len(self.free[other] - images) < self.min_images:
                return "on images that another pair needs"
        return ""

    def _remove(self, pair: Pair, part: str) -> None:
        for image in self.free.pop(pair):
            self.part_of_image[image] = part
            for other in self.shown[image] & self.free.keys():
                self.free[other].discard(image)


def _parts_of_images(
    pool: _Pool, images: Sequence[Identifier], request: PairRequest, seed: int
) -> dict[Identifier, str]:
    """The part of every image: by its unseen pair, else by hash, `min_images` a pair for train."""
    place = {image: uniform(image, seed) for image in images}
    # Small hashes are tested, so the images kept for train are those with the largest.
    kept = {
        image
        for found in pool.free.values()
        for image in sorted(found, key=lambda each: (-place[each], repr(each)))[: pool.min_images]
    }
    edges = request.seen_test, request.seen_test + request.seen_validation
    parts: dict[Identifier, str] = {}
    for image, number in place.items():
        if image in pool.part_of_image:
            parts[image] = pool.part_of_image[image]
        elif image in kept or number >= edges[1]:
            parts[image] = "train"
        else:
            parts[image] = "test" if number < edges[0] else "validation"
    return parts
