"""The dictionary file, its messages, and the pure steps of the builder."""

import json
from dataclasses import asdict, fields, replace

import numpy as np
import pytest

from datamodules.__main__ import main
from datamodules.dictionary import (
    AnchorType,
    Attribute,
    Dictionary,
    Proposal,
    Unassigned,
    Value,
    build_dictionary,
)
from datamodules.dictionary.embed.trained import SkipGram
from datamodules.dictionary.report import render
from datamodules.dictionary.settings import (
    CaptionSettings,
    GroupingSettings,
    LikenessSettings,
    Settings,
)
from datamodules.dictionary.words.collect import collect
from datamodules.dictionary.words.evidence import caption_lift, exclusion, overlap, shared_images
from datamodules.errors import InputError
from datamodules.normalize import clauses, normalize, phrases


@pytest.fixture
def dictionary():
    colors = (
        Value(
            "v_1",
            "red",
            9,
            forms={"red": 9},
            score=0.9,
            margin=0.5,
            evidence="seed",
            group="color/red",
            examples=("a red star",),
        ),
        Value(
            "v_2",
            "grey",
            5,
            denied=1,
            forms={"grey": 3, "gray": 2},
            score=0.8,
            margin=0.4,
            examples=("a grey <b>",),
        ),
    )
    return Dictionary(
        source="glyphs",
        data_hash="abc",
        attributes=(
            Attribute("color", colors, exclusive=True, overlap=0.0),
            Attribute("mood", (Value("v_3", "calm", 2),), selected=False),
        ),
        types=(AnchorType("color", ("red", "blue"), ("red",)),),
        unassigned=(Unassigned("picture", 7, "says nothing about the image", lift=1.01),),
        proposals=(Proposal(("stripes", "striped"), (4, 3), "stripe", 0.4, 2),),
        labels_={"red": 0, "gray": 0, "calm": -1},
        settings={"seed": 0},
        versions={"numpy": "2"},
        scores={"anchored": {"coverage": 1.0}, "num_captions": 20, "num_images": 4},
    )


def test_saved_dictionary_loads_equal_and_saves_the_same_bytes(dictionary, tmp_path):
    dictionary.save(tmp_path / "glyphs.json")
    loaded = Dictionary.load(tmp_path / "glyphs.json", source="glyphs")
    loaded.save(tmp_path / "again.json")
    assert loaded == dictionary
    assert loaded.hash == dictionary.hash
    assert (tmp_path / "again.json").read_bytes() == (tmp_path / "glyphs.json").read_bytes()


def test_hash_changes_with_any_value(dictionary):
    assert replace(dictionary, data_hash="abd").hash != dictionary.hash


def test_names_are_the_selected_attributes_only(dictionary):
    assert dictionary.names == ("color",)
    assert dictionary.attribute("mood").texts == ("calm",)


def test_find_knows_every_spelling(dictionary):
    for word in ("grey", "Gray", " GREY "):
        attribute, value = dictionary.find(word)
        assert (attribute.name, value.text) == ("color", "grey")
    assert dictionary.find("picture") is None


def test_unknown_attribute_lists_the_known_ones(dictionary):
    with pytest.raises(
        InputError,
        match=r"expected an attribute of the glyphs dictionary, got 'colour'\. Known attributes: "
        r"color, mood\. Choose one of these, or rebuild with `make dictionary DATA=glyphs`\.",
    ):
        dictionary.attribute("colour")


def test_missing_dictionary_says_how_to_build_it(tmp_path):
    with pytest.raises(
        InputError,
        match=r"expected the dictionary of cub at .*cub\.json, found none\. "
        r"Build it: make dictionary DATA=cub\.",
    ):
        Dictionary.load(tmp_path / "cub.json", source="cub")
    with pytest.raises(
        InputError,
        match=r"expected a dictionary at .*mine\.json, found none\. Build it: python -m "
        r"datamodules dictionary build --out .*mine\.json, with --source NAME or --list FILE\.",
    ):
        Dictionary.load(tmp_path / "mine.json")


def test_dictionary_of_another_source_is_refused(dictionary, tmp_path):
    dictionary.save(tmp_path / "cub.json")
    with pytest.raises(
        InputError,
        match=r"expected the dictionary of cub, but .*cub\.json was built from glyphs\. "
        r"Build it: make dictionary DATA=cub\.",
    ):
        Dictionary.load(tmp_path / "cub.json", source="cub")


def test_broken_json_names_file_line_and_remedy(tmp_path):
    path = tmp_path / "glyphs.json"
    path.write_text('{"schema":\n  oops}')
    with pytest.raises(
        InputError, match=r"expected JSON in .*glyphs\.json, line 2 .*make dictionary DATA=glyphs\."
    ):
        Dictionary.load(path, source="glyphs")


@pytest.mark.parametrize(
    ("text", "got"),
    [('{"schema": "aspectra.dictionary/0"}', "'aspectra.dictionary/0'"), ("[]", "'list'")],
)
def test_other_schema_says_expected_and_got(text, got, tmp_path):
    path = tmp_path / "glyphs.json"
    path.write_text(text)
    with pytest.raises(
        InputError,
        match=rf"expected schema 'aspectra\.dictionary/4' in .*, got {got}\. Build it: python",
    ):
        Dictionary.load(path)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda raw: raw["attributes"][1].pop("name"), r"fields at attributes\[1\]: missing name"),
        (lambda raw: raw.update(extra=1), r"fields at the top: unknown extra"),
        (
            lambda raw: raw["attributes"][0]["values"][1].update(count="5"),
            r"expected int at attributes\[0\]\.values\[1\]\.count, got '5'",
        ),
        (lambda raw: raw["attributes"][0].update(exclusive=1), r"expected bool at attributes\[0\]"),
        (lambda raw: raw["attributes"][0]["values"][0].update(count=True), r"count, got True"),
        (lambda raw: raw.update(attributes=[3]), r"expected an object at attributes\[0\], got int"),
    ],
)
def test_malformed_field_is_named_by_its_place(dictionary, tmp_path, change, message):
    path = tmp_path / "glyphs.json"
    dictionary.save(path)
    raw = json.loads(path.read_text())
    change(raw)
    path.write_text(json.dumps(raw))
    with pytest.raises(InputError, match=f"malformed dictionary .*{message}.*Build it: python"):
        Dictionary.load(path)


def test_spelling_is_unified_and_phrases_stop_at_function_words():
    assert normalize(" Dark-GREY_ ") == "dark gray"
    words = [word for clause in clauses("The Red star, on a wall") for word, _ in clause]
    assert words == ["the", "red", "star", "on", "a", "wall"]
    assert phrases(words) == [("red", "star"), ("wall",)]


def test_neighbors_that_always_meet_become_one_word():
    corpus = collect(
        [["a polka-dotted star", "a red star"], ["a polka dotted ring", "the red ring"]] * 3,
        min_count=2,
        max_words=10,
    )
    assert corpus.words == ("polka dotted", "red", "ring", "star")
    assert corpus.counts == (6, 6, 6, 6)
    assert tuple(corpus.forms["polka dotted"]) == ("polka dotted",)
    assert corpus.examples["red"] == ("a red star", "the red ring")


def test_display_form_is_the_most_frequent_spelling():
    corpus = collect(["a grey star", "grey"] * 3 + ["gray"] * 5, min_count=2, max_words=10)
    assert tuple(corpus.forms["gray"]) == ("grey", "gray")


def test_lift_matches_a_count_by_hand():
    # "red" is in 2 of 4 captions, both of one image; "star" in one caption of each image.
    corpus = collect([["red star", "red"], ["blue star", "blue"]], min_count=1, max_words=9)
    lift_W, _ = caption_lift(corpus.mentions_IW, corpus.captions_I)
    lift = dict(zip(corpus.words, lift_W, strict=True))
    # Of the 4 ordered pairs of captions 2 share "red"; by chance (2/4)^2 * 4 = 1 would.
    assert lift["red"] == pytest.approx(2.0)
    assert lift["star"] == pytest.approx(0.0)


def test_exclusion_and_overlap_match_their_formulas():
    corpus = collect(
        ["red star"] * 20 + ["blue star"] * 20 + ["red ring"] * 20, min_count=1, max_words=9
    )
    assert corpus.words == ("red", "star", "blue", "ring")
    shared_WW = shared_images(corpus.mentions_IW)
    np.testing.assert_array_equal(shared_WW[0], [40, 20, 0, 20])
    clear_WW = exclusion(shared_WW, images=60)
    expected = 40 * 20 / 60  # images that would mention both red and blue by chance
    assert clear_WW[0, 2] == pytest.approx(expected / (expected + 5))
    assert clear_WW[0, 1] == 0  # red star meets 20 times, 26.7 expected: no exclusion
    assert overlap(shared_WW[:2, :2], images=60)[0] == pytest.approx(20 / (40 * 40 / 60))
    assert overlap(shared_WW[[0, 2]][:, [0, 2]], images=60) == (0.0, pytest.approx(2 * expected))


@pytest.mark.parametrize(
    ("captions", "message"),
    [
        ([], r"expected captions to build a dictionary from, got none\."),
        (["a red star"], r"expected words in at least 5 captions, got none in 1 captions\."),
        (
            [["a star", "a ring"]] * 20,
            r"expected words that come back in several captions of an image, got none in 40 capt",
        ),
        (
            [["a cat", "one cat"], ["a dog", "my dog"]] * 20,
            r"expected a seed word of color, shape, .* among the words that describe the images, "
            r"got none\. Frequent words: cat, dog\. Add seed words in a YAML and pass it with --ty",
        ),
    ],
)
def test_captions_without_evidence_are_explained(captions, message):
    with pytest.raises(InputError, match=message):
        build_dictionary("mine", captions, data_hash="x")


def test_negative_seed_is_explained():
    with pytest.raises(InputError, match=r"--seed: expected 0 or more, got -1\."):
        build_dictionary("mine", ["a red star"], data_hash="x", seed=-1)


def test_every_threshold_is_documented():
    parts = CaptionSettings, GroupingSettings, LikenessSettings, Settings, SkipGram
    for part in parts:
        for each in fields(part):
            assert f"        {each.name}: " in part.__doc__


def test_report_escapes_captions_and_needs_no_network(dictionary):
    page = render(dictionary)
    assert "a grey \\u003cb\\u003e" in page
    assert "<b>" not in page
    assert "://" not in page
    assert '["stripes","striped"]' in page


def test_show_prints_a_table_and_json_as_last_line(dictionary, tmp_path, capsys):
    path = tmp_path / "glyphs.json"
    dictionary.save(path)
    assert main(["dictionary", "show", str(path), "--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "attribute  selected  exclusive  merit  covers  values  by falling count"
    assert lines[1].split() == ["color", "yes", "yes", "2", "red,", "grey"]
    shown = json.loads(lines[-1])
    assert shown.pop("path") == str(path)
    assert shown == json.loads(json.dumps(asdict(dictionary)))


def test_evaluate_prints_scores(dictionary, tmp_path, capsys):
    path, reference = tmp_path / "glyphs.json", tmp_path / "reference.csv"
    dictionary.save(path)
    reference.write_text("red,color\ngray,color\ncalm,mood\n")
    assert main(["dictionary", "evaluate", str(path), "--reference", str(reference), "--json"]) == 0
    scores = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert (scores["ari"], scores["accuracy"], scores["coverage"]) == (1.0, 1.0, 1.0)


def test_user_mistake_prints_error_and_exits_2(tmp_path, capsys):
    assert main(["dictionary", "show", str(tmp_path / "none.json")]) == 2
    captured = capsys.readouterr()
    assert captured.err.startswith("error: expected a dictionary at ")
    assert captured.out == ""


@pytest.mark.parametrize("words", [["build", "--sauce", "x"], ["show", "--js"], []])
def test_unknown_or_abbreviated_flag_exits_2(words, capsys):
    with pytest.raises(SystemExit) as stop:
        main(["dictionary", *words])
    assert stop.value.code == 2
    assert "usage: python -m datamodules" in capsys.readouterr().err
