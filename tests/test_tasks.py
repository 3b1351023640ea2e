"""`TasksDataModule`: an equal share of each of several tasks in every batch."""

import csv
from collections import Counter, defaultdict
from functools import partial
from itertools import chain
from types import SimpleNamespace

import lightning as L
import numpy as np
import pytest
import torch

from tests.conftest import SPLITS
from tests.task_folders import NAMES, open_tasks, write_own


@pytest.fixture(scope="module")
def own(tmp_path_factory):
    return write_own(tmp_path_factory.mktemp("tasks"))


@pytest.fixture
def make(world, own):
    return partial(open_tasks, world, own)


def shown_by(path):
    """Image -> attribute -> value, as a plain reader finds it in annotations.csv."""
    shown = defaultdict(dict)
    with path.open(newline="") as stream:
        for row in csv.DictReader(stream):
            shown[row["image"]][row["attribute"]] = row["value"]
    return shown


def indices(loader, epoch=0):
    """The images of each task in each batch of an epoch."""
    loader.batch_sampler.set_epoch(epoch)
    return [[part["index"].tolist() for part in batch["parts"]] for batch in loader]


# --- batches --------------------------------------------------------------------------------------


def test_a_batch_has_these_shapes_and_types(make):
    batch = next(iter(make().train_dataloader()))
    assert (tuple(batch["image"].shape), batch["image"].dtype) == ((24, 3, 64, 64), torch.uint8)
    assert batch["task"].dtype == torch.int64
    assert batch["task"].tolist() == [0] * 8 + [1] * 8 + [2] * 8
    found = [
        {name: (tuple(x.shape), x.dtype) for name, x in part.items()} for part in batch["parts"]
    ]
    assert found == [
        {
            "label": ((8, values), torch.int8),
            "known": ((8, values), torch.bool),
            "weight": ((8,), torch.float32),
            "index": ((8,), torch.int64),
        }
        for values in (12, 10, 2)
    ]


def test_images_and_labels_are_those_of_each_tasks_files(make, world, own):
    data = make()
    assert tuple(data.tasks) == NAMES
    glyphs, gray = (
        shown_by(world / "data/annotations.csv"),
        shown_by(own["root"] / "annotations.csv"),
    )
    drawn = np.load(world / "data/images.npy")
    checked = Counter()
    for batch in data.train_dataloader():
        sizes = [len(part["index"]) for part in batch["parts"]]
        rows = zip(NAMES, batch["image"].split(sizes), batch["parts"], strict=True)
        for name, images, part in rows:
            task = data.tasks[name]
            for image, label, index in zip(images, part["label"], part["index"], strict=True):
                file = task.annotations.images[index]
                shown = (glyphs if name.startswith("glyphs") else gray)[file]
                assert label.sum() == 1
                assert task.values[label.argmax()] == shown[task.attribute]
                if name.startswith("glyphs"):
                    assert np.array_equal(image.permute(1, 2, 0), drawn[index])
                else:
                    assert (image == int(file.removesuffix(".png"))).all()
                checked[name] += 1
    assert checked == dict.fromkeys(NAMES, 8 * (SPLITS["train"] // 8))


def test_an_epoch_shows_the_largest_task_once_and_begins_the_others_again(make):
    data = make()
    loader = data.train_dataloader()
    epoch = indices(loader)
    assert len(epoch) == len(loader) == SPLITS["train"] // 8
    for number in (0, 1):
        shown = list(chain(*(batch[number] for batch in epoch)))
        assert sorted(shown) == data.tasks[NAMES[number]].members("train").tolist()
    own = data.tasks[NAMES[2]].members("train").tolist()
    assert len(own) == 13  # of 18, those without a shape left out
    rounds = [batch[2] for batch in epoch]  # one batch of 8 is a round, and the rest waits
    assert all(len(set(each)) == 8 and set(each) <= set(own) for each in rounds)
    assert set(chain(*rounds)) == set(own)
    rounds += [batch[2] for batch in indices(loader, 1)]
    assert len({tuple(each) for each in rounds}) == len(rounds) == 2 * len(loader)


def test_tasks_with_the_same_images_show_them_in_orders_of_their_own(make):
    epoch = indices(make(("glyphs/color", "glyphs/shape")).train_dataloader())
    assert all(set(color) != set(shape) for color, shape in epoch)


def test_the_order_is_that_of_seed_and_epoch_and_of_nothing_else(make):
    one, other = make().train_dataloader(), make(prepare=False).train_dataloader()
    third = indices(one, 3)
    L.seed_everything(1, verbose=False)
    indices(other, 1)
    assert indices(other, 3) == third
    assert indices(other, 4) != third
    assert indices(make(seed=1).train_dataloader(), 3) != third


@pytest.mark.parametrize("processes", [2, 4])
def test_processes_see_together_what_one_would_have_seen(make, processes):
    parts = []
    for rank in range(processes):
        data = make()
        data.trainer = SimpleNamespace(global_rank=rank, world_size=processes)
        loader = data.train_dataloader()
        parts.append(indices(loader, 2))
        assert {len(each) for batch in parts[-1] for each in batch} == {8 // processes}
    alone = indices(make().train_dataloader(), 2)
    for batches, whole in zip(zip(*parts, strict=True), alone, strict=True):
        joined = [sorted(chain(*shares)) for shares in zip(*batches, strict=True)]
        assert joined == [sorted(each) for each in whole]


def test_what_a_batch_cannot_share_evenly_is_left_out(make):
    batch = next(iter(make(batch_size=26).train_dataloader()))
    assert batch["task"].bincount().tolist() == [8, 8, 8]


def test_the_smallest_task_bounds_all_shares(make):
    batch = next(iter(make(batch_size=90).train_dataloader()))
    assert batch["task"].bincount().tolist() == [13, 13, 13]


def test_workers_change_nothing(make):
    alone, helped = (make(num_workers=n).train_dataloader() for n in (0, 2))
    for a, b in zip(alone, helped, strict=True):
        assert torch.equal(a["image"], b["image"])
        assert torch.equal(a["parts"][2]["label"], b["parts"][2]["label"])


class Watch(L.LightningModule):
    """Learns nothing; keeps the images of each epoch and each validation loader."""

    def __init__(self):
        super().__init__()
        self.seen, self.validated = defaultdict(list), defaultdict(list)
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        parts = [part["index"].tolist() for part in batch["parts"]]
        self.seen[self.current_epoch].append(parts)

    def validation_step(self, batch, batch_idx, dataloader_idx=0):
        self.validated[dataloader_idx] += batch["index"].tolist()

    def configure_optimizers(self):
        return None


def test_lightning_gives_every_epoch_its_own_order_and_resumes_it(make, tmp_path):
    def fit(epochs, **options):
        model, data = Watch(), make()
        trainer = L.Trainer(
            max_epochs=epochs, accelerator="cpu", logger=False, enable_progress_bar=False,
            enable_model_summary=False, default_root_dir=tmp_path, use_distributed_sampler=False,
            enable_checkpointing=False, num_sanity_val_steps=0,
        )  # fmt: skip
        trainer.fit(model, data, **options)
        trainer.save_checkpoint(tmp_path / f"{epochs}.ckpt")
        return model, data

    whole, data = fit(3)
    for epoch, seen in whole.seen.items():
        assert seen == indices(make().train_dataloader(), epoch)
    assert whole.seen[0] != whole.seen[1] != whole.seen[2]
    fit(2)
    resumed, _ = fit(3, ckpt_path=tmp_path / "2.ckpt")
    assert dict(resumed.seen) == {2: whole.seen[2]}
    for number, task in enumerate(data.tasks.values()):
        assert whole.validated[number] == 3 * task.members("validation").tolist()
