"""WordNet's files: a small database of this test's own, read like the real one."""

import shutil

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from threadpoolctl import threadpool_limits

from datamodules.dictionary.embed import WordNetVectors, features
from datamodules.dictionary.embed.wordnet.database import FILES, WordNet, wordnet_features
from datamodules.dictionary.embed.wordnet.text import wordnet_sentences
from datamodules.errors import InputError
from tests.wordnet_files import database


@pytest.fixture
def wordnet(tmp_path):
    return WordNet(database(tmp_path))


def test_synsets_are_read_with_words_pointers_and_gloss(wordnet):
    (offset,) = wordnet.senses("teal", "a")[0]
    teal = wordnet.synset("a", offset)
    assert teal.words == ("teal", "sea_green(a)")
    assert (teal.file, teal.satellite, teal.gloss) == (7, True, "blue and green")
    assert [wordnet.synset(*place).words for place in teal.to("&")] == [("chromatic",)]
    assert teal.to("@") == []
    assert [synset.words[0] for _, synset in wordnet.synsets("v")] == ["walk"]


def test_base_forms_are_found_by_the_endings_of_english(wordnet):
    assert wordnet.senses("fabrics", "n") == wordnet.senses("fabric", "n") != []
    for form in ("walks", "walked", "walking", "walkked"):
        assert wordnet.senses(form, "v") == wordnet.senses("walk", "v")
    assert wordnet.senses("walks", "n") == []


def test_traits_lead_up_to_what_a_word_is_a_kind_or_an_attribute_of(wordnet):
    cloth, thing = (f"n{wordnet.senses(word, 'n')[0][0]}" for word in ("cloth", "entity"))
    denim = wordnet.traits("denim")
    assert denim[thing] == pytest.approx(0.7 * 0.9**2)
    assert denim[cloth] == pytest.approx(0.7 * 0.9)
    tint = wordnet.senses("color", "n")[0][0]
    teal = wordnet.traits("teal")
    assert teal[f"attribute {tint}"] == 1.0
    assert teal[f"n{tint}"] == 1.0
    assert teal[thing] == pytest.approx(0.9)
    assert wordnet.traits("woolen")[cloth] == pytest.approx(0.5 * 0.9)  # by way of wool


def test_a_phrase_is_looked_up_whole_then_by_its_head(wordnet):
    assert wordnet.traits("sea green") == wordnet.traits("teal")
    assert wordnet.traits("strong denim") == wordnet.traits("denim")
    assert wordnet.traits("walking slowly") == wordnet.traits("walk")
    assert wordnet.traits("xyzzy") == wordnet.traits("blue xyzzy") == wordnet.traits("") == {}


def test_rows_of_words_of_a_kind_are_alike(wordnet):
    texts = ["denim", "wool", "woolen", "teal", "sea green", "walk", "xyzzy"]
    rows = wordnet_features(wordnet, texts)
    likeness = rows @ rows.T
    np.testing.assert_allclose(np.diag(likeness), [1] * 6 + [0])
    assert likeness[0, 1] > 0.5 > likeness[0, 3]
    assert likeness[3, 4] == pytest.approx(1)
    assert not rows[6].any()
    assert wordnet_features(wordnet, ["xyzzy"]).shape == (1, 1)


def groups(folder, count=300):
    """A database of `count` groups of two nouns each, below one top; and the nouns."""
    synsets = {"top": ("n", "top", "n", [], "all")}
    for group in range(count):
        synsets[f"g{group}"] = ("n", f"group{group:03d}", "n", [("@", "top")], "some")
        for member in "ab":
            key = f"g{group}{member}"
            synsets[key] = ("n", f"w{group:03d}{member}", "n", [("@", f"g{group}")], "one")
    return database(folder, synsets), [f"w{n:03d}{member}" for n in range(count) for member in "ab"]


def test_many_traits_are_reduced_without_changing_products(tmp_path):
    folder, texts = groups(tmp_path)
    rows = wordnet_features(WordNet(folder), texts)
    assert rows.shape == (600, 256)
    likeness = rows @ rows.T
    pairs = likeness[np.arange(0, 600, 2), np.arange(1, 600, 2)]
    assert np.median(pairs) > 0.9
    assert np.median(np.abs(likeness[0, 2:])) < 0.2


def test_reduced_rows_are_the_same_bytes_with_any_number_of_threads(tmp_path):
    import scipy.linalg  # noqa: F401 -- threads are set for what is loaded

    folder, texts = groups(tmp_path)
    found = []
    for threads in (1, 2):
        with threadpool_limits(threads):
            found.append(wordnet_features(WordNet(folder), texts).tobytes())
    assert found[0] == found[1]


def test_as_a_source_of_vectors_the_texts_of_a_call_decide_its_rows(wordnet):
    vectors = WordNetVectors(wordnet)
    texts = ["denim", "wool", "teal", "xyzzy", "strong denim"]
    rows = vectors.encode(texts)
    assert rows.dtype == np.float32
    np.testing.assert_array_equal(rows, wordnet_features(wordnet, texts).astype(np.float32))
    assert vectors.known(texts).tolist() == [True, True, True, False, True]
    fewer = vectors.encode(texts[:2])
    assert fewer[0] @ fewer[1] != pytest.approx(rows[0] @ rows[1])
    assert not features(vectors, texts)[3].any()
    assert vectors.encode([]).shape[0] == len(vectors.known([])) == 0


def test_the_hash_follows_every_file_and_not_where_it_lies(tmp_path):
    (tmp_path / "one").mkdir()
    here = WordNetVectors(WordNet(database(tmp_path / "one")))
    shutil.copytree(tmp_path / "one", tmp_path / "two/dict")
    assert WordNetVectors(WordNet(tmp_path / "two")).content_hash == here.content_hash
    found = {here.content_hash}
    for path in sorted((tmp_path / "one").iterdir()):
        with path.open("a") as stream:
            stream.write("  30 more licence\n")
        found.add(WordNetVectors(WordNet(tmp_path / "one")).content_hash)
    assert len(found) == 1 + 2 * len(FILES)


def test_running_text_holds_definitions_examples_relations_and_chains(wordnet):
    sentences = list(wordnet_sentences(wordnet))
    assert ["denim", "jean", "a", "strong", "fabric"] in sentences
    assert ["a", "warm", "color"] in sentences
    assert ["teal", "sea", "green", "chromatic"] in sentences
    assert ["denim", "fabric", "entity"] in sentences
    assert ["woolen", "wool"] in sentences


def test_a_folder_dict_inside_is_found(tmp_path):
    (tmp_path / "dict").mkdir()
    database(tmp_path / "dict")
    assert WordNet(tmp_path).senses("denim", "n")


def test_a_missing_file_is_named(tmp_path):
    database(tmp_path)
    (tmp_path / "data.verb").unlink()
    with pytest.raises(InputError) as caught:
        WordNet(tmp_path)
    assert str(caught.value) == (
        f"expected WordNet's file data.verb in {tmp_path}, found none. Give wordnet:FOLDER with "
        "the folder `dict` of WordNet, or leave wordnet out."
    )


@pytest.mark.parametrize("line", ["denim n\n", "denim n x 1 @ 1 0 00000000\n", "denim n 0 0 0 0\n"])
def test_a_broken_index_is_named_with_its_line(line, tmp_path):
    database(tmp_path)
    path = tmp_path / "index.noun"
    path.write_text(f"  1 licence\n{line}")
    with pytest.raises(InputError, match=r"index\.noun, line 2: expected a word with its senses"):
        WordNet(tmp_path).traits("denim")


def test_an_index_of_another_release_is_explained(tmp_path):
    database(tmp_path)
    path = tmp_path / "index.noun"
    path.write_text("denim n 1 1 @ 1 0 00000007  \n")
    with pytest.raises(InputError, match=r"data\.noun, byte 7: expected a synset, .*one release"):
        WordNet(tmp_path).traits("denim")


@given(st.binary(max_size=60) | st.just(b"00000000 07 n 00 000 | gloss"))
def test_any_bytes_in_a_data_file_are_read_or_explained(tmp_path_factory, data):
    folder = database(tmp_path_factory.mktemp("wn"))
    (folder / "index.noun").write_text("denim n 1 1 @ 1 0 00000000  \n")
    (folder / "data.noun").write_bytes(data)
    if _is_synset(data):
        assert WordNet(folder).traits("denim")
    else:
        with pytest.raises(InputError, match=r"data\.noun, byte 0: expected a synset"):
            WordNet(folder).traits("denim")


def _is_synset(data):
    """Whether the first line has the numbers of one without pointers: 0, file, type, 0, 0."""
    fields = data.split(b"\n")[0].partition(b"|")[0].split()
    zeros = (fields[0], *fields[3:5]) if len(fields) >= 5 else ()
    return bool(zeros) and fields[1].isdigit() and all(f.isdigit() and not int(f) for f in zeros)
