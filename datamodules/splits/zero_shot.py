"""Zero-shot splits of own data: some classes have no training images, and are tested all the same.

    test_unseen   all images of the unseen classes
    test_seen     a share of each other class
    validation    the remaining images of the validation classes, which train never sees either
    train         the rest

The classic score is accuracy on test_unseen among unseen classes; the generalised one (Xian et al.,
TPAMI 2019) the harmonic mean of the accuracies by class on test_seen and test_unseen, all classes
competing. Validation by classes imitates it without a look at the test.
"""

from __future__ import annotations

from collections.abc import Sequence

from datamodules.errors import InputError
from datamodules.splits.by_hash import in_hash_order
from datamodules.splits.split import Identifier, Split, check_lengths, check_seed, positions_by


def zero_shot_split(
    identifiers: Sequence[Identifier],
    classes: Sequence[str],
    *,
    unseen: int,
    validation: int = 0,
    test_seen: float = 0.2,
    seed: int,
    source: str,
) -> Split:
    """Choose unseen classes and divide the images; the order of the images does not matter.

    Args:
        identifiers: one an image.
        classes: the class of each image.
        unseen: number of unseen classes, 1 or more.
        validation: number of validation classes.
        test_seen: share of each seen class that is tested, between 0 and 1, rounded to whole
            images, at least one.
        seed: 0 or more.
        source: name of the data set.

    Returns:
        Protocol "zero-shot"; members keep the order of `identifiers`; settings "seen", "unseen"
        and "validation" hold class names (validation's are among the seen).

    Raises:
        InputError: if too few classes are left to train on, or a seen class has a single image.
    """
    check_seed(seed)
    check_lengths("classes as identifiers", classes, identifiers)
    names = in_hash_order(classes, seed)
    if unseen < 1 or validation < 0 or len(names) - unseen - validation < 1:
        raise InputError(
            f"expected 1 unseen class or more, 0 validation classes or more and a class left to "
            f"train on, got {unseen} and {validation} of {len(names)}. Ask for fewer."
        )
    if not 0 < test_seen < 1:
        raise InputError(
            f"expected a share between 0 and 1 for test_seen, got {test_seen:g}. Choose another."
        )
    part_of_class = dict.fromkeys(names, "train")
    part_of_class.update(dict.fromkeys(names[:unseen], "test_unseen"))
    part_of_class.update(dict.fromkeys(names[unseen : unseen + validation], "validation"))
    tested = _tested(identifiers, classes, set(names[unseen:]), share=test_seen, seed=seed)
    members: dict[str, list[Identifier]] = {
        part: [] for part in ("train", "validation", "test_seen", "test_unseen")
    }
    for position, (identifier, name) in enumerate(zip(identifiers, classes, strict=True)):
        part = "test_seen" if position in tested else part_of_class[name]
        members[part].append(identifier)
    settings = {
        "seen": sorted(names[unseen:]),
        "unseen": sorted(names[:unseen]),
        "validation": sorted(names[unseen : unseen + validation]),
        "test_seen": test_seen,
    }
    return Split(
        "zero-shot", seed, {part: tuple(each) for part, each in members.items()}, source, settings
    )


def _tested(
    identifiers: Sequence[Identifier],
    classes: Sequence[str],
    seen: set[str],
    *,
    share: float,
    seed: int,
) -> set[int]:
    """Positions of the images of seen classes that are tested."""
    tested: set[int] = set()
    for name, positions in positions_by(classes).items():
        if name not in seen:
            continue
        if len(positions) < 2:
            raise InputError(
                f"class {name!r} has 1 image; expected two or more of every seen class, one to "
                "train on and one to test. Add images of it, or leave the class out."
            )
        number = min(max(1, round(len(positions) * share)), len(positions) - 1)
        of = {identifiers[position]: position for position in positions}
        tested |= {of[each] for each in in_hash_order(of, seed)[:number]}
    return tested
