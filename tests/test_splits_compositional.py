"""Compositional splits: unseen pairs of seen primitives, no image in two parts, honest refusals."""

import contextlib
import random
from collections import Counter

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.splits import (
    PairRequest,
    check_primitives,
    compositional_split,
    read_pair_lists,
    read_pairs,
)


def grid(values, objects, images):
    """Every pair of values and objects, each with its own images."""
    pairs = [(value, object_) for value in values for object_ in objects for _ in range(images)]
    return [f"{number:04d}.jpg" for number in range(len(pairs))], pairs


def check(split, identifiers, pairs, images, request):
    """The promises, each counted anew from the members alone."""
    pair_of, image_of = dict(zip(identifiers, pairs)), dict(zip(identifiers, images))  # noqa: B905
    found = {part: {pair_of[each] for each in members} for part, members in split.members.items()}
    shown = {part: {image_of[each] for each in members} for part, members in split.members.items()}
    assert not shown["train"] & (shown["validation"] | shown["test"])
    assert not shown["validation"] & shown["test"]
    unseen = {
        part: {tuple(pair) for pair in split.settings[f"unseen_{part}"]}
        for part in ("validation", "test")
    }
    assert len(unseen["test"]) == request.unseen_test
    assert len(unseen["validation"]) == request.unseen_validation
    assert not unseen["test"] & unseen["validation"]
    assert {tuple(pair) for pair in split.settings["seen"]} == found["train"]
    for part, others in unseen.items():
        assert not others & found["train"]
        assert others <= found[part] <= others | found["train"]
    for index in (0, 1):
        assert {pair[index] for part in found.values() for pair in part} == {
            pair[index] for pair in found["train"]
        }
    for part, counted in (("train", found["train"]), *unseen.items()):
        images_of_pair = Counter(
            pair for pair, _ in {(pair_of[each], image_of[each]) for each in split.members[part]}
        )
        assert all(images_of_pair[pair] >= request.min_images for pair in counted)
    taken = sum(map(len, split.members.values()))
    assert split.settings["left_out"] == len(identifiers) - taken
    return found


@settings(max_examples=60, deadline=None)
@given(
    st.integers(2, 5), st.integers(2, 5), st.integers(1, 6), st.integers(1, 4), st.integers(0, 3),
    st.integers(0, 99),
)  # fmt: skip
def test_own_splits_keep_their_promises(values, objects, images, test, validation, seed):
    identifiers, pairs = grid("rgbcm"[:values], "tuvwx"[:objects], images)
    request = PairRequest(
        unseen_test=test, unseen_validation=validation, seen_test=0.3, seen_validation=0.2,
        min_images=min(images, 2),
    )  # fmt: skip
    # All can be had but those of a cover: a value and an object each keep a pair.
    possible = test + validation <= values * objects - (values + objects - 1)
    with contextlib.nullcontext() if possible else contextlib.suppress(InputError):
        split = compositional_split(identifiers, pairs, request, seed=seed, source="x")
        check(split, identifiers, pairs, identifiers, request)
        assert split.settings["left_out"] == 0
        order = random.Random(seed).sample(range(len(pairs)), len(pairs))
        again = compositional_split(
            [identifiers[at] for at in order], [pairs[at] for at in order], request, seed=seed,
            source="x",
        )  # fmt: skip
        assert {part: set(found) for part, found in again.members.items()} == {
            part: set(found) for part, found in split.members.items()
        }
        assert again.settings == split.settings


@settings(max_examples=60, deadline=None)
@given(
    st.lists(
        st.tuples(st.integers(0, 40), st.sampled_from("rgb"), st.sampled_from("uvwx")),
        min_size=60, max_size=150,
    ),
    st.integers(1, 2), st.integers(0, 1), st.integers(1, 2), st.integers(0, 9),
)  # fmt: skip
def test_images_of_several_regions_are_never_divided(rows, test, validation, least, seed):
    identifiers = list(range(len(rows)))
    images = [f"{image}.jpg" for image, _, _ in rows]
    pairs = [(value, object_) for _, value, object_ in rows]
    request = PairRequest(test, validation, seen_test=0.2, min_images=least)
    with contextlib.suppress(InputError):
        split = compositional_split(
            identifiers, pairs, request, seed=seed, source="x", images=images
        )
        check(split, identifiers, pairs, images, request)


def test_images_of_several_regions_can_be_had_at_all():
    rng = random.Random(0)
    pairs = [(rng.choice("rgb"), rng.choice("uvwx")) for _ in range(400)]
    images = [number // 2 for number in range(400)]
    request = PairRequest(2, 1, seen_test=0.2, min_images=3)
    split = compositional_split(range(400), pairs, request, seed=0, source="x", images=images)
    found = check(split, range(400), pairs, images, request)
    assert found["test"] > {tuple(pair) for pair in split.settings["unseen_test"]}
    # Validation pairs in images that are tested are nobody's.
    assert split.settings["left_out"] > 0


def test_seen_images_are_shared_out_as_asked():
    identifiers, pairs = grid("rgb", "uvwx", 400)
    request = PairRequest(2, 1, seen_test=0.3, seen_validation=0.1)
    split = compositional_split(identifiers, pairs, request, seed=0, source="x")
    seen = {tuple(pair) for pair in split.settings["seen"]}
    count = Counter(
        part
        for part, members in split.members.items()
        for each in members
        if pairs[identifiers.index(each)] in seen
    )
    assert sum(count.values()) == 9 * 400
    assert abs(count["test"] / 3600 - 0.3) < 0.03
    assert abs(count["validation"] / 3600 - 0.1) < 0.02
    other = compositional_split(identifiers, pairs, request, seed=1, source="x")
    assert other.settings["unseen_test"] != split.settings["unseen_test"]


def test_images_kept_for_train_are_not_taken_from_those_to_test():
    # Small pairs: were any image kept, the share tested would fall from 0.3 to 0.11.
    identifiers, pairs = grid(range(15), range(15), 4)
    request = PairRequest(1, seen_test=0.3)
    split = compositional_split(identifiers, pairs, request, seed=0, source="x")
    assert abs((len(split.members["test"]) - 4) / 896 - 0.298) < 0.06


def test_rare_pairs_take_no_part():
    identifiers, pairs = grid("rgb", "uv", 5)
    identifiers, pairs = [*identifiers, "rare.jpg"], [*pairs, ("rusty", "u")]
    request = PairRequest(1, min_images=2)
    split = compositional_split(identifiers, pairs, request, seed=0, source="x")
    check(split, identifiers, pairs, identifiers, request)
    assert split.settings["left_out"] == 1
    assert not any("rare.jpg" in members for members in split.members.values())


def refusal(function, *arguments, **named):
    with pytest.raises(InputError) as error:
        function(*arguments, **named)
    return str(error.value)


def test_an_impossible_request_says_why_and_what_is_possible():
    identifiers, pairs = grid("rg", "uv", 1)

    def message(request, identifiers=identifiers, pairs=pairs, **named):
        return refusal(
            compositional_split, identifiers, pairs, request, seed=0, source="x", **named
        )

    # Of a square of four pairs any two opposite ones can go.
    assert message(PairRequest(3)) == (
        "expected 3 unseen pairs for test, got 2. The other 2 stay in train (last with their value "
        "2). Ask for 2 or fewer, try another seed, or annotate more pairs."
    )
    # Only red comes with two objects, and only one of its pairs shares that object.
    star = [("r", "u"), ("r", "v"), ("g", "u"), ("b", "u")]
    assert message(PairRequest(2), pairs=star) == (
        "expected 2 unseen pairs for test, got 1. The other 3 stay in train (last with their "
        "object 1, last with their value 2). Ask for 1 or fewer, try another seed, or annotate "
        "more pairs."
    )
    compositional_split(identifiers, pairs, PairRequest(2), seed=0, source="x")
    rest = "Try another seed, or annotate more pairs."
    wanted = "expected 1 unseen pairs for test, got 0. The other"
    assert message(PairRequest(1), pairs=[("r", "u")] * 4) == (
        f"{wanted} 1 stay in train (last with their value 1). {rest}"
    )
    assert message(PairRequest(1), images=["same.jpg"] * 4) == (
        f"{wanted} 4 stay in train (on images that another pair needs 4). {rest}"
    )
    assert message(PairRequest(1, min_images=2)) == (
        f"{wanted} 0 stay in train (there are none). {rest}"
    )
    assert message(PairRequest(1), images=["a.jpg"]) == (
        "expected as many images as identifiers, got 1 and 4. Give one for each, in the same order."
    )


def test_numbers_out_of_range_are_refused():
    assert refusal(PairRequest, 0) == "expected unseen_test of 1 or more, got 0. Raise it."
    assert (
        refusal(PairRequest, 1, -1) == "expected unseen_validation of 0 or more, got -1. Raise it."
    )
    assert refusal(PairRequest, 1, min_images=0) == (
        "expected min_images of 1 or more, got 0. Raise it."
    )
    wanted = "expected shares of 0 or more with a sum below 1, got seen_test"
    assert refusal(PairRequest, 1, seen_test=0.5, seen_validation=0.5) == (
        f"{wanted} 0.5 and seen_validation 0.5. Lower one."
    )
    assert refusal(PairRequest, 1, seen_test=-0.1).startswith(f"{wanted} -0.1 and")


def folder_of(tmp_path, train, val, test):
    for part, text in (("train", train), ("val", val), ("test", test)):
        (tmp_path / f"{part}_pairs.txt").write_text(text)
    return tmp_path


def test_published_lists_are_read_and_unseen_pairs_found(tmp_path):
    folder = folder_of(
        tmp_path,
        "red car\nblue Shoes.Loafers\r\nred dog\n",
        "blue car\nred car\n\n",
        "\ufeffblue dog\nred dog\n",
    )
    lists = read_pair_lists(folder)
    assert lists.train == (("red", "car"), ("blue", "Shoes.Loafers"), ("red", "dog"))
    assert lists.validation == (("blue", "car"), ("red", "car"))
    assert (lists.unseen_validation, lists.unseen_test) == ((("blue", "car"),), (("blue", "dog"),))
    assert len(lists.all) == 5
    assert lists.all[0] == ("blue", "Shoes.Loafers")


def test_lists_that_leak_or_ask_for_the_unknown_are_refused(tmp_path):
    folder = folder_of(tmp_path, "red car\nblue dog\n", "blue car\n", "red dog\nblue car\n")
    assert refusal(read_pair_lists, folder) == (
        f"{folder}: the pair 'blue car' is unseen in validation and in test; expected every unseen "
        "pair in one of them, else what is tested selects. Remove it from one."
    )
    folder = folder_of(tmp_path, "red car\n", "blue car\n", "red car\n")
    assert refusal(read_pair_lists, folder) == (
        f"{folder}: expected every value in a train pair, 1 are in none: blue. Move a pair of each "
        "to train, or remove its pairs."
    )
    (folder / "val_pairs.txt").unlink()
    assert refusal(read_pair_lists, folder) == (
        f"expected a list of pairs at {folder / 'val_pairs.txt'}, found no such file. It has a "
        "value and an object a line."
    )


def test_missing_primitives_are_counted_and_five_are_named():
    others = [("red", f"object{number}") for number in range(7)]
    assert refusal(check_primitives, [("red", "car")], others) == (
        "expected every object in a train pair, 7 are in none: object0, object1, object2, object3, "
        "object4 and 2 more. Move a pair of each to train, or remove its pairs."
    )
    check_primitives([("red", "car"), ("blue", "dog")], [("blue", "car")])


@pytest.mark.parametrize(
    ("text", "message"),
    [
        (
            "red car\nblue\n",
            "PATH, line 2: expected a value and an object, got 'blue'. Correct the line; words "
            "inside a name are joined by '_'.",
        ),
        (
            "red sports car\n",
            "PATH, line 1: expected a value and an object, got 'red sports car'. Correct the line; "
            "words inside a name are joined by '_'.",
        ),
        (
            "red car\n\nblue car\nred  car\n",
            "PATH, line 4: expected every pair once, got 'red car' again (line 1). Remove one of "
            "them.",
        ),
        ("\n \n", "expected pairs in PATH, got none. Add a value and an object a line."),
    ],
)
def test_a_broken_line_is_named(tmp_path, text, message):
    path = tmp_path / "pairs.txt"
    path.write_text(text)
    assert refusal(read_pairs, path) == message.replace("PATH", str(path))


def test_a_list_that_is_not_utf8_or_no_file_is_refused(tmp_path):
    path = tmp_path / "pairs.txt"
    path.write_bytes(b"caf\xe9 table\n")
    assert refusal(read_pairs, path).startswith(f"expected UTF-8 text in {path}, got ")
    assert refusal(read_pairs, tmp_path) == f"could not read {tmp_path}: Is a directory."


@settings(max_examples=80, deadline=None)
@given(st.binary(max_size=60) | st.text("ab \n\r\t", max_size=40).map(str.encode))
def test_any_bytes_end_in_an_input_error_or_in_distinct_pairs(tmp_path_factory, data):
    path = tmp_path_factory.mktemp("pairs") / "pairs.txt"
    path.write_bytes(data)
    with contextlib.suppress(InputError):
        pairs = read_pairs(path)
        assert len(set(pairs)) == len(pairs) > 0
