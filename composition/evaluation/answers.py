"""What a composition answers for the images of all tasks, and how good the answers are.

Shape letters: N images of a split, M images of a source, V values of a task, D embedding width.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import NamedTuple

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from composition.task_model import TaskModel
from datamodules.attribute import AttributeDataModule
from datamodules.tasks import TasksDataModule
from lightning_modules.embedding import embed
from lightning_modules.metrics import is_correct, mean_average_precision

Place = tuple[str, str]  # task, split


class Answers(NamedTuple):
    """Scores of the images of a split, and the truth, on the host.

    Args:
        logits_NV: scores.
        label_NV: 1 where a value is shown.
        known_NV: where that is known.
    """

    logits_NV: Tensor
    label_NV: Tensor
    known_NV: Tensor

    def score(self, metric: str) -> float:
        """Their accuracy or mean average precision, NaN where it is of nothing."""
        if metric == "accuracy":
            return float(is_correct(*self).nanmean())
        return float(mean_average_precision(*self))


def answers(
    model: TaskModel, data: TasksDataModule, splits: Mapping[str, Sequence[str]], *, text: str
) -> dict[Place, Answers]:
    """Answers of the composition as it is; an image that several tasks share is embedded once.

    Args:
        model: the composer, after `prepare`.
        data: the tasks that it was prepared for.
        splits: task -> splits that are asked for.
        text: shown beside the progress bar.
    """
    heads = {head.name: head for head in model.task_heads}
    found: dict[Place, Answers] = {}
    for group in _groups(data.tasks):
        members = {
            (name, split): task.members(split)
            for name, task in group.items()
            for split in splits[name]
        }
        if not members:
            continue
        every_M = np.unique(np.concatenate(list(members.values())))
        first = next(iter(group.values()))
        image_MD = embed(model.encode_image, first, every_M, device=model.device, text=text)
        for (name, split), own_N in members.items():
            at_N = torch.from_numpy(np.searchsorted(every_M, own_N)).to(image_MD.device)
            logits_NV = heads[name](image_MD[at_N], model.scale).cpu()
            found[name, split] = Answers(logits_NV, *_truth(group[name], own_N))
    # In the order of tasks, whatever images they share.
    return {(name, split): found[name, split] for name in splits for split in splits[name]}


def _truth(data: AttributeDataModule, members_N: NDArray[np.int64]) -> tuple[Tensor, Tensor]:
    labels = data.labels(data.attribute)
    label_NV, known_NV = labels.label[members_N], labels.known[members_N]
    return torch.from_numpy(label_NV), torch.from_numpy(known_NV)


def _groups(
    tasks: Mapping[str, AttributeDataModule],
) -> list[dict[str, AttributeDataModule]]:
    """Tasks together whose image numbers mean the same images."""
    groups: list[dict[str, AttributeDataModule]] = []
    for name, data in tasks.items():
        for group in groups:
            if _same_images(next(iter(group.values())), data):
                group[name] = data
                break
        else:
            groups.append({name: data})
    return groups


def _same_images(one: AttributeDataModule, other: AttributeDataModule) -> bool:
    boxes, others = one.annotations.boxes, other.annotations.boxes
    return (
        one.source is other.source
        and one.annotations.images == other.annotations.images
        and (boxes is others or (
            boxes is not None and others is not None
            and np.array_equal(boxes, others, equal_nan=True)
        ))
    )  # fmt: skip
