"""The whole question of head roles on one model: found on some images, confirmed on others.

Shape letters: N images, A attributes, V values, E embedding width, T texts.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from datamodules.errors import InputError
from interpret.ablate import (
    Ablation,
    LayerCurve,
    OrderCurve,
    drops,
    layer_curve,
    mean_head_outputs,
    order_curve,
    run_with_heads,
    sweep,
)
from interpret.heads.causal import Confirmation, confirm
from interpret.heads.roles import AttributeRoles, find_roles
from interpret.parts import Asked, Part, PartScores, heads, score_parts
from interpret.plain import plain
from interpret.towers import Tower

KINDS: tuple[Literal["head", "mlp"], ...] = ("head", "mlp")  # ablated layer by layer


class Words(NamedTuple):
    """The values of one attribute, as the model reads them.

    Args:
        values: their names.
        embeddings: (V, E), one unit vector each.
    """

    values: Sequence[str]
    embeddings: Tensor


class LabelledImages(NamedTuple):
    """Images and what they show.

    Args:
        batches: what the tower takes; gone through several times.
        labels: attribute -> (N,) the true value's number; -1 is unknown.
    """

    batches: Sequence[Tensor]
    labels: Mapping[str, NDArray[np.int64]]


@dataclass(frozen=True)
class RoleStudy:
    """Head roles and the evidence for them.

    Args:
        protocol: which images did what.
        roles: of every attribute.
        curves: accuracy as layers are ablated, heads first, then MLPs if there are any.
        orders: attribute -> deletion and insertion curve of all heads, ordered by class share.
        single_drops: part -> attribute -> accuracy lost by its direct effect.
        direct: the roles' confirmation by direct effects.
        total: by total effects.
    """

    protocol: str
    roles: tuple[AttributeRoles, ...]
    curves: tuple[LayerCurve, ...]
    orders: dict[str, tuple[OrderCurve, OrderCurve]]
    single_drops: dict[str, dict[str, float]]
    direct: Confirmation
    total: Confirmation

    def to_json(self) -> dict[str, Any]:
        """All numbers as JSON objects and arrays, one key for each field; parts by their names."""
        found: dict[str, Any] = plain(self)
        return found


def study_roles(
    tower: Tower,
    words: Mapping[str, Words],
    found_on: LabelledImages,
    judged_on: LabelledImages,
    *,
    top: int = 2,
    num_sets: int = 100,
    num_runs: int = 24,
    seed: int = 0,
) -> RoleStudy:
    """Find the heads of every attribute and see what their loss costs.

    All ablation is by means over the images that roles are found on.

    Args:
        tower: from `image_tower`, in evaluation mode.
        words: attribute -> its values, at least two attributes.
        found_on: images that roles are found on.
        judged_on: others, that accuracies are measured on.
        top: heads of each attribute that are ablated together.
        num_sets: random sets of heads to compare direct effects with.
        num_runs: the same for total effects; each costs a pass over the judged images.
        seed: of all that is random.

    Raises:
        InputError: if labels are missing or do not fit, or there are fewer heads than `top`.
    """
    texts_TE = torch.cat([each.embeddings for each in words.values()])
    names = [f"{attribute}: {value}" for attribute in words for value in words[attribute].values]
    source, scores = (
        score_parts(tower, images.batches, texts_TE, names) for images in (found_on, judged_on)
    )
    roles = find_roles(source, _asked(source, words, found_on), seed=seed)
    asked = _asked(scores, words, judged_on)
    ablation = Ablation("mean", source)
    chosen = {each.attribute: each.top(top) for each in roles}
    candidates = heads(scores.parts)
    losses = sweep(scores, asked, ablation)

    def direct(parts: Collection[Part]) -> NDArray[np.float64]:
        return np.asarray(drops(scores, [parts], asked, ablation)[0])

    total = _TotalEffect(tower, texts_TE, found_on.batches, judged_on.batches, asked)
    return RoleStudy(
        f"roles, means: {len(source)} images; accuracies: {len(scores)} others; "
        f"the {top} top heads of every attribute by class share",
        roles,
        tuple(
            layer_curve(scores, asked, ablation, kind)
            for kind in KINDS
            if any(part.kind == kind for part in scores.parts)
        ),
        {
            each.name: (
                order_curve(scores, each, role.top(len(candidates)), ablation, seed=seed),
                order_curve(
                    scores, each, role.top(len(candidates)), ablation, "insertion", seed=seed
                ),
            )
            for each, role in zip(asked, roles, strict=True)
        },
        {
            str(part): dict(zip(words, row.tolist(), strict=True))
            for part, row in zip(scores.parts, losses, strict=True)
        },
        confirm(chosen, direct, candidates, num_sets=num_sets, seed=seed),
        confirm(chosen, total, candidates, num_sets=num_runs, seed=seed),
    )


class _TotalEffect:
    """Accuracy lost when the model runs with the mean outputs of some heads.

    Args:
        tower: the model's.
        texts_TE: all values.
        source: batches that means are taken from.
        judged: batches that are asked.
        asked: attributes of these.
    """

    def __init__(
        self,
        tower: Tower,
        texts_TE: Tensor,
        source: Sequence[Tensor],
        judged: Sequence[Tensor],
        asked: Sequence[Asked],
    ) -> None:
        self.tower, self.texts_TE, self.judged, self.asked = tower, texts_TE, judged, asked
        self.means = mean_head_outputs(tower, source)
        self.known: dict[frozenset[Part], NDArray[np.float64]] = {}
        self.before_A = self._accuracies(frozenset())

    def __call__(self, parts: Collection[Part]) -> NDArray[np.float64]:
        chosen = frozenset(parts)
        if chosen not in self.known:  # random sets come again
            self.known[chosen] = self.before_A - self._accuracies(chosen)
        return self.known[chosen]

    def _accuracies(self, parts: frozenset[Part]) -> NDArray[np.float64]:
        runs = [run_with_heads(self.tower, batch, parts, self.means) for batch in self.judged]
        logits_NT = (torch.cat(runs) @ self.texts_TE.T).double().cpu().numpy()
        return np.array([each.accuracy(logits_NT) for each in self.asked])


def _asked(scores: PartScores, words: Mapping[str, Words], images: LabelledImages) -> list[Asked]:
    if missing := [name for name in words if name not in images.labels]:
        raise InputError(f"expected labels of {missing[0]} for all images, got none.")
    return [
        Asked.of(name, scores, [f"{name}: {value}" for value in values], images.labels[name])
        for name, (values, _) in words.items()
    ]
