"""Scores against known types, and the files these types are read from."""

import json

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import adjusted_mutual_info_score, adjusted_rand_score, v_measure_score

from datamodules.dictionary import Attribute, Dictionary, Value
from datamodules.dictionary.scoring import scores as scores_module
from datamodules.dictionary.scoring.comparison import reference_scores
from datamodules.dictionary.scoring.reference import Reference, read_reference
from datamodules.dictionary.scoring.scores import (
    adjusted_rand,
    noise_as_singletons,
    typing_scores,
)
from datamodules.errors import InputError


@pytest.fixture
def dictionary():
    colors = (
        Value("v_1", "red", 9, forms={"red": 9}),
        Value("v_2", "grey", 5, forms={"grey": 3, "gray": 2}),
    )
    attributes = (Attribute("color", colors), Attribute("mood", (Value("v_3", "calm", 2),)))
    labels = {"red": 0, "gray": 0, "calm": -1}
    return Dictionary("mine", "abc", attributes, labels_=labels)


def test_ari_counts_noise_words_as_singletons():
    assert adjusted_rand(["a", "a", "b", "b"], [5, 5, 9, 9]) == 1.0
    assert noise_as_singletons([0, -1, -1]) == [0, -2, -3]
    # Pairs: 2 same in truth, 1 in the guess, 1 in both, 6 in all -> (1 - 2/6) / (1.5 - 2/6).
    guess = noise_as_singletons([0, 0, -1, -1])
    assert adjusted_rand(["a", "a", "b", "b"], guess) == pytest.approx((1 - 1 / 3) / (1.5 - 1 / 3))


def test_typing_scores_match_scikit_learn_and_counts_by_hand():
    known = ["color"] * 4 + ["size"] * 3 + ["shape"]
    found = ["color", "color", "size", None, "size", "size", None, "color"]
    scores = typing_scores(known, found, counts=[10, 1, 1, 1, 1, 1, 1, 0])
    labels = ["color", "color", "size", "alone 1", "size", "size", "alone 2", "color"]
    assert scores["accuracy"] == 0.5
    assert scores["coverage"] == 0.75
    assert scores["weighted_accuracy"] == pytest.approx(13 / 16, abs=1e-4)
    assert scores["ari"] == pytest.approx(adjusted_rand_score(known, labels), abs=1e-4)
    assert scores["nmi"] == pytest.approx(v_measure_score(known, labels), abs=1e-4)
    assert scores["ami"] == pytest.approx(adjusted_mutual_info_score(known, labels), abs=1e-4)
    assert scores["types"] == {
        "color": {"words": 4, "precision": 0.6667, "recall": 0.5},
        "size": {"words": 3, "precision": 0.6667, "recall": 0.6667},
        "shape": {"words": 1, "precision": None, "recall": 0.0},
    }
    assert "weighted_accuracy" not in typing_scores(known, found)


def drawn_types(share_alone, *, size=150):
    """Known types, and found ones of which a share is none and a third of the others is wrong."""
    rng = np.random.default_rng(1)
    known = rng.choice(["a", "b", "c"], size).tolist()
    found = [kind if rng.random() < 2 / 3 else str(rng.choice(["a", "b"])) for kind in known]
    return known, [None if rng.random() < share_alone else kind for kind in found]


def slow_scores(known, found):
    """Accuracy, ari and nmi where every word without a type, copies too, is a group of its own."""
    labels = [f"alone {place}" if kind is None else kind for place, kind in enumerate(found)]
    right = np.mean([left == right for left, right in zip(known, found, strict=True)])
    return right, adjusted_rand_score(known, labels), v_measure_score(known, labels)


@pytest.mark.parametrize("share_alone", [0.0, 0.2, 0.7, 1.0])
def test_intervals_are_those_of_scikit_learn_on_the_words_that_were_drawn(share_alone, monkeypatch):
    monkeypatch.setattr(scores_module, "_DRAWS", 50)
    known, found = drawn_types(share_alone)
    pairs = list(zip(known, found, strict=True))
    cells = list(dict.fromkeys(pairs))
    shares = [pairs.count(cell) / len(pairs) for cell in cells]
    draws = np.random.default_rng(7).multinomial(len(pairs), shares, size=50)
    slow = [
        slow_scores(*zip(*(cells[cell] for cell in np.repeat(range(len(cells)), row)), strict=True))
        for row in draws
    ]
    intervals = typing_scores(known, found, seed=7)["intervals"]
    for name, values in zip(("accuracy", "ari", "nmi"), np.transpose(slow), strict=True):
        expected = np.percentile(values, [2.5, 97.5])
        np.testing.assert_allclose(intervals[name], expected, atol=6e-5, err_msg=name)


@pytest.mark.parametrize("share_alone", [0.1, 0.7])
def test_intervals_are_those_of_words_drawn_one_by_one_and_hold_their_score(share_alone):
    known, found = drawn_types(share_alone)
    scores = typing_scores(known, found)
    rng = np.random.default_rng(2)
    drawn = [rng.integers(len(known), size=len(known)) for _ in range(250)]
    slow = [slow_scores([known[i] for i in rows], [found[i] for i in rows]) for rows in drawn]
    for name, values in zip(("accuracy", "ari", "nmi"), np.transpose(slow), strict=True):
        low, high = scores["intervals"][name]
        np.testing.assert_allclose([low, high], np.percentile(values, [2.5, 97.5]), atol=0.025)
        assert low < scores[name] < high
    assert typing_scores(known, found)["intervals"] == scores["intervals"]  # seeded
    assert typing_scores(known, found, seed=1)["intervals"] != scores["intervals"]


@given(st.lists(st.tuples(st.sampled_from("abc"), st.sampled_from([*"abc", None])), min_size=1))
def test_scores_lie_in_their_ranges_and_perfect_typing_scores_one(pairs):
    known, found = [left for left, _ in pairs], [right for _, right in pairs]
    scores = typing_scores(known, found)
    assert all(0 <= scores[name] <= 1 for name in ("accuracy", "nmi", "coverage"))
    assert -1 <= scores["ari"] <= 1
    low, high = scores["intervals"]["accuracy"]
    assert 0 <= low <= high <= 1
    perfect = typing_scores(known, known)
    assert [perfect[n] for n in ("accuracy", "ari", "nmi", "ami", "coverage")] == [1.0] * 5
    assert perfect["intervals"]["ari"] == [1.0, 1.0]


def test_reference_scores_count_wrong_missing_and_extra_words(dictionary):
    types = {"red": "color", "gray": "color", "calm": "shape", "lilac": "color"}
    scores = reference_scores(dictionary, types)
    assert scores["accuracy"] == 0.5
    assert scores["coverage"] == 0.75
    assert scores["wrong"] == [{"word": "calm", "found": "mood", "known": "shape", "count": 2}]
    assert scores["missing"] == ["lilac"]
    assert scores["extra"] == []
    assert "weighted_accuracy" not in scores
    assert reference_scores(dictionary, {"red": "color"})["extra"] == ["calm", "grey"]


def test_reference_scores_weigh_by_the_counts_and_know_what_was_left_out(dictionary):
    reference = Reference(
        {"red": "color", "calm": "shape"}, {"red": 3, "calm": 1}, several=("gray",)
    )
    scores = reference_scores(dictionary, reference)
    assert scores["weighted_accuracy"] == 0.75
    assert scores["several"] == ["gray"]
    assert scores["extra"] == []


def test_a_reference_of_words_that_the_dictionary_does_not_hold_is_refused(dictionary):
    message = (
        r"expected a word of the reference to score, got none of 2: left out are 0 for standing "
        r"for a type and 2 for not being in the dictionary\. Give a reference with other words\."
    )
    with pytest.raises(InputError, match=message):
        reference_scores(dictionary, {"lilac": "color", "round": "shape"})
    assert reference_scores(dictionary, {"lilac": "color", "red": "color"})["accuracy"] == 0.5


def test_an_empty_reference_is_refused(dictionary):
    with pytest.raises(InputError, match="expected a reference of word -> type, got no word"):
        reference_scores(dictionary, {})


def test_reference_reads_csv_and_both_layouts_of_json_alike(tmp_path):
    (tmp_path / "a.csv").write_text("\ufeffword,type\nRed, color \nDark-Grey,color\nstar,shape\n")
    (tmp_path / "a.json").write_text('{"red": "color", "dark gray": "color", "star": "shape"}')
    (tmp_path / "b.json").write_text('{"color": ["red", "dark grey"], "shape": ["star", "star"]}')
    expected = Reference({"red": "color", "dark gray": "color", "star": "shape"})
    for name in ("a.csv", "a.json", "b.json"):
        assert read_reference(tmp_path / name) == expected


def test_words_of_several_types_and_of_ignored_types_are_left_out(tmp_path):
    types = {"hue": ["red", "dark"], "tone": ["dark", "red"], "weight": ["light"],
             "glow": ["light"], "misc": ["odd"]}  # fmt: skip
    (tmp_path / "types.json").write_text(json.dumps(types))
    (tmp_path / "parents.json").write_text('{"color": ["hue", "tone"]}')
    plain = read_reference(tmp_path / "types.json")
    assert plain == Reference({"odd": "misc"}, several=("dark", "light", "red"))
    lifted = read_reference(
        tmp_path / "types.json", parents=tmp_path / "parents.json", ignore=["misc"]
    )
    assert lifted == Reference(
        {"red": "color", "dark": "color"}, several=("light",), ignored=("odd",)
    )


def test_counts_of_spellings_are_added(tmp_path):
    (tmp_path / "a.csv").write_text("grey,color\n")
    (tmp_path / "counts.csv").write_text("word,count\nGrey,3\ngray,4\nred,0\n")
    (tmp_path / "counts.json").write_text('{"gray": 7, "red": 0}')
    for name in ("counts.csv", "counts.json"):
        found = read_reference(tmp_path / "a.csv", counts=tmp_path / name)
        assert found.counts == {"gray": 7, "red": 0}


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("a.csv", None, r"--reference: expected a CSV or JSON file at .*a\.csv, found none\."),
        ("a.csv", "red\n", r"--reference: expected `word,type` in .*, line 1 has 1 column\."),
        ("a.csv", "red,color\n\nblue\n", r"`word,type` in .*, line 3 has 1 column\."),
        ("a.csv", "red,a\rb\n", r"expected `word,type` in .*, got line 1: new-line character"),
        ("a.csv", b"red,color\nros\xe9,color\n", r"a\.csv, line 2: expected UTF-8 .* b'\\xe9'\. S"),
        ("a.json", b'{"red": "color",\n"ros\xe9": "color"}', r"a\.json, line 2: expected UTF-8"),
        ("a.csv", "word,type\n", r"--reference: expected `word,type` lines in .*, got none\."),
        ("a.csv", "red,color\nred,size\n", r"words of one type in .*, got none of 1 word\."),
        ("a.json", "{", r"--reference: expected JSON in .*, line 1 is not"),
        ("a.json", "[1]", r'a JSON object \{"word": "type"\} or \{"type": \["word", \.\.\.\]\} in'),
        ("a.json", '{"red": 3}', r"expected a JSON object .* got something else\."),
    ],
)
def test_bad_reference_is_explained(name, text, message, tmp_path):
    if text is not None:
        (tmp_path / name).write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(InputError, match=message):
        read_reference(tmp_path / name)


def test_a_type_to_ignore_that_no_word_has_is_refused(tmp_path):
    (tmp_path / "a.csv").write_text("red,hue\ngray,hue\nstar,shape\n")
    (tmp_path / "parents.json").write_text('{"hue": "color"}')
    message = (
        r"--ignore: expected types of the words in .*, got 'hue'\. The types are: color, shape\."
    )
    with pytest.raises(InputError, match=message):
        read_reference(
            tmp_path / "a.csv", parents=tmp_path / "parents.json", ignore=["shape", "hue"]
        )


@pytest.mark.parametrize(
    ("name", "text", "message"),
    [
        ("c.csv", "red,many\n", r"--counts: expected a count of 0 or more for 'red' in .*'many'\."),
        ("c.csv", "red,-1\n", r"--counts: expected a count of 0 or more for 'red' in .*'-1'\."),
        ("c.json", '{"red": true}', r"--counts: expected a count of 0 or more for 'red'"),
        ("c.csv", None, r"--counts: expected a CSV or JSON file at .*, found none\."),
    ],
)
def test_bad_counts_are_explained(name, text, message, tmp_path):
    (tmp_path / "a.csv").write_text("red,color\n")
    if text is not None:
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=message):
        read_reference(tmp_path / "a.csv", counts=tmp_path / name)
