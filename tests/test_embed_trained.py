"""Word2Vec on the sentences at hand: gensim's own rows, the same bytes in every process."""

import hashlib
import os
import random
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
from gensim.models import Word2Vec

from datamodules.dictionary.embed import TrainedVectors, Word2VecSettings
from datamodules.dictionary.embed.trained import stable_hash
from datamodules.errors import InputError

ROOT = Path(__file__).parents[1]
SETTINGS = Word2VecSettings(size=8, window=2, min_count=5, epochs=3, updates=5_000, seed=1)


def sentences():
    draw = random.Random(0)
    colors, things = ["red", "blue", "dark green"], ["car", "wall", "shirt"]
    return [["a", draw.choice(colors), draw.choice(things)] for _ in range(300)] + [["once"]]


def digest():
    rows = TrainedVectors(sentences(), SETTINGS).encode(["red", "dark green", "red car"])
    return hashlib.sha256(rows.tobytes()).hexdigest()


def test_rows_are_those_of_gensim():
    model = Word2Vec(
        sentences(), vector_size=8, window=2, min_count=5, seed=1, epochs=5_000 // 901, sg=1,
        negative=5, workers=1, hashfxn=stable_hash,
    )  # fmt: skip
    words = ["red", "dark green", "car", "a"]
    rows = TrainedVectors(sentences(), SETTINGS).encode(words)
    np.testing.assert_array_equal(rows, model.wv[words])
    count = {word: model.wv.get_vecattr(word, "count") for word in model.wv.index_to_key}
    weight = {word: 0.001 / (0.001 + count[word] / 900) for word in ("red", "car")}
    mean = sum(weight[word] * model.wv[word].astype(float) for word in weight)
    row = TrainedVectors(sentences(), SETTINGS).encode(["red car"])[0]
    np.testing.assert_allclose(row, mean / sum(weight.values()), rtol=1e-5)


def test_a_new_process_gives_the_same_bytes():
    code = (
        "import sys; sys.path[:0] = ['tests', '.']; import test_embed_trained as test; "
        "sys.stdout.write(test.digest())"
    )
    found = {
        subprocess.run(
            [sys.executable, "-c", code], cwd=ROOT, check=True, capture_output=True, text=True,
            env={**os.environ, "PYTHONHASHSEED": seed},
        ).stdout
        for seed in ("0", "77")
    }  # fmt: skip
    assert found == {digest()}


def test_words_seen_too_rarely_are_unknown():
    vectors = TrainedVectors(sentences(), SETTINGS)
    texts = ["red", "once", "dark", "once red", "dark green"]
    assert vectors.known(texts).tolist() == [True, False, False, True, True]
    assert not vectors.encode(texts)[[1, 2]].any()
    assert vectors.encode([]).shape == (0, 8)


def test_the_hash_follows_sentences_and_settings_and_needs_no_training():
    base = TrainedVectors(sentences(), SETTINGS)
    others = [
        TrainedVectors(sentences()[1:], SETTINGS),
        TrainedVectors(sentences(), replace(SETTINGS, seed=2)),
        TrainedVectors(sentences()),
    ]
    assert base.content_hash == TrainedVectors(sentences(), SETTINGS).content_hash
    assert len({base.content_hash, *(other.content_hash for other in others)}) == 4
    assert "_vectors" not in vars(base)


def test_sentences_without_a_frequent_word():
    with pytest.raises(InputError) as caught:
        TrainedVectors([["red", "car"]], SETTINGS).encode(["red"])
    assert str(caught.value).startswith(
        "expected words that come 5 times or more in 1 sentences to train word vectors on, got none"
    )
    assert str(caught.value).endswith("Give more sentences, or vectors that are trained.")
