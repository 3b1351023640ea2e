"""Files of word vectors: every format beside gensim's own reader and beside a parse by NumPy."""

import gzip
import pickle
import struct
import warnings

import numpy as np
import pytest
from gensim.models import KeyedVectors
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from datamodules.dictionary.embed.keyed_vectors import FileVectors
from datamodules.dictionary.embed.vector_file import Layout, read_layout
from datamodules.errors import InputError

WORDS = ["the", "red", "dark", "striped", "naïve", "2004", "日本", "polka_dot"]
ROWS = np.random.default_rng(0).normal(size=(len(WORDS), 7)).astype(np.float32)
RED = "red 0.5 -1 2e-3\nblue 1 2 3\n"


def text(words, rows, header):
    lines = [
        " ".join([word, *map(repr, row.tolist())]) for word, row in zip(words, rows, strict=True)
    ]
    first = [f"{len(words)} {rows.shape[1]}"] if header else []
    return "".join(line + "\n" for line in first + lines).encode()


def binary(words, rows, end=b""):
    parts = [
        word.encode() + b" " + row.tobytes() + end for word, row in zip(words, rows, strict=True)
    ]
    return f"{len(words)} {rows.shape[1]}\n".encode() + b"".join(parts)


FORMATS = {
    "glove": text(WORDS, ROWS, header=False),
    "word2vec text": text(WORDS, ROWS, header=True),
    "word2vec binary": binary(WORDS, ROWS),
    "binary with line ends": binary(WORDS, ROWS, b"\n"),
}


@pytest.fixture
def write(tmp_path):
    def write(data, name="vectors.txt"):
        path = tmp_path / name
        path.write_bytes(data if isinstance(data, bytes) else data.encode())
        return path

    return write


def refused(path, *texts):
    with pytest.raises(InputError) as caught:
        FileVectors(path).encode(texts or ["red", "blue"])
    return str(caught.value).replace(str(path), "FILE")


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("name", FORMATS)
def test_every_format_gives_the_rows_that_gensim_reads(write, name, packed):
    data = FORMATS[name]
    # No name tells the format: it is the content that does.
    path = write(gzip.compress(data) if packed else data, "some.bin" if "text" in name else "x")
    plain = write(data, "plain")
    expected = KeyedVectors.load_word2vec_format(
        str(plain), binary="binary" in name, no_header=name == "glove"
    )
    vectors = FileVectors(path)
    np.testing.assert_array_equal(vectors.encode(WORDS), expected[WORDS])
    np.testing.assert_array_equal(vectors.encode(WORDS), ROWS)
    assert vectors.known([*WORDS, "absent"]).tolist() == [True] * len(WORDS) + [False]
    assert vectors.encode(WORDS).dtype == np.float32


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(data=st.data())
def test_what_was_written_is_read_back(write, data):
    letters = st.characters(blacklist_categories=("Cs", "Cc", "Zs", "Zl", "Zp"))
    words = data.draw(
        st.lists(st.text(letters, min_size=1, max_size=6), min_size=1, max_size=6, unique=True)
    )
    floats = st.floats(-8, 8, width=32)
    width = data.draw(st.integers(5, 9))
    row = st.lists(floats, min_size=width, max_size=width)
    rows = np.asarray([data.draw(row) for _ in words], dtype=np.float32)
    forms = (text(words, rows, False), text(words, rows, True), binary(words, rows, b"\n"))
    for form in forms:
        vectors = FileVectors(write(form))
        assert vectors.encode(words).tobytes() == rows.tobytes()
        assert vectors.known(words).all()


@settings(max_examples=150, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    data=st.one_of(
        st.binary(max_size=60),
        st.text("01 2.e-\nabé\x00naif", max_size=60).map(str.encode),
        st.tuples(st.sampled_from(list(FORMATS)), st.integers(0, 10**6), st.integers(1, 255)).map(
            lambda flip: broken(FORMATS[flip[0]], flip[1], flip[2])
        ),
    )
)
def test_any_bytes_give_finite_rows_or_a_message(write, data):
    path = write(data)
    rows, message = np.zeros(0), str(path)
    try:
        rows = FileVectors(path).encode(WORDS)
    except InputError as error:
        message = str(error)
    assert np.isfinite(rows).all()
    assert str(path) in message


def broken(data, place, change):
    place %= len(data)
    return data[:place] + bytes([data[place] ^ change]) + data[place + 1 :]


def test_the_layout_of_each_format(write):
    assert read_layout(write(FORMATS["glove"])) == Layout(False, 7, None)
    assert read_layout(write(FORMATS["word2vec text"])) == Layout(False, 7, 8)
    assert read_layout(write(FORMATS["word2vec binary"])) == Layout(True, 7, 8)
    assert read_layout(write("\ufeff1 2\nred 1 2\n")) == Layout(False, 2, 1)
    assert read_layout(write("2 1\r\nred 1\r\n\r\nblue 2\r\n")) == Layout(False, 1, 2)


def test_windows_line_ends_blank_lines_and_blanks_at_the_end_do_no_harm(write):
    vectors = FileVectors(write("2 3\r\nred 0.5 -1 2e-3 \r\n\r\nblue 1 2 3\r\n\n"))
    assert vectors.encode(["blue", "red"]).tolist() == [[1, 2, 3], [0.5, -1, np.float32(2e-3)]]


def test_words_with_blanks_as_glove_has_them(write):
    vectors = FileVectors(write("red 1 2\n. . . 3 4\nat name@domain.com 5 6\n"))
    assert vectors.encode(["red", ". . .", "at name@domain.com"]).tolist() == [
        [1, 2], [3, 4], [5, 6],
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("data", "message"),
    [
        (RED + "gray 1 2\n", "FILE, line 3: expected a word and 3 finite numbers with single "
         "blanks between them, got 'gray 1 2'. Correct or remove the line."),
        (RED + "gray 1 2 3 4\n", "FILE, line 3: expected a word and 3 finite numbers with single "
         "blanks between them, got 'gray 1 2 3 4'. Correct or remove the line."),
        ("3 3\n" + RED + "gray 1  2 3\n", "FILE, line 4: expected a word and 3 finite numbers with "
         "single blanks between them, got 'gray 1  2 3'. Correct or remove the line."),
        (RED + "gray 1 nan 3\n", "FILE, line 3: expected a word and 3 finite numbers with single "
         "blanks between them, got 'gray 1 nan 3'. Correct or remove the line."),
        ("red 0.5 1e99 2\n", "FILE, line 1: expected 3 finite numbers after 'red', got one that is "
         "not. Correct or remove the word."),
        ("red 0.5 1-1 2\n", "FILE, line 1: expected 3 finite numbers after 'red', got one that is "
         "not. Correct or remove the word."),
        (RED + "red 1 2 3\n", "FILE, line 3: expected each word once, got 'red', which has a "
         "vector already: FILE, line 1. Remove one of them."),
        ("4 3\n" + RED, "FILE: expected 4 words, as its first line says, got 2. Copy the file "
         "again, or give another."),
        ("1 3\n" + RED, "FILE: expected 1 words, as its first line says, got 2. Copy the file "
         "again, or give another."),
        ("0 3\n", "FILE, line 1: expected the numbers of words and of dimensions, got '0 3'. Copy "
         "the file again, or give another."),
        (" \n", "expected word vectors in FILE, but it is empty. Copy the file again, or give "
         "another."),
        ("colors\nred\n", "FILE, line 1: expected a word and its numbers with single blanks "
         "between them, or the numbers of words and of dimensions, got b'colors'. Expected a file "
         "of word vectors: GloVe text, or word2vec text or binary."),
        (RED.encode() + b"gr\xe4y 1 2 3\n", "FILE, line 3: expected UTF-8 text, got the byte "
         "b'\\xe4'. Save the file as UTF-8."),
        (b"1 3\ngr\xe4y 1 2 3\n", "FILE, line 2: expected UTF-8 text, got the byte b'\\xe4'. Save "
         "the file as UTF-8."),
        (b"PK\x03\x04glove", "FILE is a zip archive. Unpack it and give one of the files in it."),
        (gzip.compress(RED.encode(), mtime=0)[:-9], "FILE is not a whole gzip file (Compressed "
         "file ended before the end-of-stream marker was reached). Copy the file again, or give "
         "another."),
    ],
)  # fmt: skip
def test_a_broken_text_file_is_named_with_its_line(write, data, message):
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert refused(write(data)) == message


def test_a_broken_binary_file_is_named_with_its_word(write):
    red, nan = struct.pack("<2f", 1.5, 0.1), struct.pack("<2f", 1.5, float("nan"))
    assert refused(write(b"2 2\nblue " + red + b"red " + nan)) == (
        "FILE, word 2: expected 2 finite numbers after 'red', got one that is not. Correct or "
        "remove the word."
    )
    assert refused(write(b"2 2\nred " + red + b"blue " + red[:5])) == (
        "FILE, word 2: expected a word and 2 float32 numbers, but the file ends after 10 bytes of "
        "them. Copy the file again, or give another."
    )
    assert refused(write(b"3 2\nred " + red + b"blue " + red)) == (
        "FILE: expected 3 words, as its first line says, got 2. Copy the file again, or give "
        "another."
    )
    assert refused(write(b"2 2\nr\xe4d " + red + b"blue " + red)) == (
        "FILE, word 1: expected UTF-8 text, got the byte b'\\xe4'. Save the file as UTF-8."
    )


def test_a_broken_word_that_nobody_asks_for_does_no_harm(write):
    path = write("red 1 2\nred2 1e99 0\nred2 0 0\n")
    assert FileVectors(path).encode(["red"]).tolist() == [[1, 2]]


@pytest.mark.parametrize("name", ["glove.kv", "w2v.model", "renamed.txt"])
def test_pickles_are_refused_unopened(write, name):
    message = refused(write(pickle.dumps({"a": 1}), name))
    assert message == (
        "FILE is gensim's own format, a pickle, which could run code: it was not opened. Where you "
        "trust it, convert it: KeyedVectors.load(FILE).save_word2vec_format('vectors.bin', "
        "binary=True), for a model Word2Vec.load(FILE).wv.save_word2vec_format(...); then give "
        "vectors.bin."
    )


def test_the_conversion_that_the_message_names_works(tmp_path):
    keyed = KeyedVectors(7)
    keyed.add_vectors(WORDS, ROWS)
    keyed.save(str(tmp_path / "own.kv"))
    loaded = KeyedVectors.load(str(tmp_path / "own.kv"))
    loaded.save_word2vec_format(str(tmp_path / "vectors.bin"), binary=True)
    np.testing.assert_array_equal(FileVectors(tmp_path / "vectors.bin").encode(WORDS), ROWS)


def test_a_missing_file_and_a_folder(tmp_path):
    assert refused(tmp_path / "none.txt") == (
        "expected word vectors at FILE, found no such file. Check the path: it is GloVe text, or "
        "word2vec text or binary."
    )
    assert refused(tmp_path) == "could not read FILE: Is a directory."
