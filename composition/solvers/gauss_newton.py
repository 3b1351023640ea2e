"""Few second-order steps on the loss itself, in the space of coefficients.

Logits are linearized where the coefficients stand; what is left is convex. For cross-entropy its
curvature, the generalized Gauss-Newton matrix H, is the Fisher information, so a step is one of
natural gradient (Martens, JMLR 2020, https://arxiv.org/abs/1412.1193). It solves

    (H + damping diag(H)) step = -gradient,

and damping follows how well the loss was foreseen (Levenberg-Marquardt). If logits are linear in
the coefficients, this is Newton's method. H is dense: a few thousand coefficients are practical.

Shape letters: N coefficients.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor

from composition.composed import Composition
from composition.solvers.objective import Objective, Task
from datamodules.errors import InputError

_START = 1e-3  # damping of the first step
_MAX_TRIALS = 12  # of one step, each ten times as damped as the last

Reason = Literal["gap", "decrease", "stalled", "steps"]


@dataclass(frozen=True)
class Step:
    """Where the solver stood, and how it left.

    Args:
        loss: L, see `solvers.objective`.
        gap: how much lower L would be at the minimum of its linearization here, to second order.
        damping: of the step that was taken, or tried last; NaN at the end.
        trials: steps that were tried.
    """

    loss: float
    gap: float
    damping: float
    trials: int


@dataclass(frozen=True)
class Descent:
    """What the solver did.

    Args:
        steps: one entry for each point, the start first and the end last.
        reason: why it ended: the gap, or the last decrease of the loss, was small against the loss;
            no step lowered it; or the number of steps was reached.
    """

    steps: tuple[Step, ...]
    reason: Reason

    @property
    def loss(self) -> float:
        """L at the end."""
        return self.steps[-1].loss

    @property
    def gap(self) -> float:
        """How much lower L would be at the minimum of its linearization at the end."""
        return self.steps[-1].gap


def gauss_newton(
    composition: Composition,
    tasks: Sequence[Task],
    *,
    max_steps: int = 20,
    ridge: float = 0.0,
    tolerance: float = 1e-4,
    chunk_size: int = 64,
) -> Descent:
    """Move the coefficients of a composition, from where they are, to a minimum of L.

    Args:
        composition: its coefficients are changed in place; L never grows.
        tasks: each counts the same, however many images it has.
        max_steps: at most.
        ridge: pull to where the coefficients start, 0 or more. Without it they may grow without
            end on images that can be told apart perfectly.
        tolerance: gaps and decreases below this share of the loss end the descent.
        chunk_size: images at a time, a bound on memory.

    Raises:
        InputError: if targets do not fit the logits, the loss is not finite at the start, or the
            logits do not depend on the coefficients.
    """
    objective = Objective(composition, tasks, ridge, chunk_size)
    precision = torch.finfo(composition.coefficients.dtype).eps
    loss, decrease, damping = objective.loss(), math.inf, _START
    if not math.isfinite(loss):
        raise InputError(
            f"the loss is {loss} where the coefficients start, expected a finite number. Check the "
            "images, or start from smaller coefficients."
        )
    steps: list[Step] = []
    while True:
        local = _Local(*objective.linearize(), precision)
        gap = local.gap()
        if reason := _reason(gap, decrease, tolerance * loss, len(steps) == max_steps):
            return Descent((*steps, Step(loss, gap, math.nan, 0)), reason)
        after, used, trials, damping = _descend(objective, local, loss, damping)
        steps.append(Step(loss, gap, used, trials))
        decrease, loss = loss - after, after


@dataclass(frozen=True)
class _Local:
    """L near a point, to second order.

    Args:
        slope_N: gradient.
        curvature_NN: H.
        precision: relative; of what the Jacobian was computed in.
    """

    slope_N: Tensor
    curvature_NN: Tensor
    precision: float

    def solve(self, damping: float) -> Tensor:
        """The step (N,) to the minimum, damped."""
        size_N = self.curvature_NN.diagonal()
        size_N = size_N.clamp_min(self.precision * float(size_N.max())).sqrt()
        scaled_NN = self.curvature_NN / size_N[:, None] / size_N
        # What curves less than this cannot be told from rounding.
        scaled_NN.diagonal().add_(damping + self.precision * len(size_N))
        root_NN = torch.linalg.cholesky(scaled_NN)
        down_N = torch.cholesky_solve((-self.slope_N / size_N)[:, None], root_NN)[:, 0]
        return down_N / size_N

    def gap(self) -> float:
        """How far the minimum lies below the point."""
        return -float(self.slope_N @ self.solve(0.0)) / 2

    def decrease(self, step_N: Tensor) -> float:
        """How far a step leads down."""
        return -float(self.slope_N @ step_N + step_N @ self.curvature_NN @ step_N / 2)


def _descend(
    objective: Objective, local: _Local, loss: float, damping: float
) -> tuple[float, float, int, float]:
    """Take the least damped step that lowers the loss, or none.

    Returns:
        The loss after it, its damping, the number of trials, and the next step's damping.
    """
    point_N = objective.point()
    for trial in range(1, _MAX_TRIALS + 1):
        step_N = local.solve(damping)
        objective.move(point_N + step_N)
        after = objective.loss()
        if after < loss:
            foreseen = (loss - after) / local.decrease(step_N)
            factor = 0.1 if foreseen > 0.75 else 1.0 if foreseen > 0.25 else 4.0
            return after, damping, trial, damping * factor
        damping *= 10
    objective.move(point_N)
    return loss, damping / 10, _MAX_TRIALS, damping


def _reason(gap: float, decrease: float, bound: float, out_of_steps: bool) -> Reason | None:
    if gap <= bound:
        return "gap"
    if decrease <= bound:
        return "decrease" if decrease > 0 else "stalled"
    return "steps" if out_of_steps else None
