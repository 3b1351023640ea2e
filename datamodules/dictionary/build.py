"""Captions -> dictionary: the stages in order, each a pure function of what came before.

    collect -> describes_image -> word vectors + exclusion -> type_words -> HDBSCAN -> attributes

Shape letters: I images, W words, C candidate words, T types, D features.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from importlib.metadata import version
from typing import Any

import numpy as np

from datamodules.dictionary.anchors import Typed, leave_one_out, type_words
from datamodules.dictionary.clusters import Labels, hdbscan_labels
from datamodules.dictionary.collect import Corpus, collect
from datamodules.dictionary.embed.trained import TrainedVectors, Word2VecSettings
from datamodules.dictionary.evidence import (
    Array,
    caption_lift,
    describes_image,
    exclusion,
    shared_images,
)
from datamodules.dictionary.lemmas import propose_merges
from datamodules.dictionary.records import AnchorType, Proposal
from datamodules.dictionary.schema import Dictionary
from datamodules.dictionary.scores import adjusted_rand, noise_as_singletons
from datamodules.dictionary.select import (
    Candidates,
    adopt_by_cluster,
    attributes,
    by_cluster_alone,
    unassigned,
)
from datamodules.dictionary.settings import Settings
from datamodules.dictionary.vectors import centred, combine, unit_rows
from datamodules.errors import InputError

STAGES = (
    "reading captions",
    "training word vectors",
    "weighing evidence",
    "typing and clustering",
    "proposing merges",
)


def build(
    source_name: str,
    captions: Iterable[str | Sequence[str]],
    *,
    data_hash: str,
    seed: int = 0,
    settings: Settings | None = None,
    on_stage: Callable[[str], None] | None = None,
) -> Dictionary:
    """Build a dictionary from captions alone.

    Args:
        source_name: name of the data source.
        captions: one entry an image: its caption, or better all of its captions; words such as
            "picture" and "object" are told from values only by comparing these.
        data_hash: hash of the captions, kept in the dictionary.
        seed: seed of the word vectors.
        settings: thresholds and types; None takes the defaults.
        on_stage: called with the name of each of `STAGES` as it begins.

    Raises:
        InputError: if there are no captions, or no type's seed word describes them.
    """
    if seed < 0:
        raise InputError(f"--seed: expected 0 or more, got {seed}.")
    settings = settings or Settings()
    tell = on_stage or (lambda _: None)
    tell(STAGES[0])
    corpus = collect(captions, min_count=settings.min_count, max_words=settings.max_words)
    tell(STAGES[1])
    vectors_WD = _vectors(corpus, settings, seed)
    tell(STAGES[2])
    shared_WW = shared_images(corpus.mentions_IW)
    lift_W, describes_W = _describes(corpus, settings)
    candidates = _candidates(corpus, vectors_WD, shared_WW, describes_W)
    kinds, known, seeds_T = _seeds(corpus, candidates, settings)
    tell(STAGES[3])
    typed, pure_C, scores = _type(candidates, seeds_T, settings)
    tell(STAGES[4])
    return Dictionary(
        source=source_name,
        data_hash=data_hash,
        attributes=attributes(corpus, candidates, typed, known, settings),
        types=kinds,
        unassigned=unassigned(corpus, candidates, typed, known, settings, lift_W=lift_W),
        proposals=_proposals(corpus, vectors_WD, shared_WW),
        labels_=dict(zip(candidates.words(corpus), pure_C.tolist(), strict=True)),
        settings={**settings.thresholds(), "seed": seed},
        versions={name: version(name) for name in ("gensim", "hdbscan", "numpy", "spacy")},
        scores={**scores, **_corpus_numbers(corpus)},
    )


def _vectors(corpus: Corpus, settings: Settings, seed: int) -> Array:
    training = Word2VecSettings(
        size=settings.vector_size, window=settings.window, min_count=settings.min_count,
        epochs=settings.epochs, updates=settings.updates, seed=seed,
    )  # fmt: skip
    return TrainedVectors(corpus.sentences, training).encode(corpus.words).astype(np.float64)


def _proposals(corpus: Corpus, vectors_WD: Array, shared_WW: Array) -> tuple[Proposal, ...]:
    return propose_merges(
        corpus.words, corpus.counts, centred(vectors_WD), shared_WW if corpus.grouped else None
    )


def _corpus_numbers(corpus: Corpus) -> dict[str, Any]:
    return {
        "num_captions": sum(corpus.captions_I),
        "num_images": len(corpus.captions_I),
        "captions_compared": corpus.grouped,
    }


def _describes(
    corpus: Corpus, settings: Settings
) -> tuple[Array | None, np.ndarray[Any, np.dtype[np.bool_]]]:
    if not corpus.grouped:
        return None, np.ones(len(corpus.words), dtype=bool)
    lift_W, error_W = caption_lift(corpus.mentions_IW, corpus.captions_I)
    return lift_W, describes_image(lift_W, error_W, min_lift=settings.min_lift)


def _candidates(
    corpus: Corpus,
    vectors_WD: Array,
    shared_WW: Array,
    describes_W: np.ndarray[Any, np.dtype[np.bool_]],
) -> Candidates:
    rows = np.flatnonzero(describes_W).tolist()
    if not rows:
        raise InputError(
            "expected words that come back in several captions of an image, got none in "
            f"{sum(corpus.captions_I)} captions. Check that each entry holds the captions of one "
            "image, or lower `min_lift`."
        )
    vectors_CD = unit_rows(centred(vectors_WD[rows]))
    shared_CC = shared_WW[np.ix_(rows, rows)]
    exclusion_CC = exclusion(shared_CC, images=len(corpus.captions_I))
    features_CD, weight = combine(vectors_CD, exclusion_CC)
    return Candidates(rows, features_CD, vectors_CD, unit_rows(exclusion_CC), weight, shared_CC)


def _seeds(
    corpus: Corpus, candidates: Candidates, settings: Settings
) -> tuple[tuple[AnchorType, ...], list[AnchorType], list[list[int]]]:
    """All types, those of which the captions use a seed, and these seeds' rows."""
    position = {word: number for number, word in enumerate(candidates.words(corpus))}
    kinds = tuple(
        AnchorType(
            kind.name,
            kind.seeds,
            tuple(seed for seed in kind.seeds if seed in position),
            kind.selected,
        )
        for kind in settings.types
    )
    known = [kind for kind in kinds if kind.found]
    seeds_T = [[position[seed] for seed in kind.found] for kind in known]
    if not seeds_T and settings.mode == "anchored":
        frequent = ", ".join(candidates.words(corpus)[:8])
        raise InputError(
            f"expected a seed word of {', '.join(kind.name for kind in kinds)} among the words "
            f"that describe the images, got none. Frequent words: {frequent}. Add seed words in a "
            "YAML and pass it with --types."
        )
    return kinds, known, seeds_T


def _type(
    candidates: Candidates, seeds_T: list[list[int]], settings: Settings
) -> tuple[Typed, Labels, dict[str, Any]]:
    """Type the candidates in both modes.

    Returns:
        The chosen mode's outcome, the labels of HDBSCAN alone, and both modes' self-checks.
    """
    cut = {"pca": settings.pca, "min_cluster_size": settings.min_cluster_size}
    pure_C = hdbscan_labels(candidates.vectors_CD, **cut)
    pure = by_cluster_alone(pure_C, seeds_T)
    if not seeds_T:
        return pure, pure_C, {"hdbscan": _pure_scores(pure_C, seeds_T)}
    anchored = type_words(
        candidates.features_CD, seeds_T, nearest=settings.nearest,
        min_score=settings.min_score, min_margin=settings.min_margin,
    )  # fmt: skip
    anchored = adopt_by_cluster(anchored, hdbscan_labels(candidates.features_CD, **cut))
    views = {
        "word_vectors": candidates.vectors_CD,
        "exclusion": candidates.exclusion_CC,
        "both": candidates.features_CD,
    }
    scores = {
        "anchored": {
            "coverage": _share(anchored.label_C >= 0),
            # Seeds typed by the other seeds: the only labels there are, each judged without itself.
            "seed_accuracy": {
                name: _rounded(leave_one_out(view, seeds_T, nearest=settings.nearest))
                for name, view in views.items()
            },
            "exclusion_weight": _rounded(candidates.weight),
        },
        "hdbscan": _pure_scores(pure_C, seeds_T),
        "agreement_ari": _rounded(
            adjusted_rand(
                noise_as_singletons(anchored.label_C.tolist()), noise_as_singletons(pure_C.tolist())
            )
        ),
    }
    return (anchored if settings.mode == "anchored" else pure), pure_C, scores


def _pure_scores(labels_C: Labels, seeds_T: list[list[int]]) -> dict[str, Any]:
    rows = [row for seeds in seeds_T for row in seeds]
    kinds = [number for number, seeds in enumerate(seeds_T) for _ in seeds]
    return {
        "num_clusters": max(labels_C.tolist(), default=-1) + 1,
        "coverage": _share(labels_C >= 0),
        "seed_ari": _rounded(adjusted_rand(kinds, noise_as_singletons(labels_C[rows].tolist())))
        if rows
        else None,
    }


def _share(mask: np.ndarray[Any, np.dtype[np.bool_]]) -> float:
    return round(float(mask.mean()), 3)


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 3)
