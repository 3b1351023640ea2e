"""WordNet's relations as a source of vectors.

Shape letters: W texts, D features.
"""

from __future__ import annotations

from collections.abc import Sequence
from functools import cached_property
from importlib.metadata import version

import numpy as np

from datamodules.dictionary.embed.protocol import Mask, Rows
from datamodules.dictionary.embed.wordnet.database import WordNet, wordnet_features
from datamodules.files import sha256_file, sha256_json

_LIBRARIES = ("numpy", "scikit-learn", "scipy")


class WordNetVectors:
    """Texts by their traits: what they are a kind of, and what they are an attribute of.

    The texts of a call decide together how much a trait weighs and which directions are kept.
    Directions of all of WordNet's adjectives, the same for every call, type worse. So a row is good
    only beside the others of its call, and `CachedVectors`, which keeps rows by text, must not hold
    them.

    Args:
        wordnet: the database.
    """

    name = "wordnet"

    def __init__(self, wordnet: WordNet) -> None:
        self.wordnet = wordnet

    @cached_property
    def content_hash(self) -> str:
        """Hash of the database files and of the versions of the libraries."""
        hashes = {path.name: sha256_file(path) for path in self.wordnet.files}
        return sha256_json([hashes, {library: version(library) for library in _LIBRARIES}])

    def encode(self, texts: Sequence[str]) -> Rows:
        """One unit row for each text, (W, D); zeros for a text that shares no trait with another.

        Raises:
            InputError: if the database is broken.
        """
        return wordnet_features(self.wordnet, texts).astype(np.float32)

    def known(self, texts: Sequence[str]) -> Mask:
        """Which texts have an entry, or a head that has one, (W,).

        Raises:
            InputError: if the database is broken.
        """
        return np.asarray([bool(self.wordnet.traits(text)) for text in texts], dtype=bool)
