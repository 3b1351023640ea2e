"""The sources of evidence that `dictionary_types` compares, each as unit rows of a vocabulary."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from datamodules.dictionary.embed import Embedder, features
from datamodules.dictionary.embed.wordnet.database import WordNet, wordnet_features
from datamodules.dictionary.words.evidence import Array
from datamodules.dictionary.words.vectors import unit_rows

# Weights of cosines beside 1 for the sentence encoder and WordNet, chosen on our own words.
WORD2VEC_WEIGHT = 0.5


class Views:
    """Rows of a vocabulary from each source of evidence, and from several joined.

    Args:
        sentence: a sentence encoder.
        word2vec: word vectors.
        wordnet: the database, if there is one.
    """

    def __init__(self, sentence: Embedder, word2vec: Embedder, wordnet: WordNet | None) -> None:
        self.sentence = sentence
        self.word2vec = word2vec
        self.wordnet = wordnet

    def rows(self, texts: Sequence[str]) -> dict[str, Array]:
        """Unit rows of every view, by name; the richest one last."""
        plain = features(self.word2vec, texts)
        vectors = np.sqrt(WORD2VEC_WEIGHT) * plain
        views = {"word2vec": plain}
        traits = wordnet_features(self.wordnet, texts) if self.wordnet else None
        if traits is not None:
            views["wordnet"] = traits
            views["word2vec + wordnet"] = _joined(plain, traits)
        sentence = features(self.sentence, texts)
        views["sentence"] = sentence
        views["sentence + word2vec"] = _joined(sentence, vectors)
        if traits is not None:
            views["sentence + wordnet"] = _joined(sentence, traits)
            views["sentence + word2vec + wordnet"] = _joined(sentence, vectors, traits)
        return views


def _joined(*views: Array) -> Array:
    return unit_rows(np.hstack(views))
