"""The sources of evidence that `dictionary_types` compares, each as unit rows of a vocabulary.

Shape letters: W texts, B texts of a batch, L tokens, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property

import numpy as np

from datamodules.dictionary.embed import Embedder, features
from datamodules.dictionary.embed.protocol import Rows
from datamodules.dictionary.embed.sentence import SentenceVectors
from datamodules.dictionary.embed.wordnet.database import WordNet, wordnet_features
from datamodules.dictionary.words.evidence import Array
from datamodules.dictionary.words.vectors import unit_rows
from datamodules.files import sha256_json

# Weights of cosines beside 1 for the sentence encoder and WordNet, chosen on our own words.
WORD2VEC_WEIGHT = 0.5
_BATCH = 32


class SentenceLayers(SentenceVectors):
    """A sentence encoder's last and middle layer, each as the mean of a text's tokens."""

    @property
    def name(self) -> str:
        """The encoder's name, with "layers" for "sentence"."""
        return super().name.replace("sentence:", "layers:", 1)

    @cached_property
    def content_hash(self) -> str:
        """Hash of the encoder and of what is made of it."""
        return sha256_json([super().content_hash, "last and middle layer"])

    def encode(self, texts: Sequence[str]) -> Rows:
        """One row for each text, (W, 2 D)."""
        import torch

        module, tokenizer = self._encoder[0].auto_model, self._encoder.tokenizer
        last: list[Rows] = []
        middle: list[Rows] = []
        for start in range(0, len(texts), _BATCH):
            batch = list(texts[start : start + _BATCH])
            tokens = tokenizer(batch, padding=True, return_tensors="pt")
            special = [
                tokenizer.get_special_tokens_mask(ids, already_has_special_tokens=True)
                for ids in tokens["input_ids"].tolist()
            ]
            keep_BL = tokens["attention_mask"] * (1 - torch.tensor(special))
            share_BL = keep_BL / keep_BL.sum(dim=1, keepdim=True).clamp(min=1)
            with torch.inference_mode():
                layers = module(**tokens, output_hidden_states=True).hidden_states
            last.append(torch.einsum("bl,bld->bd", share_BL, layers[-1]).numpy())
            middle.append(torch.einsum("bl,bld->bd", share_BL, layers[len(layers) // 2]).numpy())
        rows = [unit_rows(np.concatenate(each)) for each in (last, middle)]
        return np.hstack(rows).astype(np.float32)


class Views:
    """Rows of a vocabulary from each source of evidence, and from several joined.

    Args:
        sentences: sentence encoders by name.
        word2vec: word vectors.
        wordnet: the database, if there is one.
    """

    def __init__(
        self, sentences: dict[str, Embedder], word2vec: Embedder, wordnet: WordNet | None
    ) -> None:
        self.sentences = sentences
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
        for name, encoder in self.sentences.items():
            sentence = features(encoder, texts)
            views[name] = sentence
            views[f"{name} + word2vec"] = _joined(sentence, vectors)
            if traits is not None:
                views[f"{name} + wordnet"] = _joined(sentence, traits)
                views[f"{name} + word2vec + wordnet"] = _joined(sentence, vectors, traits)
        return views


def _joined(*views: Array) -> Array:
    return unit_rows(np.hstack(views))
