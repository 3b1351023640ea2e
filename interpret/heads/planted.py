"""A false cue planted into drawn images, where it is known which part of the model should go.

Two shapes that are hard to tell apart, and in the corner a patch that agrees with the shape in 95
of 100 images of training and validation, and by chance in the test images. A linear classifier is
fitted on the model's embeddings of the biased images, as people do; it leans on the patch. Then
heads that carry the patch are found on the validation images and ablated in the test images.

Shape letters: N images, H x W pixels, E embedding width.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.counter_random import uniform
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.world import SHAPES, Scenes, sample
from interpret.ablate import Ablation
from interpret.heads.spurious import (
    Choice,
    CueLabels,
    Removal,
    choose_spurious,
    judge_removal,
    with_offset,
)
from interpret.parts import PartScores, heads, score_parts
from interpret.towers import Tower, image_tower
from lightning_modules.backbone import Backbone
from lightning_modules.pixels import Pixels

PATCH = 14  # pixels, of 64
COLORS = ((200, 60, 60), (60, 60, 200))  # of the patch, by cue
_BATCH = 250
_DRAWN = 8  # scenes drawn for one that shows one of two shapes; one in five does


@dataclass(frozen=True)
class PlantedStudy:
    """What became of a planted cue.

    Args:
        protocol: which images did what.
        classes: the two shapes.
        agreement: share of the biased images whose patch agrees with the shape.
        choice: made on the validation images.
        removal: judged on the test images, beside as many random heads.
    """

    protocol: str
    classes: tuple[str, str]
    agreement: float
    choice: Choice
    removal: Removal


def plant_patch(images: NDArray[np.uint8], cue: NDArray[np.int64]) -> NDArray[np.uint8]:
    """Images (N, H, W, 3) with a patch in the upper left corner: red for cue 0, blue for cue 1."""
    planted: NDArray[np.uint8] = images.copy()
    planted[:, :PATCH, :PATCH] = np.array(COLORS, dtype=np.uint8)[cue][:, None, None]
    return planted


def biased_cue(
    label: NDArray[np.int64], agreement: float, *, seed: int, stream: str
) -> NDArray[np.int64]:
    """A cue of 0 or 1 that equals the label with a given probability, (N,)."""
    agrees = uniform(seed, f"{stream}/cue", np.arange(len(label)), 1)[:, 0] < agreement
    return np.where(agrees, label, 1 - label)


def study_planted(
    backbone: Backbone,
    *,
    classes: tuple[str, str] = ("circle", "hexagon"),
    agreement: float = 0.95,
    num_images: int = 1500,
    num_random: int = 200,
    seed: int = 0,
) -> PlantedStudy:
    """Plant a cue, train on it, find the heads that carry it, remove them.

    Args:
        backbone: a model that knows the drawn world, such as "glyph-clip".
        classes: two shapes.
        agreement: of patch and shape in the biased images.
        num_images: of each split.
        num_random: random sets of heads to compare with.
        seed: of images and cues.
    """
    tower = image_tower(backbone.model)
    splits = {
        name: _Split.drawn(backbone, classes, rate, num_images, seed, f"planted cue/{name}")
        for name, rate in (("train", agreement), ("validation", agreement), ("test", 0.5))
    }
    weight_E, bias = _fit(tower, splits["train"])
    scores = {name: split.scores(tower, weight_E, bias, classes) for name, split in splits.items()}
    ablation = Ablation("mean", scores["train"])
    candidates = heads(scores["train"].parts)
    choice = choose_spurious(scores["validation"], splits["validation"].truth, candidates, ablation)
    removal = judge_removal(
        scores["test"],
        splits["test"].truth,
        choice.parts,
        candidates,
        ablation,
        num_random=num_random,
        seed=seed,
    )
    return PlantedStudy(
        f"classifier, means: {num_images} biased training images; heads: {num_images} biased "
        f"validation images with known cue; scores: {num_images} unbiased test images",
        classes,
        agreement,
        choice,
        removal,
    )


@dataclass(frozen=True)
class _Split:
    batches: list[Tensor]
    truth: CueLabels

    @classmethod
    def drawn(
        cls,
        backbone: Backbone,
        classes: tuple[str, str],
        agreement: float,
        num_images: int,
        seed: int,
        stream: str,
    ) -> _Split:
        scenes = _of_shapes(sample(seed, stream, np.arange(_DRAWN * num_images)), classes)
        scenes = scenes[:num_images]
        label = np.asarray(scenes.shape == SHAPES.index(classes[1]), dtype=np.int64)
        cue = biased_cue(label, agreement, seed=seed, stream=stream)
        images = plant_patch(draw(scenes), cue)
        return cls(batches_of(backbone, images), CueLabels(label, cue))

    def scores(
        self, tower: Tower, weight_E: Tensor, bias: float, classes: tuple[str, str]
    ) -> PartScores:
        """Half of the logit for one class, half against the other: argmax is the classifier's."""
        found = score_parts(tower, self.batches, torch.stack([-weight_E, weight_E]) / 2, classes)
        return with_offset(found, np.array([-bias, bias]) / 2)


def batches_of(backbone: Backbone, images: NDArray[np.uint8]) -> list[Tensor]:
    """What the image tower takes, from uint8 (N, H, W, 3)."""
    pixels = Pixels(backbone.image_size, backbone.mean, backbone.std)
    device = next(backbone.model.parameters()).device
    channels_first = torch.from_numpy(images).permute(0, 3, 1, 2)
    return [pixels(batch).to(device) for batch in torch.split(channels_first, _BATCH)]


def _of_shapes(scenes: Scenes, classes: tuple[str, str]) -> Scenes:
    numbers = [SHAPES.index(name) for name in classes]
    return scenes[np.flatnonzero(np.isin(scenes.shape, numbers))]


@torch.no_grad()
def _fit(tower: Tower, split: _Split) -> tuple[Tensor, float]:
    """Logistic regression on unit-norm embeddings: weight (E,) and bias."""
    from sklearn.linear_model import LogisticRegression

    embeddings = torch.cat([tower.run(batch).float() for batch in split.batches])
    unit_NE = torch.nn.functional.normalize(embeddings, dim=-1).cpu().numpy()
    fitted = LogisticRegression(max_iter=5000).fit(unit_NE, split.truth.label)
    weight_E = torch.from_numpy(fitted.coef_[0]).to(embeddings)
    return weight_E, float(fitted.intercept_[0])
