"""Zero-shot splits of own data: unseen classes, complete parts, no dependence on order."""

import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.splits import zero_shot_split


def refusal(function, *arguments, **named):
    with pytest.raises(InputError) as error:
        function(*arguments, **named)
    return str(error.value)


@st.composite
def worlds(draw):
    """Classes of two images or more, and a request they can meet."""
    sizes = draw(st.lists(st.integers(2, 9), min_size=2, max_size=7))
    unseen = draw(st.integers(1, len(sizes) - 1))
    validation = draw(st.integers(0, len(sizes) - 1 - unseen))
    classes = [f"class {number}" for number, size in enumerate(sizes) for _ in range(size)]
    return draw(st.permutations(list(enumerate(classes)))), unseen, validation


@settings(max_examples=50, deadline=None)
@given(worlds(), st.floats(0.01, 0.99), st.integers(0, 99))
def test_own_splits_are_complete_and_divide_classes_as_asked(world, share, seed):
    rows, unseen, validation = world
    class_of = dict(rows)
    request = {"unseen": unseen, "validation": validation, "test_seen": share}
    split = zero_shot_split(*zip(*rows, strict=True), **request, seed=seed, source="x")
    parts = {part: {class_of[each] for each in found} for part, found in split.members.items()}
    assert sorted(sum(split.members.values(), ())) == sorted(class_of)
    assert len(parts["test_unseen"]) == unseen
    assert len(parts["validation"]) == validation
    assert not parts["test_unseen"] & (parts["train"] | parts["validation"] | parts["test_seen"])
    assert not parts["train"] & parts["validation"]
    assert parts["test_seen"] == parts["train"] | parts["validation"]
    for name in parts["test_seen"]:
        size = list(class_of.values()).count(name)
        tested = sum(class_of[each] == name for each in split.members["test_seen"])
        assert tested == min(max(1, round(size * share)), size - 1)
    assert split.settings == {
        "seen": sorted(parts["test_seen"]),
        "unseen": sorted(parts["test_unseen"]),
        "validation": sorted(parts["validation"]),
        "test_seen": share,
    }
    rows = random.Random(seed).sample(rows, len(rows))
    again = zero_shot_split(*zip(*rows, strict=True), **request, seed=seed, source="x")
    assert {part: set(each) for part, each in again.members.items()} == {
        part: set(each) for part, each in split.members.items()
    }


def test_a_class_of_two_images_gives_one_to_train_and_one_to_test_whatever_the_share():
    for share in (0.01, 0.99):
        split = zero_shot_split(range(4), "aabb", unseen=1, test_seen=share, seed=0, source="x")
        assert {part: len(found) for part, found in split.members.items()} == {
            "train": 1,
            "validation": 0,
            "test_seen": 1,
            "test_unseen": 2,
        }


def test_seeds_choose_other_classes():
    classes = [f"class {number // 3}" for number in range(60)]
    chosen = {
        tuple(
            zero_shot_split(range(60), classes, unseen=5, seed=seed, source="x").settings["unseen"]
        )
        for seed in range(10)
    }
    assert len(chosen) == 10


def test_requests_that_cannot_be_met_say_why():
    def message(classes=("a", "a", "b", "b"), **changes):
        arguments = {"unseen": 1, "seed": 0, "source": "x", **changes}
        return refusal(zero_shot_split, range(len(classes)), classes, **arguments)

    wanted = (
        "expected 1 unseen class or more, 0 validation classes or more and a class left to train "
        "on, got {} and {} of 2. Ask for fewer."
    )
    assert message(unseen=2) == wanted.format(2, 0)
    assert message(unseen=0) == wanted.format(0, 0)
    assert message(validation=1) == wanted.format(1, 1)
    assert message(validation=-1) == wanted.format(1, -1)
    assert message(test_seen=1.0) == (
        "expected a share between 0 and 1 for test_seen, got 1. Choose another."
    )
    unseen = zero_shot_split(range(4), "aabb", unseen=1, seed=0, source="x").settings["unseen"]
    (seen,) = {"a", "b"} - set(unseen)
    assert message([*unseen, *unseen, seen]) == (
        f"class '{seen}' has 1 image; expected two or more of every seen class, one to train on "
        "and one to test. Add images of it, or leave the class out."
    )
