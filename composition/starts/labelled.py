"""The labelled training images of the tasks of a model, as second-order solvers take them.

L of `solvers.objective` over them is the mean of the tasks' supervised losses over whole training
splits: images that show no value are left out, several true values share their image's mass.

Shape letters: B images of a chunk, N images of a split, V values that the training split shows.
"""

from __future__ import annotations

from functools import partial

import torch
from torch import Tensor

from composition.heads import TaskHead
from composition.objectives import Objective, Supervised
from composition.solvers import Task
from composition.task_model import TaskModel
from datamodules.batches import AttributeImages, gathered

MAX_COEFFICIENTS = 4096  # curvature takes 128 MiB, and a step some seconds
_MOST_AT_ONCE = 64  # images
_NUMBERS = 1 << 24  # of a Jacobian that are held at a time: 128 MiB


class _Images:
    """Squares of a source that are read when they are asked for.

    Args:
        images: of the source.
        squares_N: their numbers.
        device: where they are wanted.
    """

    def __init__(self, images: AttributeImages, squares_N: Tensor, device: torch.device) -> None:
        self.images, self.squares_N, self.device = images, squares_N, device

    def __len__(self) -> int:
        return len(self.squares_N)

    def __getitem__(self, rows: slice) -> Tensor:
        """uint8 (B, 3, H, W)."""
        return gathered([(self.images.pixels, self.squares_N[rows].numpy())]).to(self.device)


def objection(model: TaskModel, objective: Objective) -> str:
    """Why there is no second-order problem to be solved, or "" if there is one.

    Args:
        model: after `prepare`.
        objective: what its coefficients are fitted for.
    """
    if not isinstance(objective, Supervised):
        return "it needs --model.objective supervised"
    if many := [head.name for head in model.task_heads if head.objective != "softmax"]:
        return f"it needs tasks whose images show one value each, unlike {many[0]}"
    count = model.composition.coefficients.numel()
    if count > MAX_COEFFICIENTS:
        return (
            f"its equations would be of {count:,} coefficients, of {MAX_COEFFICIENTS:,} at most: "
            "choose a coarser --model.granularity"
        )
    return ""


def labelled_tasks(model: TaskModel) -> list[Task]:
    """The tasks of a model without objection."""
    assert model.data is not None
    tasks = []
    for head in model.task_heads:
        data = model.data.tasks[head.name]
        images, members = data.images(), torch.from_numpy(data.members("train"))
        known = images.known_of((members * images.crops).numpy())
        label_NV = known["label"][:, head.seen_V.cpu()].double()
        shown_N = label_NV.sum(1)
        use_N = (shown_N > 0) & (known["weight"] > 0)
        tasks.append(
            Task(
                partial(_logits, model, head),
                _Images(images, members[use_N] * images.crops, model.device),
                label_NV[use_N] / shown_N[use_N, None],
                known["weight"][use_N],
            )
        )
    return tasks


def chunk_size(model: TaskModel) -> int:
    """Images at a time, so that their Jacobian fits."""
    widest = max(int(head.seen_V.sum()) for head in model.task_heads)
    numbers = widest * model.composition.coefficients.numel()
    return max(1, min(_MOST_AT_ONCE, _NUMBERS // numbers))


def _logits(model: TaskModel, head: TaskHead, image: Tensor) -> Tensor:
    """Scores (B, V)."""
    logits_BV: Tensor = head(model.encode_image(image), model.scale)
    return logits_BV[:, head.seen_V]
