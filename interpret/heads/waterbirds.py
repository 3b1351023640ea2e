"""Waterbirds: heads that read the background, listed by hand or chosen automatically.

The paper's recipe: means take the place of all MLPs, of all layers but the last four, and of the
heads whose TextSpan texts speak of places ("geolocation") or settings. Lists for the LAION weights
of ViT-B-16, ViT-L-14 and ViT-H-14 are those of Gandelsman, Efros, Steinhardt, ICLR 2024.

Shape letters: N images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from datamodules.annotations import Annotations
from datamodules.errors import InputError
from interpret.ablate import Ablation
from interpret.heads.spurious import Choice, CueLabels, Removal, choose_spurious, judge_removal
from interpret.parts import Part, PartScores, all_but_last_layers, heads, mlps

CLASSES = ("landbird", "waterbird")
PLACES = ("land", "water")
KEPT_LAYERS = 4

# (layer, head), from 0
LISTED: dict[str, dict[str, tuple[tuple[int, int], ...]]] = {
    "ViT-B-16": {
        "geolocation": ((11, 6), (11, 0)),
        "setting": ((11, 3), (10, 11), (10, 10), (9, 8), (9, 6)),
    },
    "ViT-L-14": {
        "geolocation": ((21, 1), (22, 12), (22, 13), (21, 11), (21, 14), (23, 6)),
        "setting": (
            (21, 3), (21, 6), (21, 8), (21, 13), (22, 2), (22, 12), (22, 15), (23, 1), (23, 3),
            (23, 5),
        ),
    },
    "ViT-H-14": {
        "geolocation": ((31, 8), (30, 15), (30, 12), (30, 6), (29, 14), (29, 8)),
        "setting": ((31, 12), (30, 11), (29, 4)),
    },
}  # fmt: skip


@dataclass(frozen=True)
class WaterbirdsStudy:
    """Worst-group accuracy with and without the heads that read the background.

    Args:
        protocol: which images did what.
        choice: made on the validation split.
        automatic: the chosen heads, judged on the test split.
        listed: the heads listed by hand, judged there; None for a backbone without a list.
    """

    protocol: str
    choice: Choice
    automatic: Removal
    listed: Removal | None


def listed_heads(backbone: str) -> tuple[Part, ...]:
    """The heads listed for an architecture, each once; none if there is no list."""
    pairs = {pair for group in LISTED.get(backbone, {}).values() for pair in group}
    return tuple(Part("head", layer, head) for layer, head in sorted(pairs))


def always_ablated(parts: Sequence[Part]) -> tuple[Part, ...]:
    """What the recipe ablates in any case: MLPs, the entrance of the stream, early layers."""
    entrance = tuple(part for part in parts if part.kind == "embedding")
    return (*mlps(parts), *entrance, *all_but_last_layers(parts, KEPT_LAYERS))


def cue_labels(annotations: Annotations, items: NDArray[np.int64]) -> CueLabels:
    """Bird and place of some images: 0 and 0 for a landbird on land.

    Args:
        annotations: of the source "waterbirds".
        items: image numbers.

    Raises:
        InputError: if an image has no bird or no place.
    """
    columns = []
    for attribute, values in (("bird type", CLASSES), ("background", PLACES)):
        label_NV = annotations.labels(attribute, values, exclusive=True).label[items]
        if (label_NV.sum(axis=1) != 1).any():
            raise InputError(
                f"expected a {attribute} ({' or '.join(values)}) of every image, got none of some. "
                "Use the source waterbirds."
            )
        columns.append(label_NV.argmax(axis=1).astype(np.int64))
    return CueLabels(*columns)


def study_waterbirds(
    backbone: str,
    train: PartScores,
    validation: tuple[PartScores, CueLabels],
    test: tuple[PartScores, CueLabels],
    *,
    num_random: int = 200,
    seed: int = 0,
) -> WaterbirdsStudy:
    """Remove background heads, chosen on validation images and listed by hand.

    Args:
        backbone: architecture, which decides on the list.
        train: scores with `CLASSES` of the images that means are taken from.
        validation: scores and labels that heads are chosen by.
        test: scores and labels that are reported.
        num_random: random sets of heads to compare with.
        seed: of these.

    Raises:
        InputError: if tables do not fit, or a group has no validation images.
    """
    ablation = Ablation("mean", train)
    always = always_ablated(train.parts)
    candidates = sorted(set(heads(train.parts)) - set(always))
    choice = choose_spurious(*validation, candidates, ablation, always=always)

    def judged(parts: Sequence[Part]) -> Removal:
        return judge_removal(
            *test, parts, candidates, ablation, always=always, num_random=num_random, seed=seed
        )

    by_hand = listed_heads(backbone)
    return WaterbirdsStudy(
        f"means: {len(train)} training images; heads: {len(validation[0])} validation images with "
        f"known background; scores: {len(test[0])} test images",
        choice,
        judged(choice.parts),
        judged(by_hand) if by_hand else None,
    )
