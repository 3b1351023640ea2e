"""Coefficients from training images without stochastic gradients, before the first step of a fit.

    images          least squares: every delta goes on doing what it does alone, to the images of
                    the tasks of its own attributes (all images, if there is no such task), as they
                    pass the base with this delta; no label is read
    gauss-newton    second-order steps on the supervised loss of all training images, from the sum
                    of all deltas

Without epochs after it, either is all that is learned.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator

import numpy as np
import torch
from torch import Tensor

from composition.basis import Basis
from composition.library import own_attributes
from composition.objectives import Objective
from composition.solvers import gauss_newton, input_moments, least_squares
from composition.solvers.least_squares import check_granularity
from composition.starts.labelled import chunk_size, labelled_tasks, objection
from composition.starts.start import FROM_DATA, Start
from composition.task_model import TaskModel
from datamodules.batches import gathered
from datamodules.errors import InputError

_MOST, _BATCH = 1024, 128  # images of a task whose moments are taken, and images at a time
_log = logging.getLogger(__name__)


def check_settings(kind: Start, ridge: float, last_blocks: int | None, decay: float) -> None:
    """Check flags that concern each other.

    Args:
        kind: --model.start.
        ridge: --model.ridge.
        last_blocks: --model.last_blocks.
        decay: --model.weight_decay.

    Raises:
        InputError: if they do not fit.
    """
    if ridge < 0:
        raise InputError(f"--model.ridge is {ridge}, expected 0 or more.")
    if ridge and kind not in FROM_DATA:
        raise InputError(
            f"--model.ridge needs --model.start {' or '.join(FROM_DATA)}, got {kind}. Set it, or "
            "leave --model.ridge out."
        )
    if decay and last_blocks is not None:
        raise InputError(
            "--model.weight_decay pulls all coefficients to zero, also those that "
            "--model.last_blocks keeps. Leave one of them out, or use --model.penalty."
        )


def check_start(model: TaskModel, objective: Objective, kind: Start) -> None:
    """See whether a start from data applies, before any work.

    Args:
        model: after `prepare`.
        objective: what its coefficients are fitted for.
        kind: any start.

    Raises:
        InputError: if it does not apply.
    """
    if kind == "images":
        check_granularity(model.composition.granularity)
        if model.composition.partial:
            raise InputError(
                "--model.start images needs whole deltas, and under --model.budget only some of "
                "the weights are kept. Choose another --model.start, or leave the budget out."
            )
    if kind == "gauss-newton" and (why := objection(model, objective)):
        raise InputError(
            f"--model.start gauss-newton does not apply: {why}. Or choose another --model.start."
        )


def start_from_data(model: TaskModel, basis: Basis, kind: Start, ridge: float) -> None:
    """Set the coefficients, the same in all processes.

    Args:
        model: in a fit, before its first step.
        basis: its deltas.
        kind: "images" or "gauss-newton".
        ridge: pull to 0 for "images", in units of the system's own diagonal; to the sum for
            "gauss-newton", in units of the loss.
    """
    with torch.compiler.set_stance("force_eager"):  # hooks and tangents go through the modules
        if kind == "images":
            _solve(model, basis, ridge)
        else:
            _descend(model, ridge)
    first = model.trainer.strategy.broadcast(model.composition.coefficients.detach().cpu())
    with torch.no_grad():
        model.composition.coefficients.copy_(first)


def _solve(model: TaskModel, basis: Basis, ridge: float) -> None:
    moments = {}
    for name in basis.names:
        with model.composition.summed([name]):
            moments[name] = input_moments(basis, model.encode_image, _images(model, name))
    found = least_squares(basis, model.composition.granularity, moments=moments, ridge=ridge)
    model.composition.assign(found.coefficients)
    base = found.total.zero or 1.0
    _log.info(
        "start images: squared error of what the deltas do %.4f of the base's; the sum's %.4f, the "
        "mean's best multiple %.4f, a bound for any update %.4f",
        *(each / base for each in (
            found.total.solved, found.total.one, found.total.uniform, found.total.floor
        )),
    )  # fmt: skip


def _descend(model: TaskModel, ridge: float) -> None:
    found = gauss_newton(
        model.composition, labelled_tasks(model), ridge=ridge, chunk_size=chunk_size(model)
    )
    _log.info(
        "start gauss-newton: loss %.4f -> %.4f in %s steps (ended by: %s); optimality gap %.2g, "
        "%.2g %% of the loss",
        found.steps[0].loss, found.loss, len(found.steps) - 1, found.reason, found.gap,
        100 * found.gap / found.loss if found.loss else 0.0,
    )  # fmt: skip


def _images(model: TaskModel, delta: str) -> Iterator[Tensor]:
    """Training images, uint8 (B, 3, H, W), of a delta's own tasks, or of all."""
    assert model.data is not None
    tasks = list(model.data.tasks.values())
    own = [task for task in tasks if delta in own_attributes(task)]
    for task in own or tasks:
        members = task.members("train")
        if len(members) > _MOST:
            members = members[np.linspace(0, len(members) - 1, _MOST).astype(np.int64)]
        for start in range(0, len(members), _BATCH):
            squares = members[start : start + _BATCH] * task.crops
            yield gathered([(task.pixels(), squares)]).to(model.device)
