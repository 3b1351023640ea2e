"""Word2Vec, trained by gensim on the sentences at hand: alone, or beside vectors of the web.

Shape letters: W texts, D features.
"""

from __future__ import annotations

import hashlib
import json
import zlib
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from functools import cached_property
from importlib.metadata import version
from typing import TYPE_CHECKING, Any

from datamodules.dictionary.embed.phrases import known_phrases, phrase_rows, words_of
from datamodules.dictionary.embed.protocol import Mask, Rows
from datamodules.errors import InputError
from datamodules.files import canonical_json

if TYPE_CHECKING:
    from gensim.models import KeyedVectors


@dataclass(frozen=True)
class SkipGram:
    """The network and how long it is trained, whatever the sentences.

    Args:
        size: D.
        window: words of context on either side; small, because neighbors tell a word's slot.
        epochs: fewest passes over the sentences.
        updates: words read in training, at least: few sentences get more passes, up to 100.
    """

    size: int = 48
    window: int = 2
    epochs: int = 5
    updates: int = 1_000_000


@dataclass(frozen=True)
class Word2VecSettings(SkipGram):
    """How the vectors are trained.

    Args:
        size: see `SkipGram`, as of all that is not listed here.
        min_count: smallest number of times a word is seen.
        seed: of the first vectors and of the drawn contexts.
    """

    min_count: int = 5
    seed: int = 0

    def __post_init__(self) -> None:
        """Refuse what gensim would not explain.

        Raises:
            InputError: if the seed is negative.
        """
        if self.seed < 0:
            raise InputError(f"--seed: expected 0 or more, got {self.seed}.")


class TrainedVectors:
    """Vectors trained on sentences at the first call; a phrase is the weighted mean of its words.

    One worker and a fixed hash make them a pure function of the arguments.

    Args:
        sentences: lists of words; a word may hold blanks and is then one word.
        settings: how they are trained.
    """

    name = "word2vec"

    def __init__(
        self, sentences: Sequence[list[str]], settings: Word2VecSettings | None = None
    ) -> None:
        self.sentences = sentences
        self.settings = settings or Word2VecSettings()

    @cached_property
    def content_hash(self) -> str:
        """Hash of the sentences, the settings and the versions of gensim and NumPy."""
        versions = [version("gensim"), version("numpy")]
        digest = hashlib.sha256(canonical_json([asdict(self.settings), versions]).encode())
        for sentence in self.sentences:  # one by one: millions of words would fill the memory
            digest.update(json.dumps(sentence).encode())
        return digest.hexdigest()

    def encode(self, texts: Sequence[str]) -> Rows:
        """One row for each text, (W, D); zeros where no word of it is frequent enough.

        Raises:
            InputError: if no word of the sentences is.
        """
        words = self._words(texts)
        return phrase_rows(texts, words, self._share, self.settings.size)

    def known(self, texts: Sequence[str]) -> Mask:
        """Which texts have a frequent word, (W,).

        Raises:
            InputError: if no word of the sentences is frequent enough.
        """
        return known_phrases(texts, self._words(texts))

    def _words(self, texts: Sequence[str]) -> dict[str, Rows]:
        return {word: self._vectors[word] for word in words_of(texts) if word in self._vectors}

    def _share(self, word: str) -> float:
        return float(self._vectors.get_vecattr(word, "count")) / self._total

    @cached_property
    def _total(self) -> int:
        vectors = self._vectors
        return sum(int(vectors.get_vecattr(word, "count")) for word in vectors.index_to_key)

    @cached_property
    def _vectors(self) -> KeyedVectors:
        from gensim.models import Word2Vec

        settings = self.settings
        passes = settings.updates // max(sum(map(len, self.sentences)), 1)
        options: dict[str, Any] = {"sg": 1, "negative": 5, "workers": 1, "hashfxn": stable_hash}
        try:
            model = Word2Vec(
                self.sentences,
                vector_size=settings.size,
                window=settings.window,
                min_count=settings.min_count,
                seed=settings.seed,
                epochs=max(settings.epochs, min(passes, 100)),
                **options,
            )
        except RuntimeError as error:  # "you must first build vocabulary": there is none
            raise InputError(
                f"expected words that come {settings.min_count} times or more in "
                f"{len(self.sentences)} sentences to train word vectors on, got none ({error}). "
                "Give more sentences, or vectors that are trained."
            ) from None
        return model.wv


def stable_hash(text: str) -> int:
    """A hash that does not depend on PYTHONHASHSEED."""
    return zlib.crc32(text.encode())
