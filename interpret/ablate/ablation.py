"""Direct ablation: the scores of some parts are replaced, all else stays.

    mean       by the mean over images: only what varies from image to image goes
    zero       by nothing: the part's constant goes too
    resample   by what the part adds for another image

Means and other images come from a split of their own. Taking them from the ablated images
themselves, as published numbers do, lets every image choose a little of its own replacement.

Gandelsman, Efros, Steinhardt, "Interpreting CLIP's Image Representation via Text-Based
Decomposition", ICLR 2024, section 3.2.

Shape letters: N images, P parts, C texts, K ablated parts; 1 or N rows where written 1N.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from typing import Literal

import numpy as np

from datamodules.errors import InputError
from interpret.parts import Part, PartScores
from interpret.parts.scores import Floats, Ints

By = Literal["mean", "zero", "resample"]
BY = ("mean", "zero", "resample")


@dataclass(frozen=True)
class Ablation:
    """What takes the place of a part.

    Args:
        by: "mean", "zero" or "resample".
        source: the table of other images that means or replacements are taken from; "self" takes
            them from the ablated images, each of which then gets the parts of another one.
        seed: of the choice of other images.

    Raises:
        InputError: if `by` is none of the three.
    """

    by: By
    source: PartScores | Literal["self"]
    seed: int = 0

    def __post_init__(self) -> None:
        if self.by not in BY:
            raise InputError(f"expected ablation by {', '.join(BY)}, got {self.by!r}.")

    def replacement(self, scores: PartScores, index_K: Ints) -> Floats:
        """What takes the place of some parts, (1N, K, C).

        Raises:
            InputError: if the source is of other parts or texts, or holds too few images.
        """
        source = scores if isinstance(self.source, str) else self.source
        if source.parts != scores.parts or source.texts != scores.texts:
            raise InputError(
                "expected replacements from a table of the same parts and texts, got one of "
                f"{len(source.parts)} parts and {len(source.texts)} texts. Score both splits with "
                "the same model and texts."
            )
        if self.by == "zero":
            return np.zeros((1, len(index_K), len(scores.texts)))
        if not len(source):
            raise InputError("expected images to take replacements from, got none.")
        if self.by == "mean":
            means: Floats = source.values[:, index_K].mean(axis=0, dtype=np.float64)
            return means[None]
        return source.values[self._donors(len(source), len(scores))][:, index_K]

    def _donors(self, num_source: int, num_images: int) -> Ints:
        """One other image for each image: all its parts are replaced by the same one's."""
        random = np.random.default_rng(self.seed)
        if isinstance(self.source, str):
            if num_images < 2:
                raise InputError("expected two images to exchange parts between, got fewer.")
            order = random.permutation(num_images)  # one circle through all: none meets itself
            donors = np.empty(num_images, dtype=np.int64)
            donors[order] = np.roll(order, 1)
            return donors
        return random.integers(num_source, size=num_images)


def direct_effect(scores: PartScores, parts: Collection[Part], ablation: Ablation) -> Floats:
    """What the parts add to each score beyond their replacement, (N, C), float64."""
    index_K = scores.index(parts)
    own: Floats = scores.values[:, index_K].sum(axis=1, dtype=np.float64)
    other = ablation.replacement(scores, index_K).sum(axis=1, dtype=np.float64)
    return np.asarray(own - other)


def ablated_logits(scores: PartScores, parts: Collection[Part], ablation: Ablation) -> Floats:
    """Scores (N, C) of the model without these parts, float64.

    Raises:
        InputError: if the table has no such part, or the ablation does not fit it.
    """
    return scores.logits_NC - direct_effect(scores, parts, ablation)
