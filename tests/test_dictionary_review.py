"""The review sheet: its order, its decisions, and what spreadsheets do to it."""

import csv
import io

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datamodules.__main__ import main
from datamodules.dictionary.edits import Edits, apply_edits, edits_text, load_edits
from datamodules.dictionary.review import read_review, review_rows, write_review
from datamodules.errors import InputError
from tests.words_by_hand import found, stated, value


def sheet(tmp_path, decisions=()):
    """The lines of the sheet with decisions on some words."""
    path = tmp_path / "review.tsv"
    write_review(found(), path, replace=True)
    head, *rows = csv.reader(io.StringIO(path.read_text()), "excel-tab")
    decided = dict(decisions)
    for row in rows:
        row[-1] = decided.pop(row[0], "")
    assert not decided
    return [head, *rows]


def save(path, rows, **dialect):
    stream = io.StringIO()
    csv.writer(stream, "excel-tab", **dialect).writerows(rows)
    path.write_bytes(stream.getvalue().encode())
    return path


def test_frequent_words_in_doubt_come_first_and_sure_ones_last(tmp_path):
    rows = review_rows(found())
    assert [row["word"] for row in rows] == [
        "grey",      # 40 x .7
        "smiling",   # 25 x 1
        "navy",      # 20 x .7
        "striped",   # 30 x .7 / 2, by a rule
        "closed",    # 14 x .7
        "silver",    # 12 x .7
        "furry",     # 8 x .95
        "greyish",   # 6 x .98
        "picture",   # no type was asked
        "red",       # a seed
    ]  # fmt: skip
    assert write_review(found(), tmp_path / "a.tsv", limit=3) == 3
    lines = (tmp_path / "a.tsv").read_text().splitlines()
    assert lines[0] == (
        "word\tcount\tattribute\tsecond\tscore\tmargin\tevidence\tgroup\tobjects\texamples\tdecision"
    )
    assert lines[1] == (
        "grey\t40\tcolor\t\t0.7\t0.3\tanchor\tcolor/grey\twall (9), cat (5)\t"
        "a grey wall | a gray cat\t"
    )
    assert len(lines) == 4


def test_what_is_given_reviewed_or_dropped_is_left_out():
    assert review_rows(stated()) == []
    after = apply_edits(
        found(), Edits(keep=("grey",), drop=("smiling",), move={"furry": "texture"})
    )
    words = [row["word"] for row in review_rows(after)]
    assert {"grey", "smiling", "furry"}.isdisjoint(words)
    assert words[:2] == ["navy", "striped"]


def test_a_rule_is_trusted_also_against_the_scores():
    words = [
        value("liked", 10, margin=0.4),
        value("doubted", 6, margin=-0.5),
        value("ruled", 10, margin=-0.5, evidence="rule:pattern"),
        value("agreed", 10, margin=0.4, evidence="rule:pattern"),
    ]
    before = type(found())("mine", "x", (type(found().attributes[0])("color", tuple(words)),))
    # 10 x .6, 6 x 1, 10 x 1 / 2, 10 x .6 / 2; of equal products the frequent word is first.
    assert [row["word"] for row in review_rows(before)] == ["liked", "doubted", "ruled", "agreed"]


def test_decisions_become_edits(tmp_path):
    rows = sheet(
        tmp_path,
        {"navy": "OK", "furry": "texture", "smiling": "drop", "picture": "ok", "silver": "=grey"},
    )
    edits = read_review(save(tmp_path / "done.tsv", rows))
    assert edits == Edits(
        move={"furry": "texture"}, merge=(("grey", "silver"),), drop=("smiling", "picture"),
        keep=("color/navy",),
    )  # fmt: skip
    assert edits.place("move", "furry") == f"{tmp_path / 'done.tsv'}, line 8"
    after = apply_edits(found(), edits)
    assert after.find("silver")[1].count == 52
    assert after.find("navy")[1].status == "reviewed"
    (tmp_path / "edits.yaml").write_text(edits_text(edits))
    assert load_edits(tmp_path / "edits.yaml") == edits


def test_a_sheet_without_decisions_is_no_edits(tmp_path):
    assert read_review(save(tmp_path / "done.tsv", sheet(tmp_path))) == Edits()


@pytest.mark.parametrize("quoting", [csv.QUOTE_MINIMAL, csv.QUOTE_ALL])
@pytest.mark.parametrize("mark", [b"", b"\xef\xbb\xbf"])
@pytest.mark.parametrize("end", ["\n", "\r\n"])
def test_what_spreadsheets_save_is_read_alike(tmp_path, quoting, mark, end):
    decisions = {"furry": " texture ", "navy": "ok"}
    plain = read_review(save(tmp_path / "plain.tsv", sheet(tmp_path, decisions)))
    path = save(tmp_path / "a.tsv", sheet(tmp_path, decisions), quoting=quoting, lineterminator=end)
    path.write_bytes(mark + path.read_bytes())
    assert read_review(path) == plain == Edits(move={"furry": "texture"}, keep=("color/navy",))


def test_columns_may_be_moved_removed_and_cut_off_at_the_end(tmp_path):
    path = tmp_path / "a.tsv"
    path.write_text(
        "decision\tword\tattribute\nok\tnavy\tcolor\n\t\t\ndrop\tpicture\n\tred\tcolor\n"
    )
    assert read_review(path) == Edits(keep=("color/navy",), drop=("picture",))


def test_words_with_tabs_and_quotes_survive(tmp_path):
    before = found()
    odd = value('5" wheel\tbase', 50)
    color = before.attributes[0]
    before = type(before)(
        **{**vars(before), "attributes": (type(color)("color", (*color.values, odd)),)}
    )
    path = tmp_path / "a.tsv"
    write_review(before, path)
    rows = list(csv.reader(io.StringIO(path.read_text()), "excel-tab"))
    assert rows[1][0] == '5" wheel base'
    rows[1][-1] = "ok"
    after = apply_edits(before, read_review(save(tmp_path / "b.tsv", rows)))
    assert after.find('5" wheel base')[1].status == "reviewed"


def test_a_word_of_several_attributes_is_written_with_its_own(tmp_path):
    before = stated()
    birds = [
        type(each)(each.name, tuple(value(v.text, v.count) for v in each.values))
        for each in before.attributes
    ]
    before = type(before)(**{**vars(before), "attributes": tuple(birds)})
    rows = review_rows(before)
    assert [row["word"] for row in rows] == [
        "wing color/black", "belly color/black", "grey", "white",
    ]  # fmt: skip
    write_review(before, tmp_path / "a.tsv")
    text = (tmp_path / "a.tsv").read_text().replace("\t\n", "\tok\n")
    (tmp_path / "a.tsv").write_text(text)
    edits = read_review(tmp_path / "a.tsv")
    assert edits.keep == (
        "wing color/black", "belly color/black", "wing color/grey", "belly color/white",
    )  # fmt: skip
    statuses = [v.status for each in apply_edits(before, edits).attributes for v in each.values]
    assert statuses == ["reviewed"] * 4


def test_a_sheet_that_is_there_is_not_overwritten_unasked(tmp_path):
    path = tmp_path / "review.tsv"
    write_review(found(), path)
    with pytest.raises(InputError, match=r"or add --replace; decisions in it would be lost\."):
        write_review(found(), path)


def command(*words):
    """The exit code of `review` of the dictionary in the current folder."""
    return main(["dictionary", "review", "d.json", *words])


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    found().save(tmp_path / "d.json")
    return tmp_path


def test_the_command_replaces_a_sheet_and_a_file_of_edits_when_told_so(saved, capsys):
    (saved / "a.tsv").write_text("mine")
    (saved / "edits.yaml").write_text("# mine")
    (saved / "done.tsv").write_text(HEAD + "navy\tcolor\tok\n")
    assert command("--out", "a.tsv") == command("--read", "done.tsv", "--out", "edits.yaml") == 2
    errors = capsys.readouterr().err.splitlines()
    assert errors == [
        "error: expected a new file for the review, a.tsv is there already. Choose another name, "
        "or add --replace; decisions in it would be lost.",
        "error: expected a new file for the edits, edits.yaml is there already. Choose another "
        "name, or add --replace; comments in it would be lost.",
    ]
    assert command("--out", "a.tsv", "--replace", "--limit", "1") == 0
    assert capsys.readouterr().out == "1 word to judge, most urgent first\n\nsheet  a.tsv\n"
    assert len((saved / "a.tsv").read_text().splitlines()) == 2
    assert command("--read", "done.tsv", "--out", "edits.yaml", "--replace") == 0
    assert load_edits(saved / "edits.yaml") == Edits(keep=("color/navy",))


@pytest.mark.parametrize("limit", ["0", "-1"])
def test_a_sheet_of_no_rows_is_refused(saved, capsys, limit):
    assert command("--out", "a.tsv", f"--limit={limit}") == 2
    assert capsys.readouterr().err == (
        f"error: --limit: expected 1 row or more, got {limit}. Leave it out for all.\n"
    )
    assert not (saved / "a.tsv").exists()


def test_decisions_that_do_not_fit_the_dictionary_make_no_edits(saved, capsys):
    (saved / "done.tsv").write_text(
        HEAD + "navi\tcolor\tdrop\nfurry\tcolor\ttextur\ngrey\tcolor\tok\n"
    )
    assert command("--read", "done.tsv", "--out", "edits.yaml") == 2
    error = capsys.readouterr().err
    assert error.startswith("error: expected edits that fit the sample dictionary, got 2 that do ")
    assert "done.tsv, line 2: no word 'navi' (near: navy)" in error
    assert "done.tsv, line 3: no attribute 'textur' (near: texture)" in error
    assert not (saved / "edits.yaml").exists()


def test_a_kind_that_is_new_in_the_edits_may_be_named_on_the_sheet(saved):
    (saved / "old.yaml").write_text("types: {mood: {seeds: [happy]}}\n")
    (saved / "done.tsv").write_text(HEAD + "smiling\t\tmood\n")
    read = ["--read", "done.tsv", "--out", "edits.yaml"]
    assert command(*read) == 2
    assert command(*read, "--edits", "old.yaml") == 0
    assert load_edits(saved / "edits.yaml").move == {"smiling": "mood"}


HEAD = "word\tattribute\tdecision\n"


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("", "line 1: expected one column of each of word, attribute, decision between tabs"),
        ("word,attribute,decision\n", "line 1: expected one column of each of word, attribute"),
        ("word\tattribute\n", "got word, attribute; look at decision."),
        (HEAD + "red\tcolor\tok\tno\n", "line 2: expected 3 cells between tabs, got 4"),
        (HEAD + '"red\tcolor\tok\n', "line 2: expected cells between tabs, got unexpected end"),
        (HEAD + '"red"x\tcolor\tok\n', "line 2: expected cells between tabs, got"),
        (HEAD + "\n\t\tok\n", "line 3: expected a word and ok, drop, =word or an attribute"),
        (HEAD + "red\tcolor\t=\n", "line 2: expected a word and ok, drop, =word or an attribute"),
        (HEAD + "red\tcolor\t#NAME?\n", "type '=word, with an apostrophe"),
        (HEAD + "red\tcolor\t=Red\n", "line 2: expected another word than 'red' after ="),
        (HEAD + "red\ta\tb\nred\ta\tc\n", "line 3: expected one attribute for 'red', got 'c' and"),
        (HEAD + "red\ta\tb\nRed\ta\tdrop\n", "line 3: expected one fate a word, got 'Red' to drop"),
        (HEAD + "red\ta\t=tan\ntan\ta\t=red\n", "a circle: "),
    ],
)  # fmt: skip
def test_a_broken_sheet_is_explained(tmp_path, text, message):
    path = tmp_path / "review.tsv"
    path.write_text(text)
    with pytest.raises(InputError) as caught:
        read_review(path)
    assert str(path) in str(caught.value)
    assert message in str(caught.value)


def test_a_missing_or_foreign_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"expected a review sheet at .*none\.tsv, found no such"):
        read_review(tmp_path / "none.tsv")
    (tmp_path / "a.tsv").write_bytes(HEAD.encode("utf-16"))
    with pytest.raises(InputError, match="Save the file as UTF-8"):
        read_review(tmp_path / "a.tsv")


CELLS = st.one_of(
    st.sampled_from(["ok", "drop", "=red", "red", "color", "", '"', "=", "word", "\r", "\n", "\0"]),
    st.text(max_size=5),
)


@settings(max_examples=200, deadline=None, derandomize=True,
          suppress_health_check=[HealthCheck.function_scoped_fixture])  # fmt: skip
@given(st.lists(st.lists(CELLS, max_size=4).map("\t".join), max_size=6), st.booleans())
def test_any_sheet_is_read_or_refused(tmp_path, lines, headed):
    path = tmp_path / "any.tsv"
    path.write_bytes((HEAD * headed + "\n".join(lines)).encode("utf-8", "replace"))
    try:
        edits = read_review(path)
    except InputError:
        return
    (tmp_path / "edits.yaml").write_text(edits_text(edits), newline="")
    assert load_edits(tmp_path / "edits.yaml") == edits
