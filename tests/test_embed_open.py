"""From one word on the command line to a source of vectors; the texts of all refusals."""

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from datamodules.dictionary.embed import (
    CachedVectors,
    JoinedVectors,
    TrainedVectors,
    Word2VecSettings,
    WordNetVectors,
    features,
    open_embedder,
    sources_of,
)
from datamodules.dictionary.embed.wordnet.database import WordNet, wordnet_features
from datamodules.dictionary.embed.wordnet.text import wordnet_sentences
from datamodules.errors import InputError
from tests.wordnet_files import database

ROOT = Path(__file__).parents[1]
SENTENCES = [["red", "car"], ["blue", "car"]] * 10
TINY = Word2VecSettings(size=4, updates=100)
FORMS = (
    "Give sentence, sentence:FOLDER, vectors:FILE, word2vec, wordnet:FOLDER, clip:glyph-clip, "
    "clip:ViT-B-32,FILE, or several with weights, as in sentence+0.5*vectors:FILE."
)


@pytest.fixture
def vectors(tmp_path):
    path = tmp_path / "a+0.5*b.txt"
    path.write_text("red 1 0\nblue 0 1\n")
    return path


def test_a_file_whose_name_holds_signs_of_a_sum(vectors):
    single = open_embedder(f"vectors:{vectors}", cache=None)
    assert single.name == "vectors:a+0.5*b.txt"
    assert single.encode(["blue"]).tolist() == [[0, 1]]


def test_a_sum_joins_with_weights_and_keeps_each_part_on_the_disk(vectors, tmp_path):
    spec = f"word2vec+.5*vectors:{vectors}"
    folder = tmp_path / "kept"
    joined = open_embedder(spec, sentences=SENTENCES, word2vec=TINY, cache=folder)
    assert isinstance(joined, JoinedVectors)
    assert joined.name == "word2vec+0.5*vectors:a+0.5*b.txt"
    assert [weight for weight, _ in joined.parts] == [1, 0.5]
    assert all(isinstance(part, CachedVectors) for _, part in joined.parts)
    words = ["red", "blue", "unheard"]
    rows = joined.encode(words)
    own = TrainedVectors(SENTENCES, TINY).encode(words).astype(float)
    own[:2] /= np.linalg.norm(own[:2], axis=1, keepdims=True)
    expected = np.hstack([own, [[0.5, 0], [0, 0.5], [0, 0]]]) / 1.25**0.5
    np.testing.assert_allclose(rows, expected, rtol=1e-5)
    assert len(list(folder.glob("[0-9a-f]*.npz"))) == 2
    vectors.unlink()  # what was asked before is on the disk
    np.testing.assert_array_equal(joined.encode(words), rows)
    assert features(joined, words).shape == (3, 6)


@pytest.fixture
def wordnet(tmp_path):
    """A folder whose name holds signs of a sum."""
    folder = tmp_path / "wn+0.5*3.0"
    folder.mkdir()
    return database(folder)


def centered_units(rows, known):
    rows = rows.astype(float)
    rows[known] -= rows[known].mean(axis=0)
    rows[~known] = 0
    return rows / np.maximum(np.linalg.norm(rows, axis=1, keepdims=True), 1e-12)


def test_wordnet_is_joined_and_never_kept_on_the_disk(vectors, wordnet, tmp_path):
    folder = tmp_path / "kept"
    joined = open_embedder(f"wordnet:{wordnet}+.5*vectors:{vectors}", cache=folder)
    assert isinstance(joined, JoinedVectors)
    assert joined.name == "wordnet+0.5*vectors:a+0.5*b.txt"
    assert [type(part) for _, part in joined.parts] == [WordNetVectors, CachedVectors]
    texts = ["denim", "red", "wool", "blue", "teal", "xyzzy", "walk"]
    of_wordnet = wordnet_features(WordNet(wordnet), texts)
    of_file = np.array([[0, 0], [1, 0], [0, 0], [0, 1], [0, 0], [0, 0], [0, 0]])
    expected = np.hstack([
        centered_units(of_wordnet, of_wordnet.any(axis=1)),
        0.5 * centered_units(of_file, of_file.any(axis=1)),
    ])  # fmt: skip
    expected /= np.maximum(np.linalg.norm(expected, axis=1, keepdims=True), 1e-12)
    np.testing.assert_allclose(features(joined, texts), expected, atol=1e-6)
    assert not expected[5].any()
    assert expected[[0, 1, 2, 3, 4, 6]].any(axis=1).all()
    # Rows of other calls would have come from the disk.
    np.testing.assert_allclose(
        joined.encode(texts[:3])[:, :-2][[0, 2]], wordnet_features(WordNet(wordnet), texts[:3])[::2]
    )
    assert len(list(folder.glob("[0-9a-f]*.npz"))) == 1


def test_word2vec_beside_wordnet_reads_its_text_too(wordnet):
    spec = f"word2vec+wordnet:{wordnet}"
    text = list(wordnet_sentences(WordNet(wordnet)))
    for given in (SENTENCES, None):
        joined = open_embedder(spec, sentences=given, word2vec=TINY, cache=None)
        expected = TrainedVectors([*(given or []), *text], TINY)
        assert joined.parts[0][1].content_hash == expected.content_hash
    alone = open_embedder("word2vec", sentences=SENTENCES, word2vec=TINY, cache=None)
    assert alone.content_hash == TrainedVectors(SENTENCES, TINY).content_hash


def test_the_sources_of_a_spec(wordnet):
    assert sources_of("2*word2vec") == ("word2vec",)
    spec = f"sentence:a+b+wordnet:{wordnet}+.5*word2vec+vectors:a+clip"
    assert sources_of(f"{spec}:x") == ("sentence", "wordnet", "word2vec", "vectors", "clip")
    assert sources_of(f"{spec}s") == ("sentence", "wordnet", "word2vec", "vectors")


def test_counts_reach_the_file(vectors):
    even = open_embedder(f"vectors:{vectors}", counts={"red": 1, "blue": 1}, cache=None)
    np.testing.assert_allclose(even.encode(["red blue"]), [[0.5, 0.5]], rtol=1e-6)


@pytest.mark.parametrize(
    ("spec", "got"),
    [
        ("glove", "'glove'"),
        ("", "''"),
        ("sentence+glove", "'sentence+glove'"),
        ("sentence + word2vec", "'sentence + word2vec'"),
        ("vectors", "'vectors'"),
        ("clip:", "'clip:'"),
        ("wordnet", "'wordnet'"),
        ("wordnet:", "'wordnet:'"),
        ("wordnets:here", "'wordnets:here'"),
        ("word2vec+wordnet", "'wordnet' in 'word2vec+wordnet'"),
        ("word2vec:file", "'word2vec:file'"),
        ("word2vec+2*vectors", "'vectors' in 'word2vec+2*vectors'"),
        ("-1*sentence", "'-1*sentence'"),
    ],
)
def test_other_words_are_refused_with_the_forms(spec, got):
    with pytest.raises(InputError) as caught:
        open_embedder(spec, sentences=SENTENCES, cache=None)
    assert str(caught.value) == f"expected a source of word vectors, got {got}. {FORMS}"


def test_word2vec_without_sentences():
    for sentences in (None, []):
        with pytest.raises(InputError) as caught:
            open_embedder("word2vec", sentences=sentences)
        assert str(caught.value) == (
            "word2vec is trained on sentences, expected some, got none: this source has no "
            "captions. Choose sentence or vectors:FILE."
        )


def test_importing_the_package_loads_no_library_of_models():
    code = (
        "import sys; import datamodules.dictionary.embed; "
        "heavy = {'torch', 'gensim', 'scipy', 'transformers', 'sentence_transformers', "
        "'open_clip', 'rich'}; sys.stdout.write(repr(sorted(heavy & set(sys.modules))))"
    )
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True
    )
    assert done.stdout == "[]"
