"""The builder's numbers: each does what it says, and the file records those that were used."""

import numpy as np

from datamodules.dictionary import build_dictionary
from datamodules.dictionary.embed.trained import SkipGram, TrainedVectors, Word2VecSettings
from datamodules.dictionary.fronts import from_captions
from datamodules.dictionary.settings import CaptionSettings, GroupingSettings, Settings
from datamodules.dictionary.words.collect import collect
from datamodules.sources.glyphs.captions import captions
from datamodules.sources.glyphs.world import sample


def glyph_captions(count):
    index = np.arange(count)
    return captions(sample(0, "train", index), seed=0, stream="train", index=index)


def test_the_file_says_what_decided_it_and_nothing_else():
    dictionary = build_dictionary("glyphs", glyph_captions(300), data_hash="x", seed=2)
    assert dictionary.read_from == "captions"
    assert dictionary.settings == {
        "mode": "anchored", "min_count": 5, "exclusive_overlap": 0.02, "seed": 2,
        "captions": {
            "max_words": 4000, "min_lift": 1.3, "nearest": 3, "min_score": 0.35, "min_margin": 0.1,
            "word2vec": {"size": 48, "window": 2, "epochs": 5, "updates": 1_000_000},
        },
        "grouping": {"groups": "hdbscan", "pca": 10, "min_cluster_size": 3},
    }  # fmt: skip
    assert set(dictionary.scores["anchored"]["seed_accuracy"]) == {
        "both", "exclusion", "word_vectors"
    }  # fmt: skip
    linkage = Settings(grouping=GroupingSettings(groups="linkage"))
    used = linkage.used("captions", trained=False)
    assert used["grouping"]["distance"] == 0.6
    assert "word2vec" not in used["captions"]
    assert set(linkage.used("annotations", trained=False)) == {
        "mode", "min_count", "exclusive_overlap", "likeness", "grouping"
    }  # fmt: skip


def test_word_vectors_are_trained_as_the_settings_say():
    told = glyph_captions(300)
    front = from_captions(told, Settings(min_count=7), seed=3)
    sentences = collect(told, min_count=7, max_words=4000).sentences
    hashes = [
        TrainedVectors(sentences, Word2VecSettings(min_count=least, seed=seed)).content_hash
        for least, seed in ((7, 3), (5, 3), (7, 0))
    ]
    assert front.embedder_hash == hashes[0]
    assert len(set(hashes)) == 3
    narrow = Settings(min_count=7, captions=CaptionSettings(word2vec=SkipGram(window=1)))
    assert (
        from_captions(told, narrow, seed=3).embedder_hash
        == TrainedVectors(sentences, Word2VecSettings(min_count=7, seed=3, window=1)).content_hash
    )
