"""Running text: read line by line, and a dictionary whose words are typed by it and by WordNet."""

import gzip
import os
import random
import subprocess
import sys
from pathlib import Path
from types import SimpleNamespace

import pytest

import datamodules.sources
from datamodules.__main__ import main
from datamodules.annotations import Annotation, annotations_of
from datamodules.dictionary import Dictionary
from datamodules.dictionary.embed import TrainedVectors, Word2VecSettings
from datamodules.dictionary.embed.corpus import RUNNING_TEXT, read_text, shared_words
from datamodules.dictionary.embed.wordnet.database import WordNet
from datamodules.dictionary.embed.wordnet.text import wordnet_sentences
from datamodules.errors import InputError
from tests.wordnet_files import SYNSETS, database

ROOT = Path(__file__).parents[1]
LINES = "\ufeffA Dark-GREY wall, 3 m high.\r\n\n12 34\nno line end"
WORDS = [["a", "dark", "gray", "wall", "m", "high"], ["no", "line", "end"]]
GET = "Give a file of running text, one sentence or paragraph a line."
# "linen" is known to WordNet alone, "ochre" to the text alone.
LIST = ["red", "blue", "wool", "denim", "linen", "ochre", "zyxt"]
TYPES = "color: {seeds: [red, blue]}\nmaterial: {seeds: [wool, denim]}\n"
EMBEDDER = "wordnet:wn+0.5*word2vec"


def sentences():
    draw = random.Random(0)
    colors, cloths = ["red", "blue", "ochre"], ["wool", "denim"]
    for _ in range(150):
        yield f"The {draw.choice(colors)} paint dries on the wall."
        yield f"She wears a coat made of {draw.choice(cloths)} today."


def fill(folder):
    """A list, types, running text and a small WordNet, as a person might have them."""
    linen = {"linen": ("n", "linen", "n", [("@", "cloth")], "fabric of flax")}
    reds = {key: ("a", key, "s", [("&", "chromatic")], "a color") for key in ("red", "blue")}
    (folder / "wn").mkdir()
    database(folder / "wn", SYNSETS | linen | reds)
    (folder / "list.txt").write_text("\n".join(LIST))
    (folder / "types.yaml").write_text(TYPES)
    (folder / "text.txt").write_text("\n".join(sentences()))
    return folder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return fill(tmp_path)


def command(embedder, *text, out="out.json"):
    given = [word for path in text for word in ("--text", str(path))]
    return ["dictionary", "build", "--list", "list.txt", "--types", "types.yaml", "--embedder",
            embedder, "--out", out, *given]  # fmt: skip


def built(*args):
    assert main(command(*args)) == 0
    return Dictionary.load(Path("out.json"))


def types_of(dictionary):
    return {value.text: each.name for each in dictionary.attributes for value in each.values}


def message(path):
    with pytest.raises(InputError) as caught:
        list(read_text(path))
    return str(caught.value)


@pytest.mark.parametrize("name", ["plain.txt", "packed.gz"])
def test_lines_become_normalized_words_and_a_gz_file_is_unpacked(name, tmp_path):
    data = LINES.encode()
    (tmp_path / name).write_bytes(gzip.compress(data) if name.endswith("gz") else data)
    assert list(read_text(tmp_path / name)) == WORDS


def test_a_line_longer_than_gensim_reads_is_cut(tmp_path):
    (tmp_path / "book.txt").write_text("red car " * 10_001)
    assert [len(words) for words in read_text(tmp_path / "book.txt")] == [10_000, 10_000, 2]


def test_a_line_is_read_before_the_next_one_is_looked_at(tmp_path):
    for name, pack in (("plain", bytes), ("packed", gzip.compress)):
        (tmp_path / name).write_bytes(pack(b"a red car\n\xff"))
        words = read_text(tmp_path / name)
        assert next(words) == ["a", "red", "car"]
        with pytest.raises(InputError):
            next(words)


def test_equal_words_are_one_object():
    one, other = shared_words([["".join(["r", "ed"]), "car"], ["".join(["r", "ed"])]])
    assert one[0] is other[0]
    assert (one, other) == (["red", "car"], ["red"])


def test_what_cannot_be_read_is_named_with_its_line(tmp_path):
    path = tmp_path / "text"
    assert message(path) == f"expected running text at {path}, found no such file. {GET}"
    broken = f"{path}, line 2: expected UTF-8 text, got the byte b'\\xff'. Save the file as UTF-8."
    path.write_bytes(b"a red car\na \xff car\n")
    assert message(path) == broken
    path.write_bytes(gzip.compress(path.read_bytes()))
    assert message(path) == broken
    path.write_bytes(path.read_bytes()[:-9])
    assert message(path) == (
        f"{path} is not a whole gzip file (Compressed file ended before the end-of-stream marker "
        "was reached). Copy or download it again."
    )
    path.write_text("12\n--\n")
    assert message(path) == f"expected words in {path}, got none. {GET}"
    path.unlink()
    path.mkdir()
    assert message(path) == f"could not read {path}: Is a directory."


def test_text_types_a_word_that_wordnet_does_not_know(folder):
    alone = built("wordnet:wn")
    assert types_of(alone)["linen"] == "material"
    assert alone.unknown == ("ochre", "zyxt")
    joined = built(EMBEDDER, "text.txt")
    expected = {"red": "color", "blue": "color", "ochre": "color"}
    expected |= dict.fromkeys(["wool", "denim", "linen"], "material")
    assert types_of(joined) == expected
    assert joined.unknown == ("zyxt",)
    text_alone = built("word2vec", "text.txt")
    assert "linen" in text_alone.unknown
    assert types_of(text_alone)["ochre"] == "color"


def trained_on(sentences, settings):
    """Whether the build kept rows of word2vec that was trained so."""
    name = TrainedVectors(sentences, settings).content_hash
    return Path(f"artifacts/cache/embeddings/{name}.npz").is_file()


def test_word2vec_is_trained_on_the_words_the_text_and_wordnet_in_that_order(folder):
    (folder / "more.txt").write_text("linen is light\n")
    dictionary = built(EMBEDDER, "text.txt", "more.txt")
    words = [[word] for word in sorted(LIST)]
    text = [*read_text(folder / "text.txt"), ["linen", "is", "light"]]
    wordnet = list(wordnet_sentences(WordNet(folder / "wn")))
    assert trained_on([*words, *text, *wordnet], RUNNING_TEXT)
    assert dictionary.embedder == "wordnet+0.5*word2vec"
    assert not trained_on([*words, *wordnet], RUNNING_TEXT)
    assert built(EMBEDDER).embedder_hash != dictionary.embedder_hash
    assert trained_on([*words, *wordnet], RUNNING_TEXT)


def test_settings_are_those_of_running_text_only_where_there_is_some(folder):
    phrases = [f"{color} {thing}" for color in ("blue", "red") for thing in LIST[2:]]
    (folder / "list.txt").write_text("\n".join(phrases))
    words = [phrase.split() for phrase in sorted(phrases)]
    built("word2vec")
    assert trained_on(words, Word2VecSettings())
    built("word2vec", "text.txt")
    assert trained_on([*words, *read_text(folder / "text.txt")], RUNNING_TEXT)


def test_two_processes_write_the_same_bytes(folder, tmp_path_factory):
    built(EMBEDDER, "text.txt")
    other = fill(tmp_path_factory.mktemp("other"))
    subprocess.run(
        [sys.executable, "-m", "datamodules", *command(EMBEDDER, "text.txt")],
        check=True, cwd=other, capture_output=True,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)},
    )  # fmt: skip
    assert (other / "out.json").read_bytes() == (folder / "out.json").read_bytes()


def refused(capsys, words):
    assert main(words) == 2
    assert not Path("out.json").exists()
    return capsys.readouterr().err.strip().removeprefix("error: ")


def test_text_that_nothing_would_read_is_refused(folder, capsys):
    assert refused(capsys, command("wordnet:wn", "text.txt")) == (
        "--text: expected word2vec, which is trained on it, in --embedder, got 'wordnet:wn'. Give "
        "--embedder wordnet:wn+0.5*word2vec, or leave --text out."
    )
    assert refused(
        capsys, ["dictionary", "build", "--list", "list.txt", "--text", "t", "--out", "out.json"]
    ) == (
        "--text: expected word2vec, which is trained on it, in --embedder, got 'sentence'. Give "
        "--embedder sentence+0.5*word2vec, or leave --text out."
    )
    assert refused(capsys, command("word2vec", "text.txt", "none.txt")).startswith(
        "expected running text at none.txt, found no such file."
    )


@pytest.mark.parametrize(
    ("source", "why"),
    [
        (("captions", False), "whose captions are what word2vec is trained on"),
        (("annotations", True), "whose annotations state the types of their words"),
    ],
)
def test_text_beside_captions_or_stated_types_is_refused(source, why, folder, capsys, monkeypatch):
    given_source(monkeypatch, states_types=source[1])
    assert refused(
        capsys,
        ["dictionary", "build", "--words", source[0], "--embedder", "word2vec", "--text",
         "text.txt", "--out", "out.json"],
    ) == (
        "--text: expected --list FILE, or a source of words whose types are not known, got "
        f"glyphs, {why}. Leave --text out."
    )  # fmt: skip


def test_captions_take_word2vec_alone(folder, capsys, monkeypatch):
    given_source(monkeypatch, states_types=False)
    assert refused(
        capsys,
        ["dictionary", "build", "--words", "captions", "--embedder", EMBEDDER, "--out", "out.json"],
    ) == (
        "--embedder: expected word2vec alone for the captions of glyphs, or vectors without it, "
        f"got '{EMBEDDER}'. Leave one of them out."
    )


def given_source(monkeypatch, *, states_types):
    source = SimpleNamespace(
        name="glyphs",
        states_types=states_types,
        captions=lambda split: [],
        annotations=annotations_of([Annotation("a", "train", "color", "red")]),
    )
    monkeypatch.setattr(datamodules.sources, "load_source", lambda name, root: source)
