"""A batch is fetched in a thread while the one before it is used, and nothing else changes."""

import threading

import numpy as np
import pytest
import torch
from torch.utils.data import DataLoader

from datamodules.annotations import Labels
from datamodules.batches import Ahead, AttributeImages, loader
from datamodules.errors import InputError
from datamodules.sampling import ShuffledBatches


def images(count=20):
    pixels = np.random.default_rng(0).integers(256, size=(count, 4, 4, 3), dtype=np.uint8)
    label = np.eye(5, dtype=np.int8)[np.arange(count) % 5]
    return AttributeImages(pixels, Labels(label, label > 0, np.ones(count, np.float32)))


def order(count=20):
    return ShuffledBatches(np.arange(count), batch_size=6, seed=3)


class Noted(AttributeImages):
    """Sets an event when a batch is fetched; the third one is broken."""

    def __init__(self):
        whole = images()
        super().__init__(whole.pixels, whole.labels)
        self.fetched = [threading.Event() for _ in range(3)]
        self.threads = []

    def __getitems__(self, index):
        self.fetched[len(self.threads)].set()
        self.threads.append(threading.current_thread())
        if len(self.threads) == 3:
            raise InputError("broken")
        return super().__getitems__(index)


def ahead(dataset):
    return Ahead(dataset, batch_sampler=order(), collate_fn=lambda batch: batch)


def test_batches_are_the_same_as_without_a_thread_epoch_by_epoch():
    plain, threaded = loader(images(), order(), num_workers=0), ahead(images())
    for epoch in range(2):
        for batches in (plain, threaded):
            batches.batch_sampler.set_epoch(epoch)
        pairs = list(zip(plain, threaded, strict=True))
        assert len(pairs) == len(threaded) == 3
        for one, other in pairs:
            assert one.keys() == other.keys()
            assert all(torch.equal(one[name], other[name]) for name in one)


def test_the_next_batch_is_fetched_before_it_is_asked_for():
    noted = Noted()
    batches = iter(ahead(noted))
    next(batches)
    assert noted.fetched[1].wait(timeout=10)
    assert threading.current_thread() not in noted.threads
    batches.close()
    assert not noted.fetched[2].is_set()
    assert not any(thread.is_alive() for thread in noted.threads)


def test_a_mistake_comes_through_when_its_batch_is_due():
    batches = iter(ahead(Noted()))
    next(batches)
    next(batches)
    with pytest.raises(InputError, match="broken"):
        next(batches)


@pytest.mark.parametrize(
    ("on_gpu", "asked", "kind", "processes"),
    [
        (True, None, Ahead, 0),
        (True, 0, DataLoader, 0),
        (True, 2, DataLoader, 2),
        (False, None, DataLoader, 0),
    ],
)
def test_a_thread_helps_beside_a_gpu_unless_processes_are_asked_for(
    on_gpu, asked, kind, processes, monkeypatch
):
    monkeypatch.setattr("torch.cuda.is_available", lambda: on_gpu)
    made = loader(images(), order(), num_workers=asked, persistent=True)
    assert type(made) is kind
    assert (made.num_workers, made.persistent_workers) == (processes, processes > 0)


def test_beside_a_gpu_a_batch_is_copied_once_and_is_the_same(monkeypatch):
    plain = images().__getitems__([7, 0, 19])
    asked = []
    empty = torch.empty

    def unpinned(*shape, pin_memory, **kind):  # this machine may have no GPU to pin for
        asked.append(pin_memory)
        return empty(*shape, **kind)

    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    monkeypatch.setattr("torch.empty", unpinned)
    beside = images().__getitems__([7, 0, 19])
    assert asked == [True]
    assert all(torch.equal(plain[name], beside[name]) for name in plain)


@pytest.mark.gpu
@pytest.mark.skipif(not torch.cuda.is_available(), reason="needs an NVIDIA GPU")
def test_batches_wait_in_pinned_memory():
    batches = list(loader(images(), order(), num_workers=None))
    plain = list(loader(images(), order(), num_workers=2))
    for one, other in zip(batches, plain, strict=True):
        assert all(value.is_pinned() for value in one.values())
        assert all(torch.equal(one[name], other[name]) for name in one)
