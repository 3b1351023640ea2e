"""Phrases of word vectors, computed by hand; unknown words; what the hash depends on."""

import numpy as np
import pytest

from datamodules.dictionary.embed.keyed_vectors import FileVectors
from datamodules.dictionary.embed.phrases import phrase_rows, words_of

TEXT = "the 1 0\nred 0 2\ndark 4 4\n"


@pytest.fixture
def path(tmp_path):
    path = tmp_path / "small.txt"
    path.write_text(TEXT)
    return path


def test_a_phrase_is_the_weighted_mean_of_its_known_words_by_zipfs_law(path):
    harmonic = 1 + 1 / 2 + 1 / 3
    weight = {
        word: 0.001 / (0.001 + 1 / (rank * harmonic))
        for rank, word in enumerate(("the", "red", "dark"), start=1)
    }
    expected = (weight["dark"] * np.array([4, 4]) + weight["red"] * np.array([0, 2])) / (
        weight["dark"] + weight["red"]
    )
    rows = FileVectors(path).encode(["dark red", "dark unheard red"])
    np.testing.assert_allclose(rows, [expected, expected], rtol=1e-6)
    assert rows[0, 0] > 2  # the rarer word counts for more


def test_counts_take_the_place_of_zipfs_law(path):
    # p = 0.009 for "the", 0.001 for "red": weights 0.1 and 0.5. "dark" was never counted: 1.
    vectors = FileVectors(path, counts={"the": 9, "red": 1, "else": 990})
    expected = [[(0.1 * 1 + 0.5 * 0) / 0.6, (0.5 * 2) / 0.6], [4 / 1.5, (4 + 1) / 1.5]]
    np.testing.assert_allclose(vectors.encode(["the red", "red dark"]), expected, rtol=1e-6)


def test_a_word_keeps_its_own_vector_and_so_does_a_phrase_that_has_one():
    words = {"red": np.float32([1, 3]), "dark": np.float32([0, 1]), "dark red": np.float32([7, 7])}
    rows = phrase_rows(["red", "dark red"], words, lambda _: 0.1, 2)
    assert rows.tolist() == [[1, 3], [7, 7]]


def test_unknown_words_are_told(path):
    vectors = FileVectors(path)
    texts = ["red", "unheard", "", "  ", "Red", "unheard red"]
    assert vectors.known(texts).tolist() == [True, False, False, False, False, True]
    assert vectors.encode(texts)[[1, 2, 3, 4]].tolist() == [[0, 0]] * 4
    assert vectors.encode([]).shape == (0, 2)
    assert vectors.known([]).shape == (0,)


def test_rows_do_not_depend_on_what_was_asked_before(path):
    asked = FileVectors(path)
    asked.encode(["the"])
    asked.known(["dark", "unheard"])
    texts = ["dark red", "the dark", "unheard"]
    assert asked.encode(texts).tobytes() == FileVectors(path).encode(texts).tobytes()


def test_a_file_is_read_again_only_for_words_not_asked_for_before(path):
    vectors = FileVectors(path)
    vectors.encode(["dark red", "unheard"])
    path.unlink()
    assert vectors.known(["dark red", "unheard", "dark"]).tolist() == [True, False, True]


def test_name_and_hash_tell_what_decides_the_vectors(path, tmp_path):
    copy = tmp_path / "other.txt"
    copy.write_text(TEXT)
    assert FileVectors(path).name == "vectors:small.txt"
    assert FileVectors(path).content_hash == FileVectors(copy).content_hash
    assert len(FileVectors(path).content_hash) == 64
    counted = {FileVectors(path, counts).content_hash for counts in (None, {}, {"red": 1})}
    copy.write_text(TEXT.replace("2", "3"))
    assert len(counted | {FileVectors(copy).content_hash}) == 4


def test_words_of_a_text_are_the_text_and_its_parts():
    assert words_of(["dark red", "red"]) == {"dark red", "dark", "red"}
