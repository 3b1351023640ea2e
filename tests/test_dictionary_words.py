"""A dictionary of words of no stated type, from the front door to the labels."""

import json
from pathlib import Path

import numpy as np
import pytest
import yaml

from datamodules.__main__ import main
from datamodules.dictionary import Dictionary
from datamodules.dictionary.given import words_hash
from datamodules.dictionary.settings import load_types
from datamodules.errors import InputError
from datamodules.sources import load_source

COLORS = ["red", "crimson", "blue", "navy", "green", "olive", "yellow", "mustard", "black", "white"]
MATERIALS = ["wooden", "oaken", "metal", "steel", "glass", "plastic", "rubber", "leather"]
SIZES = ["small", "tiny", "large", "huge", "big"]
COUNTS = {word: 200 - 5 * n for n, word in enumerate([*COLORS, *MATERIALS, *SIZES])}


def direction(kind, word, rng):
    """A vector near its kind's axis; near words of one kind share a second axis."""
    row = np.zeros(12)
    row[("color", "material", "size", "other").index(kind)] = 1.0
    row[4 + hash_of(word) % 8] = 0.35
    return row + 0.05 * rng.standard_normal(12)


def hash_of(word):
    near = {"crimson": "red", "navy": "blue", "oaken": "wooden", "steel": "metal", "tiny": "small"}
    return sum(map(ord, near.get(word, word)))


@pytest.fixture
def vectors(tmp_path, monkeypatch):
    """A file of word vectors for our words and for the types' own; works in an empty folder."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    kinds = {"color": COLORS, "material": MATERIALS, "size": SIZES}
    owner = {word: kind for kind, words in kinds.items() for word in words}
    for spec in load_types():
        for word in spec.anchors:
            owner.setdefault(word, spec.name if spec.name in kinds else "other")
    singles = {word: kind for word, kind in owner.items() if " " not in word}
    lines = [
        f"{word} {' '.join(f'{x:.5f}' for x in direction(kind, word, rng))}"
        for word, kind in singles.items()
    ]
    (tmp_path / "vectors.txt").write_text("\n".join(lines) + "\n")
    return f"vectors:{tmp_path / 'vectors.txt'}"


@pytest.fixture
def words(tmp_path):
    """A list of words with counts."""

    def write(more=(), name="words.csv"):
        rows = [f"{word},{count}" for word, count in [*COUNTS.items(), *more]]
        (tmp_path / name).write_text("word,count\n" + "\n".join(rows) + "\n")
        return str(tmp_path / name)

    return write


def build(vectors, *args):
    assert main(["dictionary", "build", "--embedder", vectors, *args]) == 0


def load(name="words"):
    return Dictionary.load(Path(f"artifacts/dictionary/{name}.json"))


def types_of(dictionary):
    return {value.text: each.name for each in dictionary.attributes for value in each.values}


def test_words_get_the_types_they_are_like(vectors, words, capsys):
    build(vectors, "--list", words([("dark red", 40), ("Dark-Red", 2), ("not red", 7)]))
    dictionary = load()
    found = types_of(dictionary)
    for kind, members in (("color", COLORS), ("material", MATERIALS), ("size", SIZES)):
        assert {word for word in members if found.get(word) == kind} == set(members)
    red = dictionary.find("red")[1]
    assert (red.count, red.denied, red.evidence) == (200, 7, "seed")
    assert red.denials == {"not red": 7}
    dark = dictionary.find("dark red")[1]
    assert (dark.count, dark.forms) == (42, {"dark red": 40, "Dark-Red": 2})
    assert dark.evidence.startswith("rule:")
    assert dictionary.find("crimson")[1].evidence == "anchor"
    color = dictionary.attribute("color")
    total = sum(value.count for each in dictionary.attributes for value in each.values)
    assert color.merit.coverage == pytest.approx(sum(v.count for v in color.values) / total, 1e-3)
    assert [value.count for value in color.values] == sorted(
        (value.count for value in color.values), reverse=True
    )
    assert "color" in capsys.readouterr().out


def test_words_without_a_vector_are_told_and_stay(vectors, words, capsys):
    build(vectors, "--list", words([("zyxt", 90)]))
    dictionary = load()
    assert dictionary.unknown == ("zyxt",)
    (loose,) = (each for each in dictionary.unassigned if each.text == "zyxt")
    assert (loose.reason, loose.count, loose.nearest) == ("no vector", 90, "")
    assert "no vector   1: zyxt" in capsys.readouterr().out


def test_pure_hdbscan_stands_beside_the_anchored_mode(vectors, words):
    path = words()
    build(vectors, "--list", path)
    anchored = load()
    build(vectors, "--list", path, "--mode", "hdbscan", "--out", "pure.json")
    pure = Dictionary.load(Path("pure.json"))
    assert pure.labels_ == anchored.labels_
    assert pure.scores["hdbscan"] == anchored.scores["hdbscan"]
    evidence = {value.evidence for each in pure.attributes for value in each.values}
    assert evidence <= {"cluster"}
    assert anchored.scores["anchored"]["coverage"] >= pure.scores["hdbscan"]["coverage"]


def test_linkage_gives_every_value_a_group(vectors, words):
    path = words()
    build(vectors, "--list", path, "--groups", "linkage")
    color = load().attribute("color")
    assert all(value.group for value in color.values)
    group = {value.text: value.group for value in color.values}
    assert group["red"] == group["crimson"]
    assert group["blue"] == group["navy"]
    assert {each.id for each in color.groups} == set(group.values())


def test_the_same_words_give_the_same_bytes_in_any_order(vectors, words, tmp_path):
    build(vectors, "--list", words())
    first = Path("artifacts/dictionary/words.json").read_bytes()
    page = Path("artifacts/dictionary/words.report.html").read_bytes()
    lines = (tmp_path / "words.csv").read_text().splitlines()
    (tmp_path / "words.csv").write_text("\n".join([lines[0], *reversed(lines[1:])]) + "\n")
    Path("artifacts/dictionary/words.json").unlink()
    build(vectors, "--list", str(tmp_path / "words.csv"))
    again = json.loads(Path("artifacts/dictionary/words.json").read_text())
    before = json.loads(first)
    again["data_hash"] = before["data_hash"]  # of the file as it is
    assert again == before
    assert page  # the page of equal dictionaries is tested beside it


def test_edits_and_ids_survive_a_rebuild_with_new_strings(vectors, words):
    edits = {
        "move": {"rubber": "texture"}, "merge": [["blue", "navy"]], "drop": ["plastic"],
        "select": ["color", "material"],
    }  # fmt: skip
    folder = Path("artifacts/dictionary")
    folder.mkdir(parents=True)
    (folder / "words.edits.yaml").write_text(yaml.safe_dump(edits))
    build(vectors, "--list", words())
    first = load()
    build(vectors, "--list", words([("azure", 3), ("oaken brown", 2)]))
    second = load()
    for dictionary in (first, second):
        found = types_of(dictionary)
        assert found["rubber"] == "texture"
        assert "navy" not in found
        assert "plastic" not in found
        assert dictionary.find("navy")[1].text == "blue"
        assert dictionary.find("blue")[1].count == COUNTS["blue"] + COUNTS["navy"]
        assert dictionary.names == ("color", "material")
    ids = {v.text: v.id for each in first.attributes for v in each.values}
    later = {v.text: v.id for each in second.attributes for v in each.values}
    assert ids.items() <= later.items()
    assert first.edits_hash == second.edits_hash != ""


def test_an_edit_that_fits_nothing_writes_nothing(vectors, words):
    Path("mine.yaml").write_text("drop: [purpel]\n")
    code = main(
        ["dictionary", "build", "--embedder", vectors, "--list", words(), "--edits", "mine.yaml"]
    )
    assert code == 2
    assert not list(Path("artifacts").rglob("words*"))


@pytest.fixture
def untyped(tmp_path):
    """A folder of the user's whose annotations state no types."""
    rows = ["image,split,attribute,value,label,object"]
    for n in range(60):
        split = ("train", "train", "validation")[n % 3]
        color, material = COLORS[n % 10], MATERIALS[n % 8]
        rows += [
            f"{n}.png,{split},,{color},1,car",
            f"{n}.png,{split},,{material},1,car",
            f"{n}.png,{split},,not {COLORS[(n + 1) % 10]},1,car",
        ]
    (tmp_path / "annotations.csv").write_text("\n".join(rows) + "\n")
    (tmp_path / "captions.csv").write_text("image,caption\n0.png,a red car\n")
    return tmp_path


def test_labels_find_every_spelling_and_every_denial(vectors, untyped):
    build(vectors, "--source", "folder", "--root", str(untyped))
    source, dictionary = load_source("folder", untyped), load("folder")
    assert dictionary.data_hash == words_hash(source)
    color = dictionary.attribute("color")
    assert color.exclusive  # no car shows two colors
    assert set(color.texts) == set(COLORS)
    assert color.values[0].objects == {"car": 6}
    labels = source.annotations.labels(
        "color", color.texts, exclusive=False, spellings=color.spellings, denials=color.denials
    )
    for item, image in enumerate(source.annotations.images):
        n = int(image.removesuffix(".png"))
        shown, denied = color.texts.index(COLORS[n % 10]), color.texts.index(COLORS[(n + 1) % 10])
        assert labels.label[item, shown] == 1
        assert labels.label[item, denied] == 0
        assert set(np.flatnonzero(labels.known[item])) == {shown, denied}


def test_training_counts_and_others_are_kept_apart(vectors, untyped):
    build(vectors, "--source", "folder", "--root", str(untyped))
    red = load("folder").find("red")[1]
    assert red.count == red.splits["train"] == 4
    assert red.splits["validation"] == 2


def test_an_embedder_of_another_form_is_refused(words, tmp_path, monkeypatch, capsys):
    monkeypatch.chdir(tmp_path)
    assert main(["dictionary", "build", "--list", words(), "--embedder", "glove"]) == 2
    assert "expected a source of word vectors, got 'glove'" in capsys.readouterr().err


def test_an_empty_list_is_refused(tmp_path):
    from datamodules.dictionary.command import Request, build_file

    (tmp_path / "none.txt").write_text("\n")
    with pytest.raises(InputError, match=r"expected attributes in .*none\.txt, got none"):
        build_file(tmp_path / "none.json", Request(lists=(tmp_path / "none.txt",)))
    assert [path.name for path in tmp_path.iterdir()] == ["none.txt"]
