"""What the benchmark of types reads, on files of this test's own; and our own word list."""

import json

import pytest

from benchmarks import _typing_data as source
from benchmarks.dictionary_types import main
from datamodules.dictionary.scoring.reference import Reference
from datamodules.dictionary.settings import load_types
from datamodules.errors import InputError


def write(path, content):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text(content if isinstance(content, str) else json.dumps(content))


def test_only_words_of_one_parent_type_inside_the_index_are_scored(tmp_path):
    write(tmp_path / "vaw/attribute_index.json", {"teal": 0, "dark-gray": 1, "odd": 2, "long": 3})
    write(tmp_path / "vaw/attribute_types.json", {
        "hue": ["teal", "dark grey", "plum"], "tone": ["teal"], "reach": ["long"], "other": ["odd"],
        "weight": ["dark gray"], "size comparison": ["longer"],
    })  # fmt: skip
    write(
        tmp_path / "vaw/attribute_parent_types.json",
        {"color": ["hue", "tone"], "size": ["reach", "weight"], "other": ["other"]},
    )
    words, reference = source.vaw(tmp_path)
    assert words == ["teal", "dark gray", "odd", "long"]
    assert reference == Reference({"teal": "color", "long": "size"})


def test_values_of_cub_have_the_type_that_ends_their_group(tmp_path):
    write(
        tmp_path / "attributes.txt",
        "1 has_bill_shape::curved_(up)\n2 has_wing_color::teal\n3 has_tail_color::teal\n"
        "4 has_wing_pattern::solid\n5 has_tail_shape::solid\n6 has_bill_length::about_head\n"
        "7 has_nest_kind::cup\n",
    )
    words, reference = source.cub(tmp_path)
    assert words == ["curved", "teal", "solid", "about head", "cup"]
    assert reference.types == {"curved": "shape", "teal": "color", "about head": "size"}
    assert reference.counts["teal"] == 2


def test_what_a_wrong_twin_has_instead_is_of_the_files_type(tmp_path):
    folder = tmp_path / "visual_genome/vl_checklist_vg"
    pairs = [["a.jpg", {"POS": ["teal cup", "a big dog"], "NEG": ["plum cup", "a dog that is"]}]]
    write(folder / "color.json", pairs)
    write(folder / "size.json", [["a.jpg", {"POS": ["a cup"], "NEG": ["a very small cup"]}]])
    _, reference = source.vl_checklist(tmp_path)
    assert reference.types["plum"] == "color"
    assert reference.types["very small"] == "size"


def test_a_missing_file_is_named(tmp_path):
    with pytest.raises(InputError, match=r"expected attributes\.txt at .*Name the folder with --d"):
        source.cub(tmp_path)


def test_our_own_list_knows_every_shipped_type_and_repeats_no_word():
    words, reference = source.own_words(), source.own()
    assert len(words) == len(set(words)) == 543
    assert set(reference.types.values()) == {each.name for each in load_types()}
    assert len(reference.types) == 491  # 52 are of no type
    assert not reference.several


def test_without_data_it_is_skipped_in_a_sentence(monkeypatch, capsys):
    monkeypatch.delenv("ASPECTRA_DATA", raising=False)
    assert main(["--json"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert lines[0] == "skipped: no data sets at hand: name their folder with --data"
    assert json.loads(lines[-1]) == {"skipped": lines[0].removeprefix("skipped: ")}
