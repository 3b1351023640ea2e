"""`TasksDataModule`: several attributes, maybe of several sources, side by side in each batch."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import lightning as L
import numpy as np
from torch.utils.data import DataLoader

from datamodules.attribute import AttributeDataModule, Loader
from datamodules.batches import loader
from datamodules.combinations import CombinationDataModule
from datamodules.errors import InputError
from datamodules.place import Place
from datamodules.shots import Shots
from datamodules.sources import Source
from datamodules.task_batches import TaskBatch, TaskBatches, TaskImages

Opened = dict[tuple[str, Path | None], Source]


@dataclass(frozen=True)
class Task:
    """An attribute of a source, or a combination of several, to be answered for.

    Attributes:
        attribute: its name in the dictionary; "color+shape" for combinations of values, see
            `CombinationDataModule`.
        source: name of the data set.
        root: its folder; glyphs are drawn where there is none.
        dictionary: the dictionary's file; `artifacts/dictionary/<source>.json`, built if missing.
        split: file of a split to use in place of the source's own.
        shots_of: attributes of a combination whose own combinations the shots are drawn of; None
            for all.
        name: in tables; "" for "source/attribute".
    """

    attribute: str
    source: str = "glyphs"
    root: Path | None = None
    dictionary: Path | None = None
    split: Path | None = None
    shots_of: list[str] | None = None
    name: str = ""


class _Sharing(AttributeDataModule):
    """Opens its source once for all tasks that share a dictionary of open ones."""

    sources: Opened

    def _opened(self) -> Source:
        key = self.source_name, self.root
        if key not in self.sources:
            self.sources[key] = super()._opened()
        return self.sources[key]


class CombinationTask(_Sharing, CombinationDataModule):
    """The data of a task whose classes are combinations of values."""


class AttributeTask(_Sharing):
    """The data of a task of one attribute, whole or few shots a value.

    Args:
        attribute: its name.
        shots: what is drawn of training and validation split; an image that shows several values
            counts for the first of them.
        settings: those of `AttributeDataModule`.
    """

    def __init__(self, attribute: str, shots: Shots, **settings: Any) -> None:
        super().__init__(attribute, **settings)
        self.shots = shots

    def _look_up(self) -> None:
        super()._look_up()
        if self.shots:
            label_NV = self.labels(self.attribute).label
            self._annotations, drawn = self.shots.draw(
                self.annotations,
                np.where(label_NV.any(axis=1), label_NV.argmax(axis=1), -1),
                source=self.source_name,
                drawn_from=self.split_hash,
            )
            self.split_hash = drawn.hash


TaskData = AttributeTask | CombinationTask


def open_task(
    task: Task,
    opened: Opened,
    *,
    shots: int | None,
    validation_shots: int | None,
    shots_seed: int,
    **settings: Any,
) -> TaskData:
    """The data module of a task.

    Args:
        task: the task.
        opened: the sources that are open, by name and folder; tasks share them.
        shots: as in `TasksDataModule`, and so are the others.
        validation_shots: see there.
        shots_seed: see there.
        settings: of every data module.
    """
    settings |= {
        "source": task.source, "root": task.root, "dictionary": task.dictionary,
        "split": task.split,
    }  # fmt: skip
    data: TaskData
    if "+" in task.attribute:
        data = CombinationTask(
            task.attribute.split("+"), shots=shots, validation_shots=validation_shots,
            shots_seed=shots_seed, shots_of=task.shots_of, **settings,
        )  # fmt: skip
    else:
        drawn = Shots(shots, validation_shots, shots_seed)
        data = AttributeTask(task.attribute, drawn, **settings)
    data.sources = opened
    return data


class TasksDataModule(L.LightningDataModule):
    """Several tasks at once: every training batch holds an equal share of each.

    Evaluation goes task by task, in batches as `AttributeDataModule` makes them.

    Args:
        tasks: attributes with their sources; in YAML one mapping each, such as
            `{attribute: wing color, source: cub, root: /data/cub}` or `{attribute: color+shape}`.
        shots: training images of each value or combination, from 1 to 16; None takes all.
        validation_shots: the same of the validation split.
        shots_seed: of these draws.
        batch_size: most images of one training step, over all tasks and processes together;
            rounded down to equal shares, which no task's number of training images may exceed.
        num_workers: processes that fetch batches; by default none, but a thread beside a GPU.
        image_size: pixels a side that images are decoded to, the same for all tasks. Glyphs keep
            their own 64, so beside them it has to be 64.
        max_images: see `AttributeDataModule`; of each task, after the shots are drawn.
        crops: see `AttributeDataModule`.
        seed: seed of the order of the images, 0 or more.

    Attributes:
        tasks: the data of each task by its name, in order.

    Raises:
        InputError: if there are no tasks, two of one name, or a number is out of its range.
    """

    def __init__(
        self,
        tasks: list[Task],
        shots: int | None = None,
        validation_shots: int | None = None,
        shots_seed: int = 1,
        batch_size: int = 128,
        num_workers: int | None = None,
        image_size: int = 224,
        max_images: int | None = None,
        crops: int = 1,
        seed: int = 0,
    ) -> None:
        super().__init__()
        names = _names(tasks)
        if batch_size < len(tasks):
            raise InputError(
                f"--data.batch_size is {batch_size}, expected at least {len(tasks)}: an image of "
                "each task."
            )
        self._opened: Opened = {}
        self.tasks = {
            name: open_task(
                task, self._opened, shots=shots, validation_shots=validation_shots,
                shots_seed=shots_seed, batch_size=batch_size, num_workers=num_workers,
                image_size=image_size, max_images=max_images, crops=crops, seed=seed,
            )
            for name, task in zip(names, tasks, strict=True)
        }  # fmt: skip
        self.batch_size, self.num_workers = batch_size, num_workers
        self.image_size, self.crops, self.seed = image_size, crops, seed

    def prepare_data(self) -> None:
        """Prepare every task, each source opened once; see `AttributeDataModule.prepare_data`.

        Raises:
            InputError: see there; or if the tasks' images differ in size.
        """
        self._opened.clear()  # read what may have changed since an earlier call
        for task in self.tasks.values():
            task.prepare_data()
        self._images()

    def setup(self, stage: str | None = None) -> None:
        """Open the sources and dictionaries of all tasks.

        Raises:
            InputError: see `AttributeDataModule.setup`.
        """
        for task in self.tasks.values():
            task.setup(stage)

    @property
    def attribute(self) -> str:
        """The names of the tasks in one line."""
        return ", ".join(self.tasks)

    @property
    def test_sets(self) -> tuple[tuple[str, str], ...]:
        """Task and split of each loader of `test_dataloader`; those of validation are `tasks`."""
        return tuple((name, each) for name, task in self.tasks.items() for each in task.test_splits)

    def train_dataloader(self) -> DataLoader[TaskBatch]:
        """Shuffled batches of all tasks' training splits; see `TaskBatches` for what an epoch is.

        Raises:
            InputError: if the processes cannot share a batch evenly.
        """
        place, share = Place.of(self.trainer), self.batch_size // len(self.tasks)
        place.check_shares(
            f"--data.batch_size is {self.batch_size}, {share} images of each task", share
        )
        images = self._images()
        batches = TaskBatches(
            [task.members("train") for task in self.tasks.values()],
            starts=images.starts.tolist(),
            share=share,
            seed=self.seed,
            crops=self.crops,
            **place._asdict(),
        )
        return loader(images, batches, num_workers=self.num_workers, persistent=True)

    def val_dataloader(self) -> list[Loader]:
        """The validation split of each task."""
        return [task.val_dataloader() for task in self._placed()]

    def test_dataloader(self) -> list[Loader]:
        """The splits that are only reported, those of a task together; see `test_sets`."""
        return [each for task in self._placed() for each in task.test_dataloader()]

    def _placed(self) -> list[TaskData]:
        """The tasks, told which process this is."""
        for task in self.tasks.values():
            task.trainer = self.trainer
        return list(self.tasks.values())

    def _images(self) -> TaskImages:
        sizes = {name: task.pixels().shape[1] for name, task in self.tasks.items()}
        if len(set(sizes.values())) > 1:
            got = ", ".join(f"{size} pixels of {name}" for name, size in sizes.items())
            kept = next(size for size in sizes.values() if size != self.image_size)
            raise InputError(
                f"expected images of one size of all tasks, got {got}. Set --data.image_size to "
                f"{kept}, which one of the sources keeps."
            )
        return TaskImages([task.images() for task in self.tasks.values()])


def _names(tasks: Sequence[Task]) -> list[str]:
    names = [task.name or f"{task.source}/{task.attribute}" for task in tasks]
    if not names:
        raise InputError("--data.tasks is empty, expected one task or more.")
    if twice := [name for name in names if names.count(name) > 1]:
        raise InputError(
            f"--data.tasks holds {twice[0]!r} twice, expected every task under a name of its own. "
            "Leave one out, or give one another name."
        )
    return names
