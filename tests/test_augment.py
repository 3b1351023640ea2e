"""Mirrored and shifted training images: plain indexing, fixed by (seed, epoch, image)."""

from __future__ import annotations

import numpy as np
import torch

from lightning_modules.augment import Augmentation, mirror_and_shift

IMAGE = torch.arange(2 * 3 * 32 * 32).reshape(2, 3, 32, 32)


def test_the_middle_of_the_range_neither_mirrors_nor_shifts() -> None:
    u = torch.tensor([[0.9, 0.5, 0.5], [0.9, 0.5, 0.5]])
    assert torch.equal(mirror_and_shift(IMAGE, u), IMAGE)


def test_mirroring_flips_left_and_right() -> None:
    u = torch.tensor([[0.1, 0.5, 0.5], [0.9, 0.5, 0.5]])
    got = mirror_and_shift(IMAGE, u)
    assert torch.equal(got[0], IMAGE[0].flip(-1))
    assert torch.equal(got[1], IMAGE[1])


def test_a_shift_is_numpys_reflection_padding_cut_out_again() -> None:
    u = torch.tensor([[0.9, 0.0, 0.5], [0.9, 0.5, 0.9999]])
    got = mirror_and_shift(IMAGE, u)
    padded = np.pad(IMAGE.numpy(), [(0, 0), (0, 0), (2, 2), (2, 2)], mode="reflect")
    assert np.array_equal(got[0], padded[0][:, 2:-2, 0:32]), "two pixels of 32, to one side"
    assert np.array_equal(got[1], padded[1][:, 4:36, 2:-2]), "and down to the other"


def test_an_image_is_moved_the_same_way_in_any_batch_and_anew_in_each_epoch() -> None:
    index = torch.tensor([3, 8])
    moved = Augmentation(10, seed=0)
    first = moved(IMAGE, index, 0)
    later = [moved(IMAGE, index, epoch) for epoch in range(1, 6)]
    alone = moved(IMAGE[1:], index[1:], 0)
    assert torch.equal(first[1:], alone)
    assert any(not torch.equal(first, each) for each in later)
