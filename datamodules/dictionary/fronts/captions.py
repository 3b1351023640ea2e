"""The front of sentences: captions, several of an image if there are.

    collect -> describes_image -> word vectors + exclusion

Shape letters: I images, W words, C candidate words, D features, V values.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import asdict

import numpy as np
from numpy.typing import NDArray

from datamodules.dictionary.embed import Embedder
from datamodules.dictionary.embed.trained import TrainedVectors, Word2VecSettings
from datamodules.dictionary.fronts.front import Front, Word
from datamodules.dictionary.settings import Settings
from datamodules.dictionary.words.collect import Corpus, collect
from datamodules.dictionary.words.evidence import (
    Array,
    caption_lift,
    describes_image,
    exclusion,
    overlap,
    shared_images,
)
from datamodules.dictionary.words.lemmas import propose_merges
from datamodules.dictionary.words.vectors import centered, combine, unit_rows
from datamodules.errors import InputError

SAYS_NOTHING = "says nothing about the image"


def from_captions(
    captions: Iterable[str | Sequence[str]],
    settings: Settings,
    *,
    seed: int,
    embedder: Embedder | None = None,
) -> Front:
    """Read captions, one entry an image: its caption, or better all of its captions.

    Words such as "picture" and "object" are told from values only by comparing captions.

    Args:
        captions: the captions.
        settings: thresholds.
        seed: of the word vectors.
        embedder: what gives the vectors; None trains Word2Vec on the captions.

    Raises:
        InputError: if there are no captions, or no word of them describes images.
    """
    training = Word2VecSettings(
        **asdict(settings.captions.word2vec), min_count=settings.min_count, seed=seed
    )
    corpus = collect(captions, min_count=settings.min_count, max_words=settings.captions.max_words)
    trained = embedder is None
    embedder = embedder or TrainedVectors(corpus.sentences, training)
    vectors_WD = embedder.encode(corpus.words).astype(np.float64)
    shared_WW = shared_images(corpus.mentions_IW)
    lift_W, describes_W = _describes(corpus, settings)
    rows = np.flatnonzero(describes_W).tolist()
    if not rows:
        raise InputError(
            "expected words that come back in several captions of an image, got none in "
            f"{sum(corpus.captions_I)} captions. Check that each entry holds the captions of one "
            "image, or lower `min_lift`."
        )
    vectors_CD = unit_rows(centered(vectors_WD[rows]))
    exclusion_CC = exclusion(shared_WW[np.ix_(rows, rows)], images=len(corpus.captions_I))
    features_CD, weight = combine(vectors_CD, exclusion_CC)
    known_W = embedder.known(corpus.words)
    return Front(
        read_from="captions",
        words=_words(corpus),
        rows=rows,
        reasons=dict.fromkeys(np.flatnonzero(~describes_W).tolist(), SAYS_NOTHING),
        features_CD=features_CD,
        vectors_CD=vectors_CD,
        head=len(rows),
        proposals=propose_merges(
            corpus.words,
            corpus.counts,
            centered(vectors_WD),
            shared_WW if corpus.grouped else None,
        ),
        coverage=lambda found: _coverage(corpus, found),
        together=lambda rows_V: _together(shared_WW, rows_V, images=len(corpus.captions_I)),
        views={
            "word_vectors": vectors_CD,
            "exclusion": unit_rows(exclusion_CC),
            "both": features_CD,
        },
        lift_W=lift_W,
        unknown=tuple(word for word, known in zip(corpus.words, known_W, strict=True) if not known),
        numbers={
            "num_captions": sum(corpus.captions_I),
            "num_images": len(corpus.captions_I),
            "captions_compared": corpus.grouped,
            "exclusion_weight": round(weight, 3),
        },
        versions=("gensim", "hdbscan", "numpy", "spacy"),
        trained=trained,
        embedder=embedder.name,
        embedder_hash=embedder.content_hash,
    )


def _describes(corpus: Corpus, settings: Settings) -> tuple[Array | None, NDArray[np.bool_]]:
    if not corpus.grouped:
        return None, np.ones(len(corpus.words), dtype=bool)
    lift_W, error_W = caption_lift(corpus.mentions_IW, corpus.captions_I)
    return lift_W, describes_image(lift_W, error_W, min_lift=settings.captions.min_lift)


def _words(corpus: Corpus) -> tuple[Word, ...]:
    return tuple(
        Word(
            key=word,
            text=next(iter(corpus.forms[word])),
            count=count,
            forms=corpus.forms[word],
            examples=corpus.examples[word],
        )
        for word, count in zip(corpus.words, corpus.counts, strict=True)
    )


def _coverage(corpus: Corpus, rows: Sequence[int]) -> float:
    """Share of the images whose captions mention one of the words."""
    mentions_I = np.asarray(corpus.mentions_IW[:, list(rows)].sum(axis=1)).ravel()
    return float((mentions_I > 0).mean())


def _together(
    shared_WW: Array, rows_V: Sequence[Sequence[int]], *, images: int
) -> tuple[float, float]:
    """Ratio and expected number of meetings of values, each a set of words."""
    union_VW = np.zeros((len(rows_V), len(shared_WW)))
    for number, rows in enumerate(rows_V):
        union_VW[number, list(rows)] = 1
    return overlap(union_VW @ shared_WW @ union_VW.T, images=images)
