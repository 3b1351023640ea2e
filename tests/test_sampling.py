"""Which images come in which order: a pure function of (seed, epoch, rank)."""

from itertools import chain

import lightning as L
import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from torch.utils.data import DataLoader

from datamodules.errors import InputError
from datamodules.sampling import OrderedBatches, ShuffledBatches

counts = st.integers(1, 60)


def shuffled(count, size, processes, *, epoch=0, seed=0):
    """The batches of each process."""
    samplers = [
        ShuffledBatches(
            np.arange(100, 100 + count), batch_size=size, seed=seed, rank=rank, world_size=processes
        )
        for rank in range(processes)
    ]
    for sampler in samplers:
        sampler.set_epoch(epoch)
    return [list(sampler) for sampler in samplers]


def joined(parts):
    return [sorted(chain(*batches)) for batches in zip(*parts, strict=True)]


@given(counts, st.integers(1, 4), st.integers(1, 5), st.integers(0, 3))
def test_processes_see_together_what_one_would_have_seen(images, share, processes, epoch):
    size = share * processes
    count = max(images, size)
    alone = shuffled(count, size, 1, epoch=epoch)[0]
    parts = shuffled(count, size, processes, epoch=epoch)
    assert joined(parts) == [sorted(batch) for batch in alone]
    assert {len(batch) for part in parts for batch in part} == {share}


@given(counts, st.integers(1, 70))
def test_an_epoch_shows_an_image_once_at_most_and_leaves_out_less_than_a_batch(count, size):
    shown = list(chain(*shuffled(count, size, 1)[0]))
    assert len(set(shown)) == len(shown)
    assert count - min(size, count) < len(shown) <= count
    assert set(shown) <= set(range(100, 100 + count))


@given(counts, st.integers(1, 70), st.integers(1, 5))
def test_the_promised_number_of_batches_comes(count, size, processes):
    members = np.arange(count)
    for rank in range(processes):
        place = {"rank": rank, "world_size": processes}
        ordered = OrderedBatches(members, batch_size=size, **place)
        assert len(list(ordered)) == len(ordered)
        if count >= processes and size % processes == 0:
            batches = ShuffledBatches(members, batch_size=size, seed=0, **place)
            assert len(list(batches)) == len(batches) >= 1


@given(counts, st.integers(1, 70), st.integers(1, 5))
def test_evaluation_shows_every_image_once(count, size, processes):
    members = np.arange(7, 7 + count)
    shown = [
        index
        for rank in range(processes)
        for batch in OrderedBatches(members, batch_size=size, rank=rank, world_size=processes)
        for index in batch
    ]
    assert sorted(shown) == members.tolist()


def test_evaluation_goes_in_order():
    assert list(OrderedBatches(np.array([3, 5, 8]), batch_size=2)) == [[3, 5], [8]]


def test_the_order_is_that_of_seed_and_epoch_and_of_nothing_else():
    one = shuffled(50, 10, 1, epoch=3, seed=4)
    L.seed_everything(1, verbose=False)
    assert shuffled(50, 10, 1, epoch=3, seed=4) == one
    assert shuffled(50, 10, 1, epoch=4, seed=4) != one
    assert shuffled(50, 10, 1, epoch=3, seed=5) != one


def test_iterating_twice_gives_the_same_epoch():
    batches = ShuffledBatches(np.arange(9), batch_size=3, seed=0)
    assert list(batches) == list(batches)


def test_fewer_images_than_a_batch_make_a_smaller_one():
    assert [len(batch) for batch in shuffled(5, 128, 1)[0]] == [5]
    assert [len(batch) for part in shuffled(5, 128, 2) for batch in part] == [2, 2]


def test_fewer_images_than_processes_are_an_error():
    with pytest.raises(InputError) as caught:
        shuffled(2, 3, 3)
    assert str(caught.value) == (
        "expected an image or more for each of 3 processes, got 2 images to train on. Use fewer "
        "devices or annotate more images."
    )


class Watch(L.LightningModule):
    """Learns nothing; keeps the images of each epoch."""

    def __init__(self):
        super().__init__()
        self.seen = {}
        self.automatic_optimization = False

    def training_step(self, batch, batch_idx):
        self.seen.setdefault(self.current_epoch, []).append(batch.tolist())

    def configure_optimizers(self):
        return None


def test_lightning_gives_every_epoch_its_own_order(tmp_path):
    batches = ShuffledBatches(np.arange(40), batch_size=8, seed=0)
    loader = DataLoader(torch.arange(40), batch_sampler=batches)
    model = Watch()
    trainer = L.Trainer(
        max_epochs=3, accelerator="cpu", logger=False, enable_checkpointing=False,
        enable_progress_bar=False, enable_model_summary=False, default_root_dir=tmp_path,
        use_distributed_sampler=False,
    )  # fmt: skip
    trainer.fit(model, loader)
    for epoch, seen in model.seen.items():
        batches.set_epoch(epoch)
        assert seen == list(batches)
    assert model.seen[0] != model.seen[1] != model.seen[2]
