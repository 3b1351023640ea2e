"""Which deltas each block keeps under a budget (as aTLAS, arXiv 2407.02880, Table 14).

    gradient    the N deltas with the largest |dL/dc[k, block]| at c = 0, over all training images
    random      N of the deltas that change the block, by a hash of seed, block and delta

What is not kept is taken out of the basis, so that time and memory fall with it. Deltas are chosen
for whole weights: granularities that cut weights (head, partition, rank, spectral) keep them by
`block`.

Shape letters: N images of a task, V values of a task, K deltas, P blocks.
"""

from __future__ import annotations

import logging
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from typing import Any, Literal, NamedTuple, cast

import numpy as np
import torch
from torch import Tensor

from composition.basis import Basis
from composition.composed import Composition
from composition.granularity import WHOLE, Granularity
from composition.objectives import Model, Objective, Scored
from composition.selection.reduction import changing
from composition.task_model import TaskModel
from datamodules.batches import gathered
from datamodules.counter_random import uniform
from datamodules.errors import InputError
from lightning_modules.progress import progress

Select = Literal["gradient", "random"]
_log = logging.getLogger(__name__)
_LABELLED = ("supervised", "negation")  # objectives


def check_choice(objective: str, budget: int | None, select: str, *, leave_own_out: bool) -> None:
    """Check settings of which deltas are used.

    Raises:
        InputError: if the objective cannot go with them, or the budget is out of its range.
    """
    if budget is not None and budget < 1:
        raise InputError(f"--model.budget is {budget}, expected at least 1 delta a block.")
    if objective == "self-labels" and (leave_own_out or budget is not None):
        raise InputError(
            "--model.objective self-labels asks each task's own adapters as they were trained: "
            "leave out --model.leave_own_out and --model.budget, or choose another objective."
        )
    if budget is not None and select == "gradient" and objective not in _LABELLED:
        raise InputError(
            f"--model.select gradient needs labels, which --model.objective {objective} does not "
            "look at. Choose --model.select random, or an objective with labels: "
            f"{', '.join(_LABELLED)}."
        )


def selected(
    model: TaskModel,
    basis: Basis,
    objective: Objective,
    device: torch.device,
    *,
    granularity: str,
    budget: int,
    select: Select,
) -> dict[str, tuple[str, ...]]:
    """The deltas that each weight keeps: {weight: deltas}; {} if that is all of them.

    Args:
        model: whose tasks and heads count; its composition is replaced and taken off again.
        basis: all deltas.
        objective: whose loss is meant; one with labels, unless the choice is random.
        device: where images pass.
        granularity: of the composition that is to be fitted.
        budget: deltas that each block keeps, at least 1.
        select: by what; the seed of the random choice is the data's.
    """
    assert model.data is not None
    seed = model.data.seed
    if budget >= len(basis.names):
        return {}
    blocks = _blocks(basis, selection_granularity(granularity))
    if select == "random":
        chosen = _best(basis, blocks, budget, lambda block, k: _drawn(seed, block, basis.names[k]))
    else:
        gradient_KP, column = block_gradients(model, basis, objective, granularity, device)
        size_KP = gradient_KP.abs()
        chosen = _best(basis, blocks, budget, lambda block, k: float(size_KP[k, column[block]]))
    counts = Counter(name for names in chosen.values() for name in names)
    each = ", ".join(f"{name} in {count}" for name, count in counts.most_common())
    _log.info("chosen by %s, of %d weights: %s", select, len(chosen), each)
    return chosen


def selection_granularity(granularity: str) -> str:
    """The granularity whose blocks keep deltas: the asked one, or `block` where that cuts weights.

    Example:
        >>> selection_granularity("layer"), selection_granularity("rank")
        ('layer', 'block')
    """
    return granularity if Granularity.parse(granularity).kind in WHOLE else "block"


def block_gradients(
    model: TaskModel, basis: Basis, objective: Objective, granularity: str, device: torch.device
) -> tuple[Tensor, dict[str, int]]:
    """dL/dc at c = 0, over all training images of all tasks.

    The loss is differentiated by the logits of all images at once, and these by the coefficients
    batch by batch: exact for every loss, also one that is no mean over images.

    Args:
        model: see `selected`.
        basis: all deltas.
        objective: whose loss is meant.
        granularity: of the composition; see `selection_granularity`.
        device: where images pass.

    Returns:
        The gradient (K, P) on the host, and the column of each block.
    """
    model.composition = composition = Composition(
        basis, selection_granularity(granularity), stream=bool(model.hparams.get("stream"))
    )
    before = model.device
    model.to(device)
    try:
        model.calibrate()
        told = [_told(model, number) for number in range(len(model.task_heads))]
        with torch.enable_grad():
            leaves = [each.logits_BV.requires_grad_() for each in told]
            batch = {"image": None, "parts": [each.labels for each in told]}
            loss = objective.loss(cast("Model", _Told(told)), batch)
            pulls = torch.autograd.grad(loss, leaves)
            for each, pull_NV in zip(told, pulls, strict=True):
                _pull(model, each, pull_NV)
        gradient = composition.coefficients.grad
        assert gradient is not None
        return gradient.cpu(), {name: p for p, name in enumerate(composition.block_names)}
    finally:
        model.to(before)
        composition.detach()


class _Told(NamedTuple):
    """What an objective asks of a model, once its logits are known."""

    told: Sequence[Scored]

    def scored(self, image: Any, parts: Any) -> list[Scored]:
        """All training images of all tasks."""
        return list(self.told)


def _told(model: TaskModel, task: int) -> Scored:
    """A task's training images, scored by the base."""
    assert model.data is not None
    head = model.task_heads[task]
    index_N, logits_NV = model.training_logits(task, ())
    data = model.data.tasks[head.name]
    labels = data.images().known_of(index_N.cpu().numpy() * data.crops)
    moved = {name: value.to(model.device) for name, value in labels.items()}
    return Scored(head, logits_NV.clone(), moved)


def _pull(model: TaskModel, told: Scored, pull_NV: Tensor) -> None:
    """Add to the coefficients' gradient what a gradient of a task's logits (N, V) makes of it."""
    assert model.data is not None
    data = model.data.tasks[told.head.name]
    pixels, squares = data.pixels(), told.labels["index"].cpu().numpy() * data.crops
    size = model.data.batch_size
    with progress(f"{told.head.name}: gradients", len(squares)) as advance:
        for start in range(0, len(squares), size):
            own = squares[start : start + size]
            image_BD = model.encode_image(gathered([(pixels, own)]).to(model.device))
            told.head(image_BD, model.scale).backward(pull_NV[start : start + size])
            advance(len(own))


def _blocks(basis: Basis, granularity: str) -> dict[str, list[str]]:
    """Block -> its weights."""
    blocks: dict[str, list[str]] = {}
    sites = Granularity.parse(granularity).sites(basis.model, basis.weights)
    for weight, site in sites.items():
        blocks.setdefault(site.blocks[0], []).append(weight)
    return blocks


def _best(
    basis: Basis,
    blocks: Mapping[str, Sequence[str]],
    budget: int,
    score: Callable[[str, int], float],
) -> dict[str, tuple[str, ...]]:
    """The deltas of the highest scores in each block; of equal ones the first."""
    chosen: dict[str, tuple[str, ...]] = {}
    for block, weights in blocks.items():
        changes = sorted({k for weight in weights for k in changing(basis, weight)})
        best = sorted(changes, key=lambda k: -score(block, k))[:budget]
        names = tuple(basis.names[k] for k in sorted(best))
        chosen |= dict.fromkeys(weights, names)
    return chosen


def _drawn(seed: int, block: str, delta: str) -> float:
    return float(uniform(seed, f"{block}/{delta}", np.zeros(1, dtype=np.int64), 1)[0, 0])
