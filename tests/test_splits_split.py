"""A split is a record with a hash, whole or refused; its parts never share an image."""

import doctest
import importlib
import json
import re

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.files import sha256_json
from datamodules.splits import Split, check_disjoint

SPLIT = Split(
    "by-hash", 3, {"train": ("ä.jpg", 7), "test": ("7",)}, "folder", {"shares": [["train", 0.5]]}
)
identifiers = st.text(st.characters(exclude_categories=["Cs"]), max_size=5) | st.integers()


@settings(max_examples=30, deadline=None)
@given(
    members=st.dictionaries(st.text("abc", max_size=3), st.sets(identifiers, max_size=5)),
    seed=st.none() | st.integers(0),
)
def test_a_saved_split_is_the_loaded_one(tmp_path_factory, members, seed):
    taken = set()
    parts = {}
    for part, found in members.items():
        parts[part] = tuple(found - taken)
        taken |= found
    split = Split("few-shot", seed, parts, "cub", {"nested": {"pair": ("red", "car")}})
    path = tmp_path_factory.mktemp("split") / "split.json"
    split.save(path)
    loaded = Split.load(path)
    assert loaded == split
    assert loaded.hash == split.hash


def test_the_file_is_canonical_json_that_a_person_can_read(tmp_path):
    SPLIT.save(tmp_path / "a/split.json")
    assert json.loads((tmp_path / "a/split.json").read_text()) == {
        "schema": "aspectra.split/1",
        "hash": SPLIT.hash,
        "protocol": "by-hash",
        "seed": 3,
        "members": {"train": ["ä.jpg", 7], "test": ["7"]},
        "source": "folder",
        "settings": {"shares": [["train", 0.5]]},
    }


def test_the_hash_is_of_all_the_fields_and_of_nothing_else():
    fields = {
        "protocol": "by-hash",
        "seed": 3,
        "members": {"train": ["ä.jpg", 7], "test": ["7"]},
        "source": "folder",
        "settings": {"shares": [["train", 0.5]]},
    }
    assert SPLIT.hash == sha256_json(fields)
    others = [
        Split(**{**fields, "protocol": "other"}),
        Split(**{**fields, "seed": None}),
        Split(**{**fields, "members": {"train": [7, "ä.jpg"], "test": ["7"]}}),
        Split(**{**fields, "members": {"train": ["ä.jpg", "7"], "test": [7]}}),
        Split(**{**fields, "source": "cub"}),
        Split(**{**fields, "settings": {}}),
    ]
    assert len({SPLIT.hash, *(other.hash for other in others)}) == 7
    assert Split(**{**fields, "members": {"test": ["7"], "train": ["ä.jpg", 7]}}) == SPLIT


def refusal(path):
    with pytest.raises(InputError) as error:
        Split.load(path)
    return str(error.value)


def changed(path, **fields):
    SPLIT.save(path)
    raw = {**json.loads(path.read_text()), **fields}
    path.write_text(json.dumps({name: value for name, value in raw.items() if value != "gone"}))
    return refusal(path)


def test_a_file_that_is_no_split_of_this_version_is_refused(tmp_path):
    path = tmp_path / "s.json"
    again = "Make the split again with this version."
    wanted = f"expected a split with schema aspectra.split/1 in {path}"
    assert changed(path, schema="aspectra.split/0") == f"{wanted}, got 'aspectra.split/0'. {again}"
    path.write_text("[1]")
    assert refusal(path) == f"{wanted}, got none. {again}"
    path.write_text('{"schema": \n')
    assert refusal(path).startswith(f"expected JSON in {path}, line 2 is not")
    assert refusal(tmp_path / "no.json") == (
        f"expected a JSON file at {tmp_path / 'no.json'}, found none."
    )


def test_a_file_changed_by_hand_is_refused(tmp_path):
    path = tmp_path / "s.json"
    edited = Split("by-hash", 4, SPLIT.members, "folder", SPLIT.settings)
    rest = (
        "the file was changed after it was made. Make the split again, or write the changed one "
        "under its own protocol name with Split.save."
    )
    assert changed(path, seed=4) == (
        f"expected hash {edited.hash} in {path}, got '{SPLIT.hash}': {rest}"
    )
    assert changed(path, hash="gone") == f"expected hash {SPLIT.hash} in {path}, got none: {rest}"


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("seed", "3", "expected another type of seed in PATH, got '3'."),
        ("seed", True, "expected another type of seed in PATH, got True."),
        ("source", None, "expected another type of source in PATH, got none."),
        ("members", [], "expected another type of members in PATH, got []."),
        (
            "members",
            {"train": "a.jpg"},
            "expected a list of names or numbers as members of 'train' in PATH, got 'a.jpg'.",
        ),
        (
            "members",
            {"test": [1, 1.5]},
            "expected a list of names or numbers as members of 'test' in PATH, got [1, 1.5].",
        ),
        (
            "members",
            {"test": [True]},
            "expected a list of names or numbers as members of 'test' in PATH, got [True].",
        ),
        (
            "source",
            "gone",
            "expected the fields protocol, seed, members, source, settings in PATH, got members, "
            "protocol, seed, settings.",
        ),
    ],
)
def test_a_broken_field_is_named(tmp_path, field, value, message):
    path = tmp_path / "s.json"
    found = changed(path, **{field: value})
    assert found == message.replace("PATH", str(path)) + " Make the split again."


def test_an_image_in_two_parts_or_twice_in_one_is_refused():
    with pytest.raises(InputError) as error:
        Split("p", None, {"train": ("a", "b"), "test": ("c", "a")}, "s")
    assert str(error.value) == (
        "image 'a' is in 'train' and 'test'; expected every image in one part, else the same "
        "image trains and tests. Remove it from one of them."
    )
    with pytest.raises(InputError) as error:
        Split("p", None, {"train": ("a", "b", "a")}, "s")
    assert str(error.value) == (
        "'a' is in 'train' twice; expected every identifier once. Remove one of them."
    )


def test_parts_must_not_share_the_image_of_two_regions_where_that_is_asked():
    members = {"train": ("1#hat", "1#dog"), "test": ("1#cat",)}
    check_disjoint(members)
    image = {each: each[0] for part in members.values() for each in part}
    wanted = re.escape("image '1' is in 'train' and 'test'; expected every image in one part")
    with pytest.raises(InputError, match=wanted):
        check_disjoint(members, of=image)
    check_disjoint({"train": ("1#hat", "1#dog"), "test": ("2#cat",)}, of={**image, "2#cat": "2"})


@pytest.mark.parametrize("name", ["base_to_new", "by_hash", "few_shot", "split"])
def test_the_examples_in_the_documentation_are_right(name):
    failed, tried = doctest.testmod(importlib.import_module(f"datamodules.splits.{name}"))
    assert (failed, tried > 0) == (0, True)


def test_settings_that_json_cannot_hold_are_refused_when_made_not_when_saved():
    with pytest.raises(ValueError, match="not JSON compliant"):
        Split("p", None, {}, "s", {"share": float("nan")})
