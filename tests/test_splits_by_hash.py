"""Splits by hash: no image moves because of another, and shares are met on average."""

import hashlib
import json
import math
import os
import subprocess
import sys
from fractions import Fraction
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.splits import by_hash, hash_split
from datamodules.splits.by_hash import in_hash_order, uniform

ROOT = Path(__file__).parents[1]
SHARES = {"train": 0.7, "validation": 0.1, "test": 0.2}
names = st.lists(st.text(max_size=4) | st.integers(), max_size=30, unique=True)


def parts_of(split):
    return {each: part for part, found in split.members.items() for each in found}


def naive_part(identifier, seed, shares):
    """The rule in exact arithmetic, written anew."""
    digest = hashlib.sha256(json.dumps([seed, identifier]).encode()).hexdigest()
    number = Fraction(int(digest, 16) >> (256 - 53), 2**53)
    edge = Fraction(0)
    for part, share in shares.items():
        edge += Fraction(share)
        if number < edge:
            return part
    return part


@settings(max_examples=50, deadline=None)
@given(identifiers=names, seed=st.integers(0, 9))
def test_every_image_is_in_the_part_that_its_own_hash_names(identifiers, seed):
    split = hash_split(identifiers, SHARES, seed=seed, source="x")
    assert tuple(split.members) == tuple(SHARES)
    assert parts_of(split) == {each: naive_part(each, seed, SHARES) for each in identifiers}
    assert sum(map(len, split.members.values())) == len(identifiers)


@settings(max_examples=50, deadline=None)
@given(identifiers=names, extra=names, seed=st.integers(0, 9), data=st.data())
def test_adding_and_reordering_images_moves_none(identifiers, extra, seed, data):
    before = parts_of(hash_split(identifiers, SHARES, seed=seed, source="x"))
    more = data.draw(st.permutations([*identifiers, *(set(extra) - set(identifiers))]))
    after = hash_split(more, SHARES, seed=seed, source="x")
    assert {each: parts_of(after)[each] for each in identifiers} == before
    order = {each: place for place, each in enumerate(more)}
    for found in after.members.values():
        assert [order[each] for each in found] == sorted(order[each] for each in found)


def test_shares_are_met_within_four_standard_deviations_and_seeds_are_unrelated():
    identifiers = [f"{number:06d}.jpg" for number in range(20_000)]
    one, other = (hash_split(identifiers, SHARES, seed=seed, source="x") for seed in (0, 1))
    for split in (one, other):
        for part, share in SHARES.items():
            deviation = math.sqrt(20_000 * share * (1 - share))
            assert abs(len(split.members[part]) - 20_000 * share) < 4 * deviation
    both = set(one.members["test"]) & set(other.members["test"])
    assert abs(len(both) - 800) < 4 * math.sqrt(20_000 * 0.04 * 0.96)
    assert hash_split(identifiers, SHARES, seed=0, source="x") == one


def test_a_part_that_grows_loses_no_image():
    identifiers = list(range(2000))
    small = hash_split(identifiers, {"train": 0.5, "test": 0.5}, seed=0, source="x")
    large = hash_split(identifiers, {"train": 0.6, "test": 0.4}, seed=0, source="x")
    assert set(small.members["train"]) < set(large.members["train"])


@settings(max_examples=30, deadline=None)
@given(people=st.lists(st.integers(0, 8), min_size=1, max_size=40), seed=st.integers(0, 9))
def test_a_group_stays_together_whatever_else_there_is(people, seed):
    images = [f"{number}.jpg" for number in range(len(people))]
    split = hash_split(images, SHARES, seed=seed, source="x", groups=people)
    part = parts_of(split)
    assert set(part) == set(images)
    for image, person in zip(images, people, strict=True):
        assert part[image] == naive_part(person, seed, SHARES)
    assert split.settings["grouped"]


def test_a_part_without_share_is_empty_and_all_of_the_share_is_all():
    split = hash_split(range(500), {"a": 0.0, "b": 1.0, "c": 0.0}, seed=0, source="x")
    assert {part: len(found) for part, found in split.members.items()} == {"a": 0, "b": 500, "c": 0}


def test_rounding_of_the_shares_leaves_no_gap_at_the_end():
    shares = {str(number): 0.1 for number in range(10)}
    split = hash_split(range(3000), shares, seed=0, source="x")
    assert sum(map(len, split.members.values())) == 3000
    assert min(map(len, split.members.values())) > 200


def test_the_last_part_reaches_to_the_end_even_if_the_shares_fall_short(monkeypatch):
    monkeypatch.setattr(by_hash, "uniform", lambda identifier, seed: 1 - 2**-53)
    split = hash_split(["a"], {"train": 0.5, "test": 0.5 - 1e-10}, seed=0, source="x")
    assert split.members == {"train": (), "test": ("a",)}


def test_numbers_are_the_same_in_another_process_and_lie_in_0_to_1():
    code = "from datamodules.splits.by_hash import uniform; print(uniform('ä', 5), uniform(1, 5))"
    environment = {**os.environ, "PYTHONHASHSEED": "7"}
    other = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, env=environment, capture_output=True, check=True
    )
    assert [float(each) for each in other.stdout.split()] == [uniform("ä", 5), uniform(1, 5)]
    assert uniform(1, 5) != uniform("1", 5)
    found = [uniform(number, 0) for number in range(10_000)]
    assert 0 <= min(found) < 0.001
    assert 0.999 < max(found) < 1


def test_hash_order_is_by_number_and_knows_no_other_order():
    order = in_hash_order(["b", "a", "c", "a"], 0)
    assert order == sorted("abc", key=lambda each: uniform(each, 0))
    assert in_hash_order(["c", "b", "a"], 0) == order
    assert len({tuple(in_hash_order("abcdef", seed)) for seed in range(10)}) == 10


def refusal(**changes):
    arguments = {"identifiers": ["a"], "shares": SHARES, "seed": 0, "source": "x", **changes}
    with pytest.raises(InputError) as error:
        hash_split(arguments.pop("identifiers"), arguments.pop("shares"), **arguments)
    return str(error.value)


def test_requests_that_make_no_sense_are_refused():
    wanted = "expected shares from 0 to 1 that add up to 1, got"
    assert refusal(shares={"train": 0.8, "test": 0.1}) == (
        f"{wanted} train 0.8, test 0.1. Change one of them."
    )
    assert refusal(shares={"a": 1.5, "b": -0.5}) == f"{wanted} a 1.5, b -0.5. Change one of them."
    assert refusal(shares={"a": math.nan}) == f"{wanted} a nan. Change one of them."
    assert refusal(shares={}) == f"{wanted} none. Change one of them."
    assert refusal(seed=-1) == "expected a seed of 0 or more, got -1. Choose another."
    assert refusal(seed=True) == "expected a seed of 0 or more, got True. Choose another."
    assert refusal(groups=["p", "q"]) == (
        "expected as many groups as images, got 2 and 1. Give one for each, in the same order."
    )
    assert refusal(identifiers=["a", "a"]).startswith("'a' is in 'train' twice;")
