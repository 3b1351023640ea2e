"""All that one delta does to some images, part by part, before any statistics.

Shape letters: N images, P parts, E embedding width, T texts.
"""

from __future__ import annotations

import copy
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from interpret.adapters.causal import Runs, run_parts
from interpret.adapters.difference import Readouts, difference
from interpret.adapters.question import Question, all_columns
from interpret.adapters.sides import Sides
from interpret.parts import Part, PartScores, score_parts
from interpret.towers import image_tower
from lightning_modules.delta import Delta

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class Effects:
    """What a delta does.

    Args:
        change_NPE: change of every part's contribution to the unit-norm embedding.
        base: scores of the base's parts with all values of all questions.
        adapted: the same with the delta.
        runs: embeddings without and with single parts of the delta; None if they were not run.
        scale: CLIP's factor on cosines.
    """

    change_NPE: Floats
    base: PartScores
    adapted: PartScores
    runs: Runs | None
    scale: float

    @property
    def parts(self) -> tuple[Part, ...]:
        """Names of the P parts."""
        return self.base.parts

    @property
    def change(self) -> PartScores:
        """Scores of the parts' changes."""
        return PartScores(self.adapted.values - self.base.values, self.parts, self.base.texts)


def effects(
    model: nn.Module,
    delta: Delta,
    images: Tensor,
    questions: Sequence[Question],
    *,
    base: PartScores | None = None,
    with_runs: bool = True,
    batch_size: int = 64,
    tick: Callable[[int], object] = lambda _: None,
) -> Effects:
    """Measure what a delta does.

    Args:
        model: the split base model, without adapters; it is left as it was.
        delta: on its image tower.
        images: preprocessed, (N, 3, height, width), all on the model's device.
        questions: attributes of these images.
        base: what `base_scores` gave for the same, to spare computing it again.
        with_runs: whether to run the model without and with single parts, too.
        batch_size: images taken apart at a time.
        tick: called with 1 after every run.

    Raises:
        InputError: if the delta does not fit, or the model cannot be taken apart.
    """
    texts_TE, names = all_columns(questions)
    batches = torch.split(images, batch_size)
    base = base_scores(model, images, questions, batch_size=batch_size) if base is None else base
    adapted_model = copy.deepcopy(model)
    delta.apply(adapted_model)
    sides = Sides(adapted_model, model)
    maps = Readouts.of(sides)
    change = [difference(sides, batch, maps=maps).parts_BPE.double().cpu() for batch in batches]
    scale = getattr(model, "logit_scale", torch.zeros(()))
    return Effects(
        torch.cat(change).numpy(),
        base,
        score_parts(image_tower(adapted_model), batches, texts_TE, names),
        run_parts(model, delta, batches, tick) if with_runs else None,
        float(scale.detach().exp()),
    )


def base_scores(
    model: nn.Module, images: Tensor, questions: Sequence[Question], *, batch_size: int = 64
) -> PartScores:
    """Scores of the base's parts with all values of all questions."""
    texts_TE, names = all_columns(questions)
    return score_parts(image_tower(model), torch.split(images, batch_size), texts_TE, names)
