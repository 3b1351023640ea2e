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
from composition.solvers import gauss_newton
from composition.starts.labelled import chunk_size, labelled_tasks, objection


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

    It costs as many passes of the training images, with a tangent each, as there are coefficients
    or classes, whichever are fewer: on a CPU, minutes.

    Args:
        model: after `prepare`, on the device to work on.
    """
    if why := objection(model, model.objective):
        return Gap(None, None, why)
    tasks = labelled_tasks(model)
    with torch.compiler.set_stance("force_eager"):
        found = gauss_newton(model.composition, tasks, max_steps=0, chunk_size=chunk_size(model))
    return Gap(found.loss, found.gap)
