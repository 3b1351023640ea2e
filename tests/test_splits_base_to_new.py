"""CoOp's own parts of data sets that come without, and its base-to-new halves."""

import math
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.splits import (
    Item,
    base_and_new,
    base_to_new_split,
    few_shot_split,
    hold_out,
    relabel,
    three_parts,
)


def some_items(num_classes=5, train=6, validation=3, test=4):
    """Items of classes whose file order is not that of their labels."""
    order = [(3 * number + 1) % num_classes for number in range(num_classes)]
    return {
        part: tuple(
            Item(f"{label}/{part}_{number}.jpg", label, f"class {label}")
            for label in order
            for number in range(count)
        )
        for part, count in (("train", train), ("validation", validation), ("test", test))
    }


def naive_shuffled(labels, seed):
    state = random.getstate()
    random.seed(seed)
    groups = {label: [i for i, each in enumerate(labels) if each == label] for label in labels}
    for group in groups.values():
        random.shuffle(group)
    random.setstate(state)
    return groups


@settings(max_examples=40, deadline=None)
@given(st.permutations("a" * 5 + "b" * 11 + "c" * 7), st.integers(0, 99))
def test_own_parts_are_cut_from_each_shuffled_class(labels, seed):
    groups = naive_shuffled(labels, seed)
    parts = three_parts(labels, seed=seed)
    # round() takes halves to the even number: 2.5 -> 2, 5.5 -> 6, 3.5 -> 4; then 1, 2, 1.
    cut = {"a": (2, 3), "b": (6, 8), "c": (4, 5)}
    assert parts == {
        "train": tuple(x for label, group in groups.items() for x in group[: cut[label][0]]),
        "validation": tuple(
            x for label, group in groups.items() for x in group[cut[label][0] : cut[label][1]]
        ),
        "test": tuple(x for label, group in groups.items() for x in group[cut[label][1] :]),
    }
    held = hold_out(labels, seed=seed)
    count = {"a": 1, "b": 2, "c": 1}
    assert held == {
        "train": tuple(x for label, group in groups.items() for x in group[count[label] :]),
        "validation": tuple(x for label, group in groups.items() for x in group[: count[label]]),
    }
    assert sorted(sum(parts.values(), ())) == sorted(sum(held.values(), ())) == list(range(23))


def test_a_class_too_small_for_all_parts_is_refused():
    rest = "Add images of it, leave the class out, or change the shares."
    with pytest.raises(InputError) as error:
        hold_out("aaaabb", seed=0)
    assert str(error.value) == (f"class 'b' has 2 images, too few for one in validation. {rest}")
    with pytest.raises(InputError) as error:
        three_parts("a", seed=0)
    assert str(error.value) == f"class 'a' has 1 images, too few for one in train. {rest}"


@settings(max_examples=40, deadline=None)
@given(st.lists(st.integers(0, 20), min_size=2).filter(lambda each: len(set(each)) > 1))
def test_the_first_half_of_the_labels_rounded_up_is_base(labels):
    base, new = base_and_new(labels)
    assert (*base, *new) == tuple(sorted(set(labels)))
    assert len(base) == math.ceil(len(set(labels)) / 2)
    for half in (base, new):
        kept = relabel(labels, half)
        assert [half[label] for label in kept.labels] == [labels[at] for at in kept.positions]
        assert sorted(set(kept.labels)) == list(range(len(half)))
    positions = [*relabel(labels, base).positions, *relabel(labels, new).positions]
    assert sorted(positions) == list(range(len(labels)))


def test_one_class_has_no_halves():
    with pytest.raises(InputError) as error:
        base_and_new([3, 3])
    assert str(error.value) == (
        "expected two classes or more to divide into base and new, got 1. Add classes."
    )


def test_base_to_new_keeps_the_few_shot_images_of_base_classes_and_tests_both_halves():
    items = some_items()
    split = base_to_new_split(items, source="pets", shots=2, seed=1)
    shots = few_shot_split(items, shots=2, seed=1, source="pets").members
    is_base = {image: int(image[0]) < 3 for part in items.values() for image, *_ in part}
    assert split.members["train"] == tuple(each for each in shots["train"] if is_base[each])
    assert len(split.members["train"]) == 6
    assert split.members["validation"] == tuple(
        each for each in shots["validation"] if is_base[each]
    )
    for part, wanted in (("test_base", True), ("test_new", False)):
        assert split.members[part] == tuple(
            item.image for item in items["test"] if is_base[item.image] == wanted
        )
    assert split.settings["base"] == ["class 0", "class 1", "class 2"]
    assert split.settings["new"] == ["class 3", "class 4"]
    everything = base_to_new_split(items, source="pets")
    assert (everything.seed, len(everything.members["train"])) == (None, 18)


def test_base_to_new_refuses_half_a_request_and_a_class_that_nothing_trains():
    items = some_items()
    with pytest.raises(InputError) as error:
        base_to_new_split(items, source="pets", shots=2)
    assert str(error.value) == (
        "expected shots and seed together, got shots 2 and seed None. Give both, or neither to "
        "keep all images."
    )
    items["test"] += (Item("z.jpg", 9, "zebra"),)
    with pytest.raises(InputError) as error:
        base_to_new_split(items, source="pets")
    assert str(error.value) == (
        "expected train images of every class, got none of 'zebra' (label 9), the class of "
        "'z.jpg'. Add some, or remove it."
    )
