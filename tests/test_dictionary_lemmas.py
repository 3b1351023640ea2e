"""Merges are proposed for phrases of one base form, and for slips of the pen."""

import random
from itertools import permutations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from datamodules.dictionary.words.lemmas import lemma_pairs, propose_merges, slip_pairs


def pairs(phrases):
    return {
        (phrases[left], phrases[right]): lemma
        for (left, right), lemma in lemma_pairs(phrases).items()
    }


def test_last_words_of_one_base_form_are_proposed_where_the_rest_is_equal():
    phrases = (
        "striped", "stripes", "wearing glasses", "red stripes", "wearing glass", "glasses",
        "red striped", "dark red striped", "wet", "wetter", "bus",
    )  # fmt: skip
    assert pairs(phrases) == {
        ("striped", "stripes"): "stripe",
        ("wearing glasses", "wearing glass"): "wearing glass",
        ("red stripes", "red striped"): "red stripe",
        ("wet", "wetter"): "wet",
    }


def test_words_that_no_rule_joins_are_left_alone():
    assert pairs(("red", "reddish brown", "reed", "ring", "bring", "less", "glass", "gl")) == {}


def test_the_longest_common_form_names_a_pair():
    assert pairs(("stripes", "striped", "strips")) == {
        ("stripes", "striped"): "stripe",  # not "strip", which they share too
        ("stripes", "strips"): "strip",
        ("striped", "strips"): "strip",
    }


def test_captions_get_the_evidence_of_vectors_and_images():
    words, counts = ("stripes", "red", "striped"), (9, 7, 4)
    vectors_WD = np.array([[1.0, 0.0], [0.0, 1.0], [3.0, 4.0]])
    shared_WW = np.array([[9.0, 1.0, 2.0], [1.0, 7.0, 0.0], [2.0, 0.0, 4.0]])
    (proposal,) = propose_merges(words, counts, vectors_WD, shared_WW)
    assert (proposal.words, proposal.counts) == (("stripes", "striped"), (9, 4))
    assert (proposal.lemma, proposal.cosine, proposal.shared_images) == ("stripe", 0.6, 2)
    (alone,) = propose_merges(words, counts, vectors_WD, None)
    assert alone.shared_images is None


@pytest.mark.parametrize(
    ("meant", "slip"),
    [
        ("yellow", "yelow"),
        ("yellow", "yelllow"),
        ("white", "whtie"),
        ("black", "blcak"),
        ("purple", "purpel"),
        ("brown", "browm"),
        ("light blue", "light bleu"),
    ],
)
def test_a_rare_phrase_one_slip_from_a_frequent_one_is_proposed(meant, slip):
    assert slip_pairs((meant, slip), (40, 2)) == [(0, 1)]
    assert slip_pairs((slip, meant), (2, 40)) == [(1, 0)]
    assert slip_pairs((meant, slip), (39, 2)) == []


@pytest.mark.parametrize(
    ("meant", "other"),
    [
        ("white", "hwite"),  # the first letter
        ("brown", "crown"),
        ("tall", "tail"),  # too short
        ("2 doors", "4 doors"),
        ("10 doors", "1 doors"),
        ("striped", "stirpde"),  # two slips
        ("purple", "pruplee"),
    ],
)
def test_other_differences_are_no_slips(meant, other):
    assert slip_pairs((meant, other), (1000, 1)) == []


def distance(left, right):
    """Edits with swaps of neighbors (optimal string alignment), by its table."""
    cells = {(-1, -1): 0}
    cells |= {(row, -1): row + 1 for row in range(len(left))}
    cells |= {(-1, column): column + 1 for column in range(len(right))}
    for row, one in enumerate(left):
        for column, other in enumerate(right):
            best = min(
                cells[row - 1, column] + 1,
                cells[row, column - 1] + 1,
                cells[row - 1, column - 1] + (one != other),
            )
            if row and column and one == right[column - 1] and left[row - 1] == other:
                best = min(best, cells[row - 2, column - 2] + 1)
            cells[row, column] = best
    return cells[len(left) - 1, len(right) - 1]


@given(
    st.lists(st.text("abc", min_size=4, max_size=7), min_size=2, max_size=25, unique=True),
    st.randoms(),
)
def test_slips_are_those_of_one_edit_after_the_first_letter(words, chance):
    counts = [chance.choice((1, 2, 20, 40)) for _ in words]
    expected = [
        (left, right)
        for left, right in permutations(range(len(words)), 2)
        if min(len(words[left]), len(words[right])) >= 5
        and words[left][0] == words[right][0]
        and counts[left] >= 20 * counts[right]
        and distance(words[left][1:], words[right][1:]) == 1
    ]
    assert slip_pairs(words, counts) == sorted(expected)


def test_proposals_do_not_depend_on_the_order_of_the_words():
    words = ["red", "stripe", "stripes", "striped", "dots", "dotted", "dot", "big", "bigger"]
    expected = {frozenset(pair): lemma for pair, lemma in pairs(words).items()}
    random.Random(0).shuffle(words)
    assert {frozenset(pair): lemma for pair, lemma in pairs(words).items()} == expected
