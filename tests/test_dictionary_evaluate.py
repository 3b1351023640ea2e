"""Forced scores, scores without seeds, and the command that prints them."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from datamodules.__main__ import main
from datamodules.dictionary import AnchorType, Attribute, Dictionary, Unassigned, Value
from datamodules.dictionary.anchoring.phrase_types import type_phrases
from datamodules.dictionary.edits import Edits, apply_edits
from datamodules.dictionary.scoring.comparison import reference_scores
from datamodules.dictionary.scoring.reference import Reference
from datamodules.dictionary.scoring.scores import typing_scores
from datamodules.dictionary.settings import LikenessSettings, load_types
from datamodules.dictionary.words.vectors import centered, unit_rows
from datamodules.errors import InputError


@pytest.fixture
def dictionary():
    """Two colors, a texture, and words that are none for every reason there is."""
    colors = (
        Value("v_1", "Rosé", 9, forms={"Rosé": 9}, evidence="seed"),
        Value("v_2", "grey", 5, forms={"grey": 3, "gray": 2}),
        Value("v_3", "tint", 4, forms={"tint": 4}, evidence="seed"),
    )
    loose = (
        Unassigned("multicolored", 7, "between two attributes", nearest="color", score=0.3),
        Unassigned("worn", 6, "far from every seed", nearest="texture", score=0.1),
        Unassigned("zzyzx", 5, "no vector"),
        Unassigned("odd", 4, "dropped by edits", nearest="texture", score=0.4),
    )
    return Dictionary(
        "mine",
        "abc",
        (Attribute("color", colors), Attribute("texture", (Value("v_4", "rough", 3),))),
        types=(AnchorType("color", ("rosé",)), AnchorType("texture", ("smooth", "Much-Worn"))),
        unassigned=loose,
    )


KNOWN = {
    "grey": "color", "multi colored": "color", "worn": "texture", "zzyzx": "texture",
    "odd": "texture", "rough": "color", "unheard of": "color",
}  # fmt: skip


def test_forced_words_have_their_nearest_type_and_silent_or_dropped_ones_none(dictionary):
    plain = reference_scores(dictionary, KNOWN)
    assert (plain["num_words"], plain["accuracy"]) == (7, round(1 / 7, 4))
    assert plain["missing"] == ["multi colored", "odd", "unheard of", "worn", "zzyzx"]
    assert (plain["forced"], plain["unread"], plain["seeds_left_out"]) == (False, [], 0)
    forced = reference_scores(dictionary, KNOWN, forced=True)
    assert (forced["num_words"], forced["accuracy"]) == (6, 0.5)
    assert forced["coverage"] == round(4 / 6, 4)
    assert forced["missing"] == ["odd", "zzyzx"]
    assert forced["wrong"] == [{"word": "rough", "found": "texture", "known": "color", "count": 3}]
    assert (forced["forced"], forced["unread"]) == (True, ["unheard of"])
    found = ["color", "color", "texture", None, None, "texture"]
    known = ["color", "color", "texture", "texture", "texture", "color"]
    expected = typing_scores(known, found)
    assert {name: forced[name] for name in expected} == expected


def test_a_word_that_an_edit_dropped_is_not_forced(dictionary):
    edited = apply_edits(dictionary, Edits(drop=("worn", "grey")))
    forced = reference_scores(edited, {"worn": "texture", "grey": "color"}, forced=True)
    assert (forced["num_words"], forced["coverage"]) == (2, 0)


def test_a_negated_word_is_not_the_word_that_it_denies(dictionary):
    scores = reference_scores(dictionary, {"not worn": "texture", "worn": "texture"}, forced=True)
    assert (scores["num_words"], scores["unread"]) == (1, ["not worn"])


def test_words_that_stand_for_a_type_are_left_out_in_every_spelling(dictionary):
    told = {
        "rosé": "color",  # a seed
        "Tint": "color",  # a further name: it was typed as a seed
        "color": "color",  # the name of a type
        "smooth": "texture",  # a seed that no one mentions
        "much worn": "texture",  # the same in another spelling
    }
    scores = reference_scores(dictionary, {**KNOWN, **told}, without_seeds=True)
    assert (scores["num_words"], scores["seeds_left_out"]) == (7, 5)
    rest = reference_scores(dictionary, KNOWN)
    different = {"extra", "seeds_left_out"}
    assert {n: s for n, s in scores.items() if n not in different} == {
        n: s for n, s in rest.items() if n not in different
    }
    assert scores["extra"] == []  # the reference knows the words that are left out
    assert rest["extra"] == ["Rosé", "tint"]


def test_counts_weigh_the_words_that_are_left(dictionary):
    reference = Reference(
        {"rosé": "color", "worn": "texture", "rough": "color"}, {"rosé": 90, "worn": 3, "rough": 1}
    )
    scores = reference_scores(dictionary, reference, forced=True, without_seeds=True)
    assert scores["weighted_accuracy"] == 0.75


def test_a_reference_of_seeds_and_unread_words_alone_is_refused(dictionary):
    message = (
        r"expected a word of the reference to score, got none of 2: left out are 1 for standing "
        r"for a type and 1 for not being in the dictionary\. Give a reference with other words\."
    )
    with pytest.raises(InputError, match=message):
        reference_scores(
            dictionary, {"rosé": "color", "lilac": "color"}, forced=True, without_seeds=True
        )


def drawn(folder, seed=0):
    """A list, its types, its known types, and a file of vectors: words around two axes."""
    rng = np.random.default_rng(seed)
    letters = "abcdefghijklmnopqrst"
    kinds = {"hue": "q", "form": "x"}
    words = [f"{kinds[kind]}{letter}" for kind in kinds for letter in letters]
    types = {
        kind: {"seeds": [f"{first}a", f"{first}b"], "names": [kind, f"{first}c"]}
        for kind, first in kinds.items()
    }
    rows = {}
    for word in [*words, *kinds]:
        row = rng.normal(0, 0.45, 16)
        row[word[0] == "x" or word == "form"] += 1
        rows[word] = row.round(4)
    (folder / "words.txt").write_text("".join(f"{word}\n" for word in [*words, "silent"]))
    (folder / "types.yaml").write_text(yaml.safe_dump(types, sort_keys=False))
    (folder / "rows.txt").write_text(
        "".join(f"{word} {' '.join(map(str, row))}\n" for word, row in rows.items())
    )
    reference = {word: next(k for k in kinds if kinds[k] == word[0]) for word in words}
    (folder / "known.json").write_text(json.dumps({**reference, "silent": "hue", "new": "hue"}))
    return words, rows, reference


def test_the_command_scores_forced_words_as_typing_without_thresholds_does(
    tmp_path, monkeypatch, capsys
):
    monkeypatch.chdir(tmp_path)
    words, rows, reference = drawn(tmp_path)
    build = "dictionary build --list words.txt --types types.yaml --out d.json"
    assert main([*build.split(), "--embedder", "vectors:rows.txt", "--rules", "none"]) == 0
    capsys.readouterr()
    evaluate = ["dictionary", "evaluate", "d.json", "--reference", "known.json", "--json"]
    assert main([*evaluate, "--forced", "--without_seeds"]) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    scores = json.loads(last)

    types = load_types(Path("types.yaml"))
    stand_for_types = [word for each in types for word in each.anchors]
    asked = [*words, *stand_for_types]  # as the build centers them: a word may be there twice
    features_WD = unit_rows(centered(np.array([rows[word] for word in asked])))
    texts = list(dict.fromkeys(asked))
    forced = LikenessSettings(min_score=-np.inf, min_margin=-np.inf, rules=())
    typed = type_phrases(
        texts, features_WD[[asked.index(text) for text in texts]], types, settings=forced
    )
    found = dict(zip(texts, (types[k].name for k in typed.label_C), strict=True))
    test = [word for word in words if word not in stand_for_types]
    assert len(test) == 34
    # "silent" has no vector, and no type even by force.
    expected = typing_scores(
        [*(reference[word] for word in test), "hue"], [*(found[word] for word in test), None]
    )
    assert {name: scores[name] for name in expected} == expected
    assert 0.7 < scores["accuracy"] < 1
    assert (scores["forced"], scores["seeds_left_out"]) == (True, 6)
    assert (scores["missing"], scores["unread"]) == (["silent"], ["new"])
    assert "seeds_left_out  6" in lines
    assert lines[-4:] == [
        "forced      words that abstained count as the type they are nearest to; left out: 1 word "
        "that the build never read",
        "left out    6 words that stand for a type",
        "dictionary  d.json",
        "reference   known.json",
    ]

    assert main(evaluate) == 0
    *lines, last = capsys.readouterr().out.splitlines()
    plain = json.loads(last)
    assert (plain["forced"], plain["seeds_left_out"], plain["num_words"]) == (False, 0, 42)
    assert plain["coverage"] < scores["coverage"]
    assert lines[-3:] == ["", "dictionary  d.json", "reference   known.json"]


def evaluated(folder, dictionary, reference, *words):
    """The exit code of `evaluate` with files of its own."""
    dictionary.save(folder / "d.json")
    (folder / "known.json").write_text(json.dumps(reference))
    files = [str(folder / "d.json"), "--reference", str(folder / "known.json")]
    return main(["dictionary", "evaluate", *files, *words])


def wrong_line(text):
    (line,) = [line for line in text.splitlines() if line.startswith("wrong ")]
    return line


def test_wrong_words_are_told_with_both_types_most_frequent_first(tmp_path, dictionary, capsys):
    reference = {"rough": "color", "grey": "texture", "worn": "color", "rosé": "color"}
    assert evaluated(tmp_path, dictionary, reference) == 0
    line = wrong_line(capsys.readouterr().out)
    assert line == "wrong    gray: color, not texture; rough: texture, not color"
    assert evaluated(tmp_path, dictionary, reference, "--forced") == 0
    assert wrong_line(capsys.readouterr().out).startswith("wrong    worn: texture, not color; gray")
    assert evaluated(tmp_path, dictionary, {"rosé": "color"}) == 0
    assert wrong_line(capsys.readouterr().out) == "wrong    none"


@pytest.mark.parametrize("size", [20, 26])
def test_twenty_wrong_words_are_printed_and_all_are_in_the_json(tmp_path, capsys, size):
    values = tuple(Value(f"v_{n}", f"w{chr(97 + n)}", n + 1) for n in range(size))
    found = Dictionary("mine", "abc", (Attribute("mood", values),))
    reference = {each.text: "color" for each in values}
    assert evaluated(tmp_path, found, reference, "--json") == 0
    *lines, last = capsys.readouterr().out.splitlines()
    told = wrong_line("\n".join(lines)).removeprefix("wrong    ").split("; ")
    assert told[0] == f"w{chr(96 + size)}: mood, not color"
    assert sum("not color" in each for each in told) == 20
    assert (told[-1] == "...") == (size > 20)
    counts = [each["count"] for each in json.loads(last)["wrong"]]
    assert counts == list(range(size, 0, -1))


def test_a_reference_of_other_words_is_refused_by_the_command(tmp_path, dictionary, capsys):
    for words in ([], ["--forced"]):
        assert evaluated(tmp_path, dictionary, {"lilac": "color"}, *words) == 2
        assert capsys.readouterr().err.startswith(
            "error: expected a word of the reference to score, got none of 1: left out are 0 for "
            "standing for a type and 1 for not being in the dictionary."
        )


def test_a_type_to_ignore_that_is_not_there_is_refused_by_the_command(tmp_path, dictionary, capsys):
    assert evaluated(tmp_path, dictionary, {"grey": "color"}, "--ignore", "colour") == 2
    assert "got 'colour'. The types are: color." in capsys.readouterr().err
