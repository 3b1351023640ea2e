"""Offsets that take the co-occurrence of attributes out of what an adapter learns."""

from __future__ import annotations

import math

import torch

from lightning_modules.pairs import pair_offsets


def one_hot(values: list[int], width: int) -> torch.Tensor:
    return torch.nn.functional.one_hot(torch.tensor(values), width)


def test_independent_attributes_give_no_offset() -> None:
    shape, color = [0, 0, 1, 1], [0, 1, 0, 1]
    offset = pair_offsets(one_hot(shape, 2), [one_hot(color, 2)], smoothing=0.0)
    assert torch.allclose(offset, torch.zeros(4, 2), atol=1e-6)


def test_the_offset_is_the_log_ratio_counted_by_hand() -> None:
    # Color 0 comes with shape 0 three times of four, color 1 with shape 1 always.
    shape, color = [0, 0, 0, 1, 1, 1], [0, 0, 0, 0, 1, 1]
    offset = pair_offsets(one_hot(shape, 2), [one_hot(color, 2)], smoothing=1e-9)
    assert math.isclose(offset[0, 0], math.log(3 / 4) - math.log(3 / 6), abs_tol=1e-6)
    assert math.isclose(offset[3, 1], math.log(1 / 4) - math.log(3 / 6), abs_tol=1e-6)
    assert math.isclose(offset[5, 1], math.log(1) - math.log(3 / 6), abs_tol=1e-6)
    assert offset[5, 0] < -15, "a pair that never occurs is as good as ruled out"


def test_two_attributes_add_and_an_unlabelled_image_adds_nothing() -> None:
    generator = torch.Generator().manual_seed(0)
    shape, color, size = (
        one_hot(torch.randint(3, (50,), generator=generator).tolist(), 3) for _ in range(3)
    )
    color[7] = 0
    both = pair_offsets(shape, [color, size])
    apart = pair_offsets(shape, [color]) + pair_offsets(shape, [size])
    assert torch.allclose(both, apart, atol=1e-5)
    assert not pair_offsets(shape, [color])[7].any()


def test_a_model_that_knows_only_the_color_gains_nothing_by_it() -> None:
    # All a color-only model could learn is p(shape | color); with the offset in place the gradient
    # with respect to its logits vanishes at zero, so it stays where it is.
    shape = one_hot([0] * 30 + [1] * 10 + [1] * 40, 2)
    color = one_hot([0] * 40 + [1] * 40, 2)
    by_color = torch.zeros(2, 2, requires_grad=True)
    prior = (shape.float().sum(0) / len(shape)).log()
    logits = color.float() @ by_color + pair_offsets(shape, [color], smoothing=1e-6) + prior
    torch.nn.functional.cross_entropy(logits, shape.argmax(1)).backward()
    assert by_color.grad is not None
    assert by_color.grad.abs().max() < 1e-5
