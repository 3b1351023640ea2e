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
    features,
    open_embedder,
)
from datamodules.errors import InputError

ROOT = Path(__file__).parents[1]
SENTENCES = [["red", "car"], ["blue", "car"]] * 10
TINY = Word2VecSettings(size=4, updates=100)
FORMS = (
    "Give sentence, sentence:FOLDER, vectors:FILE, word2vec, clip:glyph-clip, "
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
