"""Do other deltas change what the model answers about an attribute?

    xi(t) = share of images of t with  argmax f(x; c_t delta_t) != argmax f(x; sum_k c_k delta_k),

the disentanglement error of Ortiz-Jimenez et al. (NeurIPS 2023, https://arxiv.org/abs/2305.12827),
task by task. Each other delta is also added alone, and all others are replaced by random ones of
the same ranks and norms: answers change by any disturbance, so xi is large if it exceeds theirs.

Shape letters: B images, V values.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

import torch
from torch import Tensor

from composition.basis import Basis
from composition.coefficients import Named
from composition.composed import Composition
from composition.interference.control import joint, random_like
from datamodules.errors import InputError
from lightning_modules.tensors import first_five


class Question(NamedTuple):
    """What is asked about the images of one delta.

    Args:
        logits: images -> (B, V), by way of the basis's model.
        batches: images, read once.
    """

    logits: Callable[[Tensor], Tensor]
    batches: Iterable[Tensor]


@dataclass(frozen=True)
class Disentanglement:
    """Shares of the images of one delta whose answer changes, in [0, 1].

    Args:
        delta: whose images and values they are.
        num_images: how many.
        all: by all other deltas together: xi.
        by_delta: by one other delta alone.
        random: by all others together, had they random directions.
    """

    delta: str
    num_images: int
    all: float
    by_delta: dict[str, float]
    random: float


@torch.no_grad()
def disentanglement_error(
    basis: Basis,
    questions: Mapping[str, Question],
    *,
    granularity: str = "global",
    coefficients: Named | None = None,
    seed: int = 0,
) -> tuple[Disentanglement, ...]:
    """Compare the answers of each delta alone with those among others.

    Args:
        basis: deltas and model; the model must not be composed. It is as before afterwards.
        questions: for each delta that is to be judged.
        granularity: of the coefficients.
        coefficients: {delta: {block: number}} that the deltas are scaled by; 1 by default.
        seed: of the random deltas.

    Raises:
        InputError: if a question is about no delta, has no images, or coefficients do not fit.
    """
    if unknown := [name for name in questions if name not in basis.names]:
        raise InputError(
            f"questions about {first_five(unknown)}, which are no deltas; there are "
            f"{', '.join(basis.names)}."
        )
    if coefficients is not None and set(coefficients) != set(basis.names):
        raise InputError(
            f"expected coefficients of {', '.join(basis.names)}, got those of "
            f"{', '.join(coefficients) or 'none'}. Use those of a composition of these deltas."
        )
    twins = {name: f"{name} at random" for name in basis.names}
    both = joint([basis, random_like(basis, seed)], [*twins, *twins.values()])
    composition = Composition(both, granularity)
    try:
        rows = composition.named_coefficients()
        ones = {name: dict.fromkeys(rows[name], 1.0) for name in twins}
        settings = _Settings(composition, ones if coefficients is None else coefficients, twins)
        return tuple(_judge(settings, name, question) for name, question in questions.items())
    finally:
        composition.detach()


class _Settings:
    """A composition whose deltas are switched on and off.

    Args:
        composition: of the deltas and their random twins.
        rows: coefficients of each delta.
        twins: delta -> its random twin.
    """

    def __init__(self, composition: Composition, rows: Named, twins: Mapping[str, str]) -> None:
        self.composition, self.rows, self.twins = composition, rows, twins
        self.zeros = {
            name: dict.fromkeys(row, 0.0) for name, row in composition.named_coefficients().items()
        }

    def switch(self, deltas: Iterable[str], twins: Iterable[str] = ()) -> None:
        """Scale some deltas and the twins of others by their coefficients, all else by 0."""
        on = {name: self.rows[name] for name in deltas}
        on |= {self.twins[name]: self.rows[name] for name in twins}
        self.composition.assign(self.zeros | on)


def _judge(settings: _Settings, delta: str, question: Question) -> Disentanglement:
    others = [name for name in settings.twins if name != delta]
    variants: list[tuple[list[str], list[str]]] = [([delta, name], []) for name in others]
    variants += [([delta, *others], []), ([delta], others)]
    changed, num_images = [0] * len(variants), 0
    for batch in question.batches:
        settings.switch([delta])
        alone_B = question.logits(batch).argmax(1)
        num_images += len(alone_B)
        for place, variant in enumerate(variants):
            settings.switch(*variant)
            changed[place] += int((question.logits(batch).argmax(1) != alone_B).sum())
    if not num_images:
        raise InputError(f"expected images to ask about {delta!r}, got none.")
    *each, together, random = (count / num_images for count in changed)
    return Disentanglement(
        delta, num_images, together, dict(zip(others, each, strict=True)), random
    )
