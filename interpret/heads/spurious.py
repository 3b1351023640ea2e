"""Parts that carry a false cue and not the class: found on a validation split, removed, judged.

In biased data a cue (a bird's background) agrees with the class, so a model that reads the cue is
right on most images and wrong on the group where they disagree. Over the means of all (class, cue)
groups, the scores of a part have two main effects:

    class pattern   means over cues, less the grand mean
    cue pattern     means over classes, less the grand mean

Its share in the model's cue pattern says how much of the mistake it makes, its share in the class
pattern what it is needed for. Parts that have more than an even share of the cue are ranked by the
difference; how many of them go is chosen by the accuracy of the worst group. Both use the
validation split alone. That group is small in biased data: without the even share as a threshold,
parts that do nothing are chosen by its noise.

Shape letters: N images, P parts, C classes, U cues.
"""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, replace

import numpy as np
import torch
from numpy.typing import NDArray

from datamodules.errors import InputError
from interpret.ablate import Ablation, ablated_logits, direct_effect
from interpret.parts import Part, PartScores
from interpret.parts.scores import Ints
from lightning_modules.metrics.groups import group_scores, tally

Floats = NDArray[np.float64]


@dataclass(frozen=True)
class CueLabels:
    """What is true of every image.

    Args:
        label: (N,) the class: a column of the table of scores.
        cue: (N,) the value of the cue, from 0; as it would be said in biased data.

    Raises:
        InputError: if the two differ in length, or one is negative.
    """

    label: Ints
    cue: Ints

    def __post_init__(self) -> None:
        if self.label.shape != self.cue.shape or self.label.ndim != 1:
            raise InputError(
                f"expected one class and one cue for each image, got {self.label.shape} and "
                f"{self.cue.shape}."
            )
        if self.label.size and min(self.label.min(), self.cue.min()) < 0:
            raise InputError("expected classes and cues from 0 on, got a negative one.")

    @property
    def group(self) -> Ints:
        """(N,) one number for each pair of class and cue."""
        return self.label * (1 + int(self.cue.max(initial=0))) + self.cue


@dataclass(frozen=True)
class GroupScores:
    """Accuracies in shares.

    Args:
        worst_group: of the group with the lowest.
        average: over images.
        group_mean: mean over groups.
    """

    worst_group: float
    average: float
    group_mean: float


@dataclass(frozen=True)
class Choice:
    """Parts chosen on a validation split.

    Args:
        parts: chosen, the most to blame first.
        ranking: candidates with more than an even share of the cue and less of the class.
        cue_share: of each of these in the cue pattern of the whole model.
        class_share: in its class pattern.
        path: scores on the validation split with none, one, two, ... of them ablated.
    """

    parts: tuple[Part, ...]
    ranking: tuple[Part, ...]
    cue_share: tuple[float, ...]
    class_share: tuple[float, ...]
    path: tuple[GroupScores, ...]


@dataclass(frozen=True)
class Removal:
    """What ablating some parts does to a test split.

    Args:
        parts: that were ablated.
        always: ablated before and after.
        before: scores without the removal.
        after: with it.
        random: worst-group accuracy after the removal of as many random candidates, one a draw.
        p_random: share of draws that do as well, the removal itself counted as one.
    """

    parts: tuple[Part, ...]
    always: tuple[Part, ...]
    before: GroupScores
    after: GroupScores
    random: tuple[float, ...]
    p_random: float


def score_groups(logits_NC: NDArray[np.floating], truth: CueLabels) -> GroupScores:
    """Accuracy of the worst group, over images, and over groups."""
    correct_N = torch.from_numpy(np.asarray(logits_NC.argmax(axis=1) == truth.label))
    group_N = torch.from_numpy(truth.group)
    found = group_scores(*tally(group_N, correct_N, torch.ones_like(group_N)))
    return GroupScores(*(float(found[name]) for name in ("worst_group", "average", "group_mean")))


def cue_and_class_shares(scores: PartScores, truth: CueLabels) -> tuple[Floats, Floats]:
    """Share of every part in the model's cue pattern and class pattern, (P,) each, sum 1 each.

    Groups count the same, however few images they have.

    Raises:
        InputError: if a group has no images, or the model has no such pattern at all.
    """
    _check(scores, truth)
    classes, cues = np.unique(truth.label), np.unique(truth.cue)
    table_CUPC = np.array([[_mean(scores, truth, c, u) for u in cues] for c in classes])
    table_CUPC -= table_CUPC.mean(axis=-1, keepdims=True)  # what all classes get tells nothing
    table_CUPC -= table_CUPC.mean(axis=(0, 1))
    return _shares(table_CUPC.mean(axis=0), "cue"), _shares(table_CUPC.mean(axis=1), "class")


def choose_spurious(
    validation: PartScores,
    truth: CueLabels,
    candidates: Collection[Part],
    ablation: Ablation,
    *,
    always: Collection[Part] = (),
) -> Choice:
    """Choose what to ablate, on a validation split.

    Args:
        validation: scores with the classes, one column each.
        truth: classes and cues of its images.
        candidates: parts that may go, such as the heads of the last four layers.
        ablation: what takes the place of a part.
        always: parts that are ablated anyway.

    Raises:
        InputError: if a group has no images, or a part is unknown.
    """
    cue_P, class_P = cue_and_class_shares(validation, truth)
    free_K = validation.index(set(candidates) - set(always))
    blame_K = cue_P[free_K] - class_P[free_K]
    even = 1 / len(free_K) if len(free_K) else 0.0
    ranked_K = [
        place
        for place in free_K[np.argsort(-blame_K, kind="stable")]
        if cue_P[place] > max(even, class_P[place])
    ]
    ranking = tuple(validation.parts[place] for place in ranked_K)
    left_NC = ablated_logits(validation, always, ablation)
    path = [score_groups(left_NC, truth)]
    for part in ranking:
        left_NC = left_NC - direct_effect(validation, [part], ablation)
        path.append(score_groups(left_NC, truth))
    best = int(np.argmax([each.worst_group for each in path]))  # the fewest parts among equals
    return Choice(
        ranking[:best],
        ranking,
        tuple(map(float, cue_P[ranked_K])),
        tuple(map(float, class_P[ranked_K])),
        tuple(path),
    )


def judge_removal(
    test: PartScores,
    truth: CueLabels,
    parts: Sequence[Part],
    candidates: Collection[Part],
    ablation: Ablation,
    *,
    always: Collection[Part] = (),
    num_random: int = 200,
    seed: int = 0,
) -> Removal:
    """Ablate parts on the test split, and as many random ones beside.

    Args:
        test: scores of images that nothing was chosen by.
        truth: classes and cues of its images.
        parts: from `choose_spurious`, or listed by hand.
        candidates: what random parts are drawn from.
        ablation: what takes the place of a part.
        always: parts that are ablated before and after.
        num_random: draws of random parts.
        seed: of the draws.

    Raises:
        InputError: if labels do not fit, or there are fewer candidates than parts.
    """
    _check(test, truth)
    pool = [test.parts[place] for place in test.index(set(candidates) - set(always))]
    if len(parts) > len(pool):
        raise InputError(
            f"expected at least {len(parts)} candidates to draw as many at random, got {len(pool)}."
        )
    whole_NC = ablated_logits(test, always, ablation)

    def without(some: Collection[Part]) -> GroupScores:
        removed = set(some) - set(always)
        return score_groups(whole_NC - direct_effect(test, removed, ablation), truth)

    after = without(parts)
    generator = np.random.default_rng(seed)
    draws = [generator.choice(len(pool), len(parts), replace=False) for _ in range(num_random)]
    random = tuple(without([pool[place] for place in draw]).worst_group for draw in draws)
    as_good = sum(each >= after.worst_group for each in random)
    return Removal(
        tuple(parts),
        tuple(always),
        score_groups(whole_NC, truth),
        after,
        random,
        (1 + as_good) / (1 + num_random),
    )


def with_offset(scores: PartScores, offset_C: Floats) -> PartScores:
    """Add the offset of a linear classifier to the constant part.

    Raises:
        InputError: if the table has no constant part.
    """
    values = scores.values.astype(np.float64)
    values[:, scores.index([Part("constant")])[0]] += offset_C
    return replace(scores, values=values)


def _mean(scores: PartScores, truth: CueLabels, label: int, cue: int) -> Floats:
    rows_N = (truth.label == label) & (truth.cue == cue)
    if not rows_N.any():
        raise InputError(
            f"expected images of every pair of class and cue, got none of class {label} with cue "
            f"{cue}. Add such images: the cue cannot be told from the class."
        )
    mean: Floats = scores.values[rows_N].mean(axis=0, dtype=np.float64)
    return mean


def _shares(pattern_KPC: Floats, name: str) -> Floats:
    whole_KC = pattern_KPC.sum(axis=1)
    total = float((whole_KC**2).sum())
    if not total > 0:
        raise InputError(f"expected a model whose answers change with the {name}, these do not.")
    shares: Floats = np.einsum("kpc,kc->p", pattern_KPC, whole_KC) / total
    return shares


def _check(scores: PartScores, truth: CueLabels) -> None:
    if len(truth.label) != len(scores):
        raise InputError(
            f"expected a class and a cue for each of {len(scores)} images, got {len(truth.label)}."
        )
    if truth.label.size and truth.label.max() >= len(scores.texts):
        raise InputError(
            f"expected classes among the {len(scores.texts)} texts of the table, got number "
            f"{truth.label.max()}."
        )
