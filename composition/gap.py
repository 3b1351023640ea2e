"""How far learned coefficients are from the best ones, foreseen by one linearization.

The loss is L of `solvers.objective` over whole training splits, without penalty. The gap is exact
where logits are linear in the coefficients, and an estimate to second order elsewhere. Coefficients
stopped early, to do well on other images, have a gap by intent.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import torch

from composition.composer import Composer
from composition.labelled import chunk_size, labelled_tasks, objection
from composition.solvers import Task, gauss_newton
from composition.solvers.jacobian import passes

_PASSES = {"cpu": 1 << 13, "cuda": 1 << 19}  # of one image that a gap may cost: a minute or two


@dataclass(frozen=True)
class Gap:
    """What was found.

    Args:
        loss: L at the coefficients, in nats; None if it was not worked out.
        gap: how much lower L would be at the minimum of its linearization; None likewise.
        reason: why it was not worked out, else "".
    """

    loss: float | None
    gap: float | None
    reason: str = ""

    @property
    def share(self) -> float | None:
        """The gap as a share of the loss, 0 to 1 but for what the linearization gets wrong."""
        if self.loss is None or self.gap is None:
            return None
        return self.gap / self.loss if self.loss else 0.0

    def to_text(self) -> str:
        """One line."""
        if self.loss is None or self.gap is None or self.share is None:
            return f"optimality gap: not worked out: {self.reason}."
        return (
            f"optimality gap on the training images: {self.gap:.2g} of a loss of {self.loss:.4g} "
            f"nats ({100 * self.share:.2g} %)."
        )

    def to_json(self) -> dict[str, Any]:
        """Its numbers."""
        return asdict(self) | {"share": self.share}


def optimality_gap(model: Composer) -> Gap:
    """The gap of a composer's coefficients, which stay as they are.

    Args:
        model: after `prepare`, on the device to work on.
    """
    if why := objection(model, model.objective):
        return Gap(None, None, why)
    tasks = labelled_tasks(model)
    cost = sum(_cost(model, task) for task in tasks)
    kind = model.device.type
    most = _PASSES.get(kind, _PASSES["cpu"])
    if cost > most:
        why = f"it would take {cost:,} passes of an image, on {kind} {most:,} at most"
        return Gap(None, None, why)
    with torch.compiler.set_stance("force_eager"):
        found = gauss_newton(model.composition, tasks, max_steps=0, chunk_size=chunk_size(model))
    return Gap(found.loss, found.gap)


def _cost(model: Composer, task: Task) -> int:
    return len(task.images) * passes(model.composition, task.target.shape[1])
