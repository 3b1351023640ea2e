"""CoOp's few-shot selection, its split files, its own parts and its base-to-new halves."""

import contextlib
import json
import random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.splits import (
    FewShot,
    Item,
    draw_shots,
    few_shot_split,
    read_split_zhou,
    write_split_zhou,
)

labels = st.lists(st.sampled_from("abc"), max_size=60)


@pytest.fixture(autouse=True)
def global_state_is_left_alone():
    random.seed(12345)
    before = random.getstate()
    yield
    assert random.getstate() == before


def naive(train, validation, shots, seed):
    """CoOp's rule, transcribed: the global generator, items not positions, train first."""
    state = random.getstate()
    random.seed(seed)
    chosen = []
    for part, count in ((train, shots), (validation, min(shots, 4))):
        groups, drawn = {}, []
        for item in enumerate(part):
            groups[item[1]] = [*groups.get(item[1], []), item]
        for items in groups.values():
            drawn += random.sample(items, count) if len(items) >= count else items
        chosen.append(tuple(position for position, _ in drawn))
    random.setstate(state)
    return tuple(chosen)


@settings(max_examples=60, deadline=None)
@given(labels, labels, st.integers(1, 16), st.integers(0, 2**40))
def test_the_selection_is_coops(train, validation, shots, seed):
    found = draw_shots(train, validation, shots=shots, seed=seed)
    assert found == naive(train, validation, shots, seed)
    for chosen, part, count in (
        (found.train, train, shots),
        (found.validation, validation, min(shots, 4)),
    ):
        assert len(set(chosen)) == len(chosen)
        for label in set(part):
            assert sum(part[each] == label for each in chosen) == min(part.count(label), count)


def test_the_numbers_of_seed_1_are_these_on_every_python():
    # Written down, so that a Python whose random.sample draws differently is noticed.
    train, validation = ["dog"] * 30 + ["cat"] * 3 + ["owl"] * 25, ["owl"] * 9 + ["dog"] * 9
    chosen = (4, 18, 27, 25, 30, 31, 32, 57, 35, 41, 36)
    assert draw_shots(train, validation, shots=4, seed=1) == FewShot(
        chosen, (7, 8, 3, 5, 15, 12, 9, 16)
    )
    assert draw_shots(train, shots=4, seed=1) == (chosen, ())


def test_a_class_with_too_few_items_gives_all_and_draws_nothing():
    with_rare = draw_shots([*"aaaa", "b", *"cccc"], shots=2, seed=0).train
    without = draw_shots("aaaacccc", shots=2, seed=0).train
    assert with_rare[2] == 4
    assert [each - (each > 4) for each in with_rare if each != 4] == list(without)


def test_validation_depends_on_what_train_drew_but_never_the_other_way():
    one = draw_shots("a" * 50, "a" * 50, shots=16, seed=1)
    assert len(one.validation) == 4
    assert draw_shots("a" * 50, "a" * 60, shots=16, seed=1).train == one.train
    assert draw_shots("ab" * 25, "a" * 50, shots=16, seed=1).validation != one.validation
    assert draw_shots("a" * 50, "a" * 50, shots=2, seed=1).validation != one.validation[:2]


@pytest.mark.parametrize("shots", [0, 17, -1, 1.5])
def test_shots_out_of_range_are_refused(shots):
    with pytest.raises(InputError) as error:
        draw_shots("ab", shots=shots, seed=1)
    assert str(error.value) == (
        f"expected shots from 1 to 16, got {shots}. Choose a number among them; CoOp reports 1, 2, "
        "4, 8 and 16."
    )


def test_a_seed_below_zero_is_refused_since_python_takes_its_absolute_value():
    assert random.Random(-1).random() == random.Random(1).random()
    with pytest.raises(
        InputError, match=r"expected a seed of 0 or more, got -1\. Choose another\."
    ):
        draw_shots("ab", shots=1, seed=-1)


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


def test_a_few_shot_split_names_the_images_drawn_and_all_of_test():
    items = some_items()
    split = few_shot_split(items, shots=2, seed=3, source="pets")
    train, validation = (
        naive([each.label for each in items["train"]], [each.label for each in items["validation"]],
              2, 3)
    )  # fmt: skip
    assert split.members == {
        "train": tuple(items["train"][each].image for each in train),
        "validation": tuple(items["validation"][each].image for each in validation),
        "test": tuple(each.image for each in items["test"]),
    }
    assert (split.protocol, split.seed, split.source) == ("few-shot", 3, "pets")
    assert split.settings == {"shots": 2, "validation_shots": 2}
    assert split.hash != few_shot_split(items, shots=2, seed=4, source="pets").hash


def test_a_split_file_is_written_as_coop_reads_it_and_read_back(tmp_path):
    items = some_items()
    write_split_zhou(tmp_path / "s.json", items)
    assert read_split_zhou(tmp_path / "s.json") == items
    raw = json.loads((tmp_path / "s.json").read_text())
    assert list(raw["val"][0]) == ["1/validation_0.jpg", 1, "class 1"]
    assert {key: len(part) for key, part in raw.items()} == {"train": 30, "val": 15, "test": 20}


def refusal(path, content):
    path.write_text(json.dumps(content))
    with pytest.raises(InputError) as error:
        read_split_zhou(path)
    return str(error.value)


NO_ENTRY = "expected [image, label from 0, class name], got {!r}. Correct the entry."
OUTSIDE = "expected an image below the image folder, got {!r}. Correct the entry."


@pytest.mark.parametrize(
    ("entry", "message"),
    [
        (["b.jpg", "1", "b"], NO_ENTRY),
        (["b.jpg", True, "b"], NO_ENTRY),
        (["b.jpg", -1, "b"], NO_ENTRY),
        (["b.jpg", 1], NO_ENTRY),
        ("b.jpg", NO_ENTRY),
        (["../b.jpg", 1, "b"], OUTSIDE),
        (["/b.jpg", 1, "b"], OUTSIDE),
        (["C:\\b.jpg", 1, "b"], OUTSIDE),
        (["", 1, "b"], OUTSIDE),
        (
            ["b.jpg", 0, "b"],
            "label 0 is 'b' here and 'a' before; expected one name for each label. Correct one.",
        ),
    ],
)
def test_a_broken_entry_is_named_with_file_part_and_number(tmp_path, entry, message):
    path = tmp_path / "s.json"
    content = {"train": [["a.jpg", 0, "a"]], "val": [["c.jpg", 0, "a"], entry], "test": []}
    message = message.format(entry[0] if message is OUTSIDE else entry)
    assert refusal(path, content) == f"{path}, val, entry 2: {message}"


def test_a_file_of_another_kind_and_an_image_in_two_parts_are_refused(tmp_path):
    path = tmp_path / "s.json"
    advice = "Take the split_zhou file that CoOp publishes for this data set."
    wanted = f"expected lists named train, val, test in {path}"
    assert refusal(path, {"train": [], "test": []}) == f"{wanted}, got train, test. {advice}"
    assert refusal(path, []) == f"{wanted}, got list. {advice}"
    one = [["a.jpg", 0, "a"]]
    assert refusal(path, {"train": one, "val": [], "test": one}).startswith(
        f"{path}: image 'a.jpg' is in 'train' and 'test'; expected every image in one part"
    )


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(max_size=3),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=3), inner),
    max_leaves=6,
)


@settings(max_examples=60, deadline=None)
@given(key=st.sampled_from(["train", "val", "test"]), junk=JSON, inside=st.booleans())
def test_a_mutated_split_file_ends_in_an_input_error_or_in_items(
    tmp_path_factory, key, junk, inside
):
    content = {"train": [["a.jpg", 0, "a"]], "val": [], "test": []}
    content[key] = [*content[key], junk] if inside else junk
    path = tmp_path_factory.mktemp("zhou") / "s.json"
    path.write_text(json.dumps(content))
    with contextlib.suppress(InputError):
        items = read_split_zhou(path)
        assert all(isinstance(item, Item) for part in items.values() for item in part)
