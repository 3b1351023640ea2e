"""The Jacobian of the logits is that of autograd, whichever way it is made."""

import pytest
import torch

from composition.solvers import jacobian as jacobians
from composition.solvers.jacobian import choose_mode, jacobian
from composition.solvers.rows import rows_at_once
from lightning_modules.class_token import read_class_token_only
from tests.compose_samples import (
    ALL,
    DENSE,
    LORA,
    clip,
    compose,
    denses,
    images,
    lora,
    loras,
)


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def by_autograd(composed, x, head):
    """The Jacobian the slow way: all images at once, one logit at a time."""
    values = head(x)
    rows = [
        torch.autograd.grad(value, composed.coefficients, retain_graph=True)[0].flatten()
        for value in values.flatten()
    ]
    return torch.stack(rows).view(*values.shape, -1)


KINDS = [("lora", g) for g in (*LORA, "spectral:6")] + [("dense", g) for g in DENSE]


@pytest.mark.parametrize(("kind", "granularity"), KINDS)
def test_both_modes_give_the_jacobian_of_autograd(kind, granularity):
    deltas = loras() if kind == "lora" else denses()
    composed = compose(deltas, granularity, dtype=torch.float64)
    text_VD = drawn(4, 24, seed=7)

    def head(x):
        return composed.encode_image(x, normalize=True) @ text_VD.T

    x = images(3, torch.float64)
    expected = by_autograd(composed, x, head)
    assert expected.abs().max() > 1e-3
    modes = ["reverse"] if granularity.startswith("partition") else ["forward", "reverse"]
    for mode in modes:
        assert torch.allclose(jacobian(composed, head, x, mode), expected, atol=1e-12), mode
    factored = kind == "lora" and not granularity.startswith("partition")
    assert (rows_at_once(composed, head, x) is not None) == factored
    with torch.no_grad():
        again = head(x)
    assert torch.allclose(again, head(x), atol=1e-12), "nothing of the tangents is left behind"


def test_tangents_pass_few_at_a_time_where_the_model_is_large(monkeypatch):
    composed = compose(loras(), "block", dtype=torch.float64)
    x = images(2, torch.float64)
    together = jacobian(composed, composed.encode_image, x, "forward")
    monkeypatch.setattr(jacobians, "_NUMBERS", 1)
    alone = jacobian(composed, composed.encode_image, x, "forward")
    assert torch.allclose(alone, together, atol=1e-13)


def test_the_mode_has_fewer_passes_or_is_the_only_one():
    composed = compose(loras(), "layer")
    assert composed.coefficients.numel() == 6
    assert [choose_mode(composed, classes) for classes in (2, 5, 6, 100)] == [
        "reverse", "reverse", "forward", "forward",
    ]  # fmt: skip
    streamed = compose(denses(), "layer", stream=True)
    assert choose_mode(streamed, 100) == "reverse"


@pytest.mark.parametrize("granularity", ["layer", "head", "rank"])
def test_images_are_told_apart_at_once_as_they_are_one_by_one(granularity, monkeypatch):
    model = clip(torch.float64)
    assert read_class_token_only(model), "a block of one token an image"
    composed = compose(loras(), granularity, model=model)

    def two_views(x):
        return composed.encode_image(x) + composed.encode_image(x.flip(-1)) ** 2

    x = images(3, torch.float64)
    together = jacobian(composed, two_views, x, "reverse")
    monkeypatch.setattr(jacobians, "rows_at_once", lambda *_: None)
    one_by_one = jacobian(composed, two_views, x, "reverse")
    assert one_by_one.abs().max() > 1e-2
    assert torch.allclose(together, one_by_one, atol=1e-11)
    assert not any(module._forward_hooks for module in model.modules()), "hooks are gone"


def test_tokens_of_texts_are_not_taken_for_tokens_of_as_many_images():
    deltas = [lora("color", 2, ALL, towers=("visual.", "transformer."))]
    composed = compose(deltas, "layer", dtype=torch.float64)
    x = images(3, torch.float64)
    texts = torch.tensor([[1, 7, 9, 49] + [0] * 8, [1, 7, 49] + [0] * 9, [1, 3, 49] + [0] * 9])

    def head(x):
        return composed.encode_image(x) @ composed.encode_text(texts).T

    assert rows_at_once(composed, head, x) is None
    expected = by_autograd(composed, x, head)
    for mode in ("forward", "reverse"):
        assert torch.allclose(jacobian(composed, head, x, mode), expected, atol=1e-12), mode


def test_crops_of_an_image_are_told_apart_one_image_at_a_time():
    composed = compose(loras(), "layer", dtype=torch.float64)
    x = images(2, torch.float64)

    def head(x):
        return composed.encode_image(torch.cat([x, x.flip(-1)])).view(2, len(x), -1).sum(0)

    assert rows_at_once(composed, head, x) is None
    expected = by_autograd(composed, x, head)
    assert torch.allclose(jacobian(composed, head, x, "reverse"), expected, atol=1e-12)
