"""Does an adapter's work lie in heads of its own? Its top heads are reverted, all attributes asked.

    matrix[b, a] = accuracy in attribute a of base + delta b
                   - the same without the rows and columns of delta b's own top heads

The diagonal is what the top heads of an adapter do for its attribute, all else what they do for the
others. Random heads of the same adapter say what any heads would do.

Shape letters: N images, A attributes.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from datamodules.errors import InputError
from interpret.adapters.cut import Site, merged, parts_of, restricted, sites
from interpret.adapters.question import Question
from interpret.heads.causal import dominance
from interpret.parts import Part
from interpret.plain import plain
from interpret.towers import image_tower
from lightning_modules.delta import Delta

Floats = NDArray[np.float64]
Matrix = tuple[tuple[float, ...], ...]


@dataclass(frozen=True)
class Crossing:
    """Accuracies lost, in shares; row = whose adapter, column = what was asked.

    Args:
        attributes: rows and columns, in this order.
        heads: of each adapter, those that were reverted.
        gain: accuracy that the whole adapter brings.
        matrix: accuracy lost without its heads.
        random: mean of the same over random heads of the adapter.
        dominance: mean of the diagonal of `matrix` less the mean of all else.
        random_dominance: of each draw of random heads.
    """

    attributes: tuple[str, ...]
    heads: dict[str, tuple[Part, ...]]
    gain: Matrix
    matrix: Matrix
    random: Matrix
    dominance: float
    random_dominance: tuple[float, ...]

    def to_json(self) -> dict[str, Any]:
        """As JSON can hold it."""
        found: dict[str, Any] = plain(self)
        return found


@torch.no_grad()
def cross(
    model: nn.Module,
    deltas: Sequence[Delta],
    heads: Mapping[str, Sequence[Part]],
    images: Tensor,
    questions: Mapping[str, Question],
    *,
    num_random: int = 5,
    seed: int = 0,
) -> Crossing:
    """Revert the heads of every adapter in turn, and ask all attributes.

    Args:
        model: the split base model; afterwards it is as it was, bit for bit.
        deltas: of kind "lora", of at least two attributes.
        heads: attribute -> heads of its delta, as of `Footprint.top`, best by a score that saw no
            labels of these images, such as "energy".
        images: preprocessed, (N, 3, height, width).
        questions: attribute -> question of these images, at least those of the deltas.
        num_random: draws of random heads, as many as `heads` names; at least 1.
        seed: of these.

    Raises:
        InputError: if there are fewer than two deltas, or heads or a question are missing.
    """
    names = tuple(delta.card.attribute for delta in deltas)
    if len(names) < 2 or num_random < 1:
        raise InputError(
            f"expected two deltas and a draw of random heads or more, got {len(names)} and "
            f"{num_random}."
        )
    if missing := [name for name in names if name not in questions or not heads.get(name)]:
        raise InputError(f"expected heads of, and a question about, {missing[0]!r}, got none.")
    tower, random = image_tower(model), np.random.default_rng(seed)

    def ask() -> list[float]:
        image_NE = F.normalize(tower.run(images), dim=-1)
        return [_accuracy(image_NE, questions[name]) for name in names]

    def without(delta: Delta, found: Mapping[str, Site], chosen: Sequence[Part]) -> list[float]:
        kept = set(parts_of(found)).difference(chosen)
        with merged(model, restricted(delta, found, kept)):
            return ask()

    base, whole, left, drawn = ask(), [], [], []
    for delta, name in zip(deltas, names, strict=True):
        found = sites(model, delta)
        candidates = [part for part in parts_of(found) if part.kind == "head"]
        with merged(model, delta):
            whole.append(ask())
        left.append(without(delta, found, heads[name]))
        size = len(heads[name])
        picks = [random.choice(len(candidates), size, replace=False) for _ in range(num_random)]
        drawn.append([without(delta, found, [candidates[n] for n in pick]) for pick in picks])
    whole_AA, random_RAA = np.array(whole), np.array(whole) - np.array(drawn).transpose(1, 0, 2)
    matrix_AA = whole_AA - np.array(left)
    return Crossing(
        names,
        {name: tuple(heads[name]) for name in names},
        _rows(whole_AA - np.array(base)),
        _rows(matrix_AA),
        _rows(random_RAA.mean(axis=0)),
        dominance(matrix_AA),
        tuple(dominance(each) for each in random_RAA),
    )


def _accuracy(image_NE: Tensor, question: Question) -> float:
    guess_N = (image_NE @ question.text_VE.to(image_NE).T).argmax(dim=1).cpu().numpy()
    known = question.label_N >= 0
    return float((guess_N == question.label_N)[known].mean())


def _rows(matrix_AA: Floats) -> Matrix:
    return tuple(tuple(map(float, row)) for row in matrix_AA)
