"""A dictionary as tables, configs, word lists and projector files, read by those who want them."""

import csv
import io
import json
import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import yaml

from datamodules.__main__ import main
from datamodules.dictionary import Unassigned
from datamodules.dictionary.edits import Edits, apply_edits
from datamodules.dictionary.explain import explain
from datamodules.dictionary.export.projector import export_projector
from datamodules.dictionary.export.tables import config_text, csv_text, word_types
from datamodules.dictionary.scoring.reference import read_reference
from datamodules.errors import InputError
from tests.words_by_hand import found, stated

ROOT = Path(__file__).parents[1]
NOTES = ("unassigned  ", "no vector   ", "proposals   ")


def test_csv_has_one_row_a_spelling():
    rows = list(csv.DictReader(io.StringIO(csv_text(found()))))
    assert rows[1] == {
        "word": "grey", "attribute": "color", "value": "grey", "group": "color/grey",
        "count": "25", "evidence": "anchor", "status": "auto",
    }  # fmt: skip
    assert (rows[2]["word"], rows[2]["value"], rows[2]["count"]) == ("gray", "grey", "15")
    words = {row["word"] for row in rows}
    assert len(words) == len(rows) == 9
    assert all(found().find(row["word"])[1].text == row["value"] for row in rows)


def test_the_config_is_one_that_training_takes(tmp_path, monkeypatch):
    from tests.test_configs import printed

    monkeypatch.chdir(ROOT)
    dictionary = tmp_path / "a: b.json"
    text = config_text(found(), dictionary, "texture", root=tmp_path)
    path = tmp_path / "texture.yaml"
    path.write_text(text)
    # As `make train` has it: the Makefile's own words come first, and ARGS last.
    config = printed(
        ["fit", "--config", "configs/train.yaml", "--data.attribute=color", "--data.source=glyphs",
         "--config", path]
    )  # fmt: skip
    assert config["data"] | yaml.safe_load(text)["data"] == config["data"]
    assert (config["data"]["attribute"], config["data"]["source"]) == ("texture", "sample")
    assert config["data"]["dictionary"] == str(dictionary)
    assert config["data"]["batch_size"] == 64
    assert "make train" in text.splitlines()[0]


def test_a_config_of_no_attribute_is_refused():
    with pytest.raises(InputError, match="expected an attribute of the sample dictionary, got 'x'"):
        config_text(found(), Path("a.json"), "x")


def test_the_word_list_is_a_reference(tmp_path):
    types, left_out = word_types(found())
    assert left_out == []
    (tmp_path / "types.json").write_text(json.dumps(types))
    assert read_reference(tmp_path / "types.json").types == types
    assert types == {
        "red": "color", "gray": "color", "navy": "color", "silver": "color", "furry": "color",
        "striped": "texture", "closed": "texture", "close": "texture",
    }  # fmt: skip
    assert word_types(stated()) == ({"gray": "wing color", "white": "belly color"}, ["black"])


def vectors(width=5):
    rng = np.random.default_rng(0)
    words = ("red", "gray", "navy", "Striped", "picture", "unheard")
    return {word: rng.normal(size=width).astype(np.float32) for word in words}


def test_the_projector_of_tensorboard_reads_the_files(tmp_path):
    from google.protobuf import text_format
    from tensorboard.plugins.projector import metadata, projector_plugin
    from tensorboard.plugins.projector.projector_config_pb2 import ProjectorConfig

    (tmp_path / "mine.txt").write_text("stays")
    assert export_projector(found(), vectors(), tmp_path) == 5
    text = (tmp_path / metadata.PROJECTOR_FILENAME).read_text()
    entry = text_format.Parse(text, ProjectorConfig()).embeddings[0]
    table = projector_plugin._read_tensor_tsv_file(str(tmp_path / entry.tensor_path))
    head, *rows = (tmp_path / entry.metadata_path).read_text().splitlines()
    assert head == "word\tattribute\tgroup\tcount"
    assert rows == [
        "red\tcolor\tcolor/red\t90", "grey\tcolor\tcolor/grey\t40", "navy\tcolor\tcolor/navy\t20",
        "striped\ttexture\t\t30", "picture\tunassigned\t\t300",
    ]  # fmt: skip
    expected = [vectors()[word] for word in ("red", "gray", "navy", "Striped", "picture")]
    np.testing.assert_array_equal(table.astype(np.float32), np.stack(expected))
    assert (tmp_path / "mine.txt").read_text() == "stays"


def test_words_and_rows_do_as_well_as_a_mapping(tmp_path):
    words, rows = zip(*vectors().items(), strict=True)
    export_projector(found(), vectors(), tmp_path / "a")
    export_projector(found(), (words, np.stack(rows)), tmp_path / "b")
    for name in ("vectors.tsv", "metadata.tsv", "projector_config.pbtxt"):
        assert (tmp_path / "a" / name).read_bytes() == (tmp_path / "b" / name).read_bytes()


@pytest.mark.parametrize(
    ("given", "message"),
    [
        ({"unheard": [1.0], "red": [0.0]}, "of the sample dictionary, got none for any"),
        ({"red": [1.0], "navy": [1.0, 2.0]}, "expected vectors of one width, got the shapes"),
        ({"red": [[1.0]]}, "expected vectors of one width"),
        ({"red": [float("nan")]}, "expected finite vectors"),
        ((["red", "navy"], [[1.0]]), "expected a vector a word, got 1 for 2 words"),
    ],
)
def test_vectors_that_make_no_table_are_refused(tmp_path, given, message):
    with pytest.raises(InputError, match=message):
        export_projector(found(), given, tmp_path)
    assert list(tmp_path.iterdir()) == []


def test_a_word_is_explained():
    assert explain(found(), "Gray") == [
        "'grey' is a value of color, shown 40 times, denied 2 times",
        "  why: near the seeds red (score 0.70)",
        "  spellings: grey (25), gray (15)",
        "  splits: train (30), test (10)",
        "  carried by: wall (9), cat (5)",
        "  group: grey (color/grey): grey, silver",
        "  status: found by the build, no person has looked at it",
        "  example: a grey wall",
        "  example: a gray cat",
        "  proposed merge: grey = greyish (both are forms of 'gray', cosine 0.91); not applied",
    ]
    assert "  why: near the seeds red (score 0.70, lead 0.05 over texture)" in explain(
        found(), "furry"
    )
    assert "  why: by the spelling rule 'pattern'" in explain(found(), "striped")


def test_unassigned_edited_and_stated_words_are_explained():
    assert explain(found(), "greyish")[:2] == [
        "'greyish' is no value, shown 6 times",
        "  why: between two attributes; nearest is color (score 0.00, lead 0.02)",
    ]
    assert explain(found(), "picture")[2].endswith("repeats it 1.02 times as often as chance")
    after = apply_edits(found(), Edits(move={"furry": "texture"}, drop=("navy",)))
    assert "  why: a person says so; before, it was color" in explain(after, "furry")
    assert "  status: reviewed by a person" in explain(after, "furry")
    assert explain(after, "navy") == [
        "'navy' is no value, shown 20 times", "  why: dropped by edits",
    ]  # fmt: skip
    lines = explain(stated(), "black")
    assert [line for line in lines if not line.startswith(" ")] == [
        "'black' is a value of wing color, shown 9 times",
        "'black' is a value of belly color, shown 7 times",
    ]
    assert lines[1] == "  why: the data set says so"
    assert len(explain(stated(), "belly color/black")) == len(lines) / 2


def test_an_unknown_word_names_near_ones():
    with pytest.raises(InputError, match=r"got 'stripd'\. Near spellings: striped\."):
        explain(found(), "stripd")


@pytest.fixture
def saved(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    replace(found(), read_from="list").save(tmp_path / "list.json")
    replace(found(), source="glyphs").save(tmp_path / "glyphs.json")
    return tmp_path


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (
            "list.json --format config --attribute color",
            "--format config: expected the dictionary of a data set, got that of the word list "
            "'sample', which has no images to train on. Build one of a data set: python -m "
            "datamodules dictionary build --source NAME.",
        ),
        (
            "glyphs.json --format config",
            "expected --attribute NAME for a configuration, got none. The dictionary selects: "
            "color, texture.",
        ),
        (
            "glyphs.json --format csv --attribute color",
            "--attribute is for --format config, got --format csv. Leave one of them out.",
        ),
        (
            "glyphs.json --format words --embedder wordnet:x",
            "--embedder is for --format projector, got --format words. Leave one of them out.",
        ),
        (
            "glyphs.json --format projector --root x",
            "--root is for --format config, got --format projector. Leave one of them out.",
        ),
    ],
)
def test_an_export_that_cannot_be_is_explained(saved, capsys, words, message):
    assert main(["dictionary", "export", *words.split(), "--out", "out"]) == 2
    assert capsys.readouterr().err == f"error: {message}\n"
    assert not (saved / "out").exists()


def test_the_command_writes_a_config_of_a_data_set(saved, capsys):
    words = "glyphs.json --format config --attribute texture --out texture.yaml"
    assert main(["dictionary", "export", *words.split()]) == 0
    assert capsys.readouterr().out == "2 words of glyphs\n\nconfig  texture.yaml\n"
    assert yaml.safe_load((saved / "texture.yaml").read_text()) == {
        "data": {"attribute": "texture", "source": "glyphs", "dictionary": "glyphs.json"}
    }


def test_the_command_gives_words_the_vectors_of_an_embedder(saved, capsys):
    (saved / "rows.txt").write_text("red 1 0\nnavy 0 1\npicture 1 1\n")
    words = "glyphs.json --format projector --embedder vectors:rows.txt --out folder"
    assert main(["dictionary", "export", *words.split()]) == 0
    assert capsys.readouterr().out.startswith("3 words of glyphs\n")
    rows = (saved / "folder/metadata.tsv").read_text().splitlines()[1:]
    assert [row.split("\t")[0] for row in rows] == ["red", "navy", "picture"]


def test_numbers_of_words_are_told_in_plain_english(saved, capsys):
    assert main(["dictionary", "show", "list.json"]) == 0
    assert "unassigned  3 words with 331 mentions: picture, smiling, greyish\n" in (
        capsys.readouterr().out
    )
    few = Unassigned("odd", 1, "no vector")
    many = tuple(Unassigned(f"odd {letter}", 1, "rare") for letter in "abcdef")
    for loose, unknown, proposals in (((few,), ("odd",), 1), (many, tuple("abcdef"), 2)):
        told = found().proposals[:proposals]
        replace(found(), unassigned=loose, unknown=unknown, proposals=told).save(saved / "d.json")
        assert main(["dictionary", "show", "d.json"]) == 0
    lines = [line for line in capsys.readouterr().out.splitlines() if line[:12] in NOTES]
    assert lines == [
        "unassigned  1 word with 1 mention: odd",
        "no vector   1: odd",
        "proposals   1 merge to judge",
        "unassigned  6 words with 6 mentions: odd a, odd b, odd c, odd d, odd e, ...",
        "no vector   6: a, b, c, d, e, ...",
        "proposals   2 merges to judge",
    ]


@pytest.mark.parametrize("words", ["dictionary show glyphs.json --json", "dictionary --help"])
@pytest.mark.parametrize("unbuffered", ["", "1"])
def test_a_reader_that_has_seen_enough_is_no_error(saved, words, unbuffered):
    read, write = os.pipe()
    os.close(read)  # as when `head` has ended already
    done = subprocess.run(
        [sys.executable, "-m", "datamodules", *words.split()], stdout=write, cwd=saved, text=True,
        stderr=subprocess.PIPE, check=False,
        env={**os.environ, "PYTHONPATH": str(ROOT), "PYTHONUNBUFFERED": unbuffered},
    )  # fmt: skip
    os.close(write)
    assert done.stderr == ""
    assert done.returncode in (0, 141)
    assert done.returncode == 141 or "--help" in words
