"""`TasksDataModule`: evaluation task by task, shared sources, few shots, and what is refused."""

import doctest
from functools import partial
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from jsonargparse import ArgumentParser

from datamodules import attribute as attribute_module
from datamodules import task_batches, wording
from datamodules.attribute import AttributeDataModule
from datamodules.batches import gathered
from datamodules.combinations import CombinationDataModule
from datamodules.errors import InputError
from datamodules.sources import load_source
from datamodules.tasks import Task, TasksDataModule
from tests.pair_folder import entry, rows_of, write_pairs
from tests.task_folders import NAMES, open_tasks, write_own


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return write_own(tmp_path_factory.mktemp("tasks"))


@pytest.fixture
def make(world, own):
    return partial(open_tasks, world, own)


# --- evaluation -----------------------------------------------------------------------------------


def test_evaluation_goes_task_by_task_and_split_by_split(make):
    data = make()
    loaders = data.val_dataloader()
    assert len(loaders) == 3
    for loader, task in zip(loaders, data.tasks.values(), strict=True):
        shown = torch.cat([batch["index"] for batch in loader]).tolist()
        assert shown == task.members("validation").tolist()
    assert data.test_sets == (
        ("glyphs/color", "test_seen"), ("glyphs/color", "test_unseen"),
        ("glyphs/shape", "test_seen"), ("glyphs/shape", "test_unseen"), ("folder/shape", "test"),
    )  # fmt: skip
    for loader, (name, split) in zip(data.test_dataloader(), data.test_sets, strict=True):
        shown = torch.cat([batch["index"] for batch in loader]).tolist()
        assert shown == data.tasks[name].members(split).tolist()


def test_processes_share_evaluation(make):
    data = make()
    data.trainer = SimpleNamespace(global_rank=1, world_size=2)
    shown = torch.cat([batch["index"] for batch in data.val_dataloader()[0]]).tolist()
    assert shown == data.tasks[NAMES[0]].members("validation")[1::2].tolist()


# --- sources and shots ----------------------------------------------------------------------------


@pytest.mark.parametrize("prepare", [True, False])
def test_tasks_of_one_source_open_it_once_and_share_its_pixels(make, monkeypatch, prepare):
    calls = []
    monkeypatch.setattr(
        attribute_module, "load_source", lambda *args: calls.append(args[0]) or load_source(*args)
    )
    data = make(prepare=prepare)
    assert calls == ["glyphs", "folder"]
    color, shape, own = data.tasks.values()
    assert color.source is shape.source
    assert color.pixels().base.filename == shape.pixels().base.filename
    assert own.source.name == "folder"


def test_shots_are_drawn_of_each_value_of_each_task(make):
    data = make(shots=2, validation_shots=1, shots_seed=3, batch_size=12)
    for task in data.tasks.values():
        whole = make(prepare=False).tasks[f"{task.source_name}/{task.attribute}"]
        for split, most in (("train", 2), ("validation", 1)):
            label = task.labels(task.attribute).label
            count, every = (label[each.members(split)].sum(0) for each in (task, whole))
            assert count.tolist() == np.minimum(every, most).tolist()
        assert task.test_splits == whole.test_splits
        assert task.split_hash != whole.split_hash == "official"


def test_an_image_that_shows_several_values_counts_for_the_first(tmp_path):
    shown = ["orange red"] * 9 + ["orange"] * 3 + ["red"] * 5
    items = [(f"{n}", "train", each, "") for n, each in enumerate(shown)]
    colors = entry("color", ["red", "orange"], exclusive=False)
    rows = rows_of(*items, ("v", "validation", "red", ""))
    rows += "".join(f"denied{n}.png,train,color,red,0\n" for n in range(4))
    written = write_pairs(tmp_path, rows, [colors])
    data = TasksDataModule([Task("color", **written)], shots=4, image_size=8)
    data.setup()
    task = data.tasks["folder/color"]
    assert len(task.members("train")) == 4 + 3  # of the fourteen that show red, and of the others
    assert task.labels("color").label[task.members("train")][:, 0].sum() == 4


def test_a_task_alone_is_scored_like_its_own_data_module(make, world):
    task = make(prepare=False).tasks["glyphs/color"]
    plain = AttributeDataModule("color", root=world / "data", dictionary=world / "dictionary.json")
    plain.setup()
    assert isinstance(task, AttributeDataModule)
    for split in plain.splits:
        assert np.array_equal(task.members(split), plain.members(split))
    assert task.prompts("color") == plain.prompts("color")


def test_tasks_are_read_from_a_config(tmp_path):
    parser = ArgumentParser()
    parser.add_class_arguments(TasksDataModule, "data")
    path = tmp_path / "tasks.yaml"
    path.write_text(
        "data:\n  shots: 16\n  tasks:\n  - {attribute: color}\n"
        "  - {attribute: wing color, source: cub, root: /data/cub, name: wings}\n"
    )
    parser.add_argument("--config", action="config")
    data = parser.instantiate(parser.parse_args([f"--config={path}"])).data
    assert tuple(data.tasks) == ("glyphs/color", "wings")
    assert data.tasks["wings"].root.as_posix() == "/data/cub"
    assert [task.shots.train for task in data.tasks.values()] == [16, 16]


# --- what is refused ------------------------------------------------------------------------------


def message(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    return str(caught.value)


def test_images_of_two_sizes_are_refused(make):
    assert message(make, image_size=32) == (
        "expected images of one size of all tasks, got 64 pixels of glyphs/color, 64 pixels of "
        "glyphs/shape, 32 pixels of folder/shape. Set --data.image_size to 64, which one of the "
        "sources keeps."
    )


def test_no_tasks_and_two_of_one_name_are_refused():
    assert message(TasksDataModule, []) == "--data.tasks is empty, expected one task or more."
    assert message(TasksDataModule, [Task("color"), Task("size", name="glyphs/color")]) == (
        "--data.tasks holds 'glyphs/color' twice, expected every task under a name of its own. "
        "Leave one out, or give one another name."
    )


def test_a_batch_that_tasks_or_processes_cannot_share_is_refused(make):
    assert message(make, batch_size=2) == (
        "--data.batch_size is 2, expected at least 3: an image of each task."
    )
    data = make(prepare=False)
    data.trainer = SimpleNamespace(global_rank=0, world_size=3)
    assert message(data.train_dataloader) == (
        "--data.batch_size is 24, 8 images of each task, expected a multiple of the 3 processes "
        "that share it. Choose another batch size or number of devices."
    )


@pytest.mark.parametrize("option", ["batch_size", "image_size", "crops", "max_images", "shots"])
def test_impossible_numbers_are_refused_at_once(option):
    assert message(TasksDataModule, [Task("color")], **{option: 0}).startswith(
        f"--data.{option} is 0, expected "
    )


def test_squares_are_gathered_from_several_arrays_and_others_refused():
    one, other = np.arange(24, dtype=np.uint8).reshape(2, 4, 3, 1, 1)
    found = gathered(
        [(one, np.array([3, 0])), (other, np.array([], np.int64)), (other, np.array([1]))]
    )
    assert found.tolist() == np.moveaxis(np.stack([one[3], one[0], other[1]]), 3, 1).tolist()
    for wrong in (4, -1):
        with pytest.raises(IndexError):
            gathered([(one, np.array([wrong]))])


@pytest.mark.parametrize("module", [wording, task_batches])
def test_examples_in_the_documentation_hold(module):
    failed, tried = doctest.testmod(module)
    assert tried > 0
    assert failed == 0


# --- combinations ---------------------------------------------------------------------------------


def test_a_combination_is_a_task_beside_others(world):
    place = {"root": world / "data", "dictionary": world / "dictionary.json"}
    alone = CombinationDataModule(
        ["texture", "color", "shape"], shots=1, shots_of=["color"], image_size=64, **place
    )
    alone.prepare_data()
    alone.setup("fit")
    tasks = [
        Task("texture+color+shape", shots_of=["color"], name="all three", **place),
        Task("color", **place),
    ]
    data = TasksDataModule(tasks, shots=1, image_size=64, batch_size=8)
    data.prepare_data()
    data.setup("fit")
    both = data.tasks["all three"]
    assert both.values == alone.values
    assert both.parts.tolist() == alone.parts.tolist()
    assert both.members("train").tolist() == alone.members("train").tolist()
    assert len(both.members("train")) <= 12  # one of each color
    assert both.source is data.tasks["glyphs/color"].source
    batch = next(iter(data.train_dataloader()))
    assert [part["label"].shape[1] for part in batch["parts"]] == [len(alone.values), 12]
