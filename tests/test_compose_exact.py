"""Composing is adding deltas up: nothing, one, some, in any order, and back again."""

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from composition import Basis, Composition
from datamodules.errors import InputError
from lightning_modules.class_token import read_class_token_only
from lightning_modules.lora import linear_modules
from tests.compose_samples import (
    DENSE,
    LORA,
    clip,
    compose,
    dense,
    denses,
    images,
    learned,
    lora,
    loras,
    relative,
)

TEXTS = torch.arange(1, 25).view(2, 12)


@torch.no_grad()
def embed(model, x=None):
    return model.encode_image(images() if x is None else x)


@pytest.mark.parametrize("granularity", LORA)
def test_coefficients_of_zero_are_the_base_bit_for_bit(granularity):
    composed = compose(loras(), granularity, fill=False)
    assert not composed.coefficients.any()
    assert torch.equal(embed(composed), embed(clip()))
    assert torch.equal(learned(composed, images())[0], embed(clip()))


@pytest.mark.parametrize("granularity", LORA)
@pytest.mark.parametrize("which", [0, 1, 2])
def test_one_hot_is_the_adapter_that_peft_attaches(granularity, which):
    delta = loras()[which]
    expected = embed(delta.attach(clip()))
    composed = compose(loras(), granularity)
    composed.one_hot(delta.card.attribute)
    assert relative(embed(composed), expected) < 1e-5
    assert relative(learned(composed, images())[0], expected) < 1e-5
    assert relative(expected, embed(clip())) > 0.05, "the adapter must do something"


@pytest.mark.parametrize("granularity", DENSE)
def test_one_hot_of_a_dense_delta_is_the_delta_applied(granularity):
    expected = clip()
    denses()[0].apply(expected)
    composed = compose(denses(), granularity)
    composed.one_hot("color")
    assert relative(embed(composed), embed(expected)) < 1e-5


def test_the_sum_is_the_one_of_peft_by_concatenated_ranks():
    targets = ("q_proj", "c_fc")
    deltas = [lora("color", 2, targets, scale=3.0), lora("shape", 4, targets, scale=0.5)]
    model = deltas[0].attach(clip())
    model = deltas[1].attach(model)
    model.add_weighted_adapter(["color", "shape"], [0.7, 0.4], "sum", combination_type="cat")
    model.set_adapter("sum")
    composed = compose(deltas, "global")
    composed.assign({"color": {"all": 0.7}, "shape": {"all": 0.4}})
    assert relative(embed(composed), embed(model.eval())) < 1e-5


def weight_map(composed, values):
    """The weights of all modules as one vector, read off with unit inputs, minus the base's."""
    with torch.no_grad():
        composed.coefficients.copy_(values)
        composed.encode_image(images(dtype=values.dtype))
        weights = []
        for name, linear in linear_modules(composed.model).items():
            if name.startswith("visual."):
                unit = torch.eye(linear.in_features, dtype=values.dtype)
                weights.append((linear(unit) - linear(0 * unit)).T - linear._parameters["weight"])
    return torch.cat([weight.flatten() for weight in weights])


@settings(deadline=None, max_examples=10)
@given(st.sampled_from(LORA), st.floats(-2, 2), st.floats(-2, 2), st.integers(0, 99))
def test_weights_are_linear_in_the_coefficients(granularity, one, other, seed):
    composed = compose(loras(), granularity, dtype=torch.float64, fill=False)
    draw = torch.Generator().manual_seed(seed)
    shape = composed.coefficients.shape
    a, b = (torch.randn(shape, generator=draw, dtype=torch.float64) for _ in "ab")
    together = weight_map(composed, one * a + other * b)
    apart = one * weight_map(composed, a) + other * weight_map(composed, b)
    torch.testing.assert_close(together, apart, rtol=0, atol=1e-12)


@pytest.mark.parametrize("granularity", [*LORA, "mixed"])
def test_the_order_of_deltas_does_not_matter(granularity):
    deltas = loras()
    if granularity == "mixed":
        granularity, deltas = "projection", [*loras()[:2], dense("material")]
    one = compose(deltas, granularity, dtype=torch.float64)
    other = compose(deltas[::-1], granularity, dtype=torch.float64, fill=False)
    other.assign(one.named_coefficients())
    x = images(dtype=torch.float64)
    embedding, gradient = learned(one, x)
    swapped, swapped_gradient = learned(other, x)
    assert relative(swapped, embedding) < 1e-12
    place = {entry: number for number, entry in enumerate(other.layout.entries)}
    order = [place[entry] for entry in one.layout.entries]
    assert relative(swapped_gradient[order], gradient) < 1e-12


def test_adding_and_taking_away_is_the_base():
    delta = lora("color", 3)
    negative = lora("minus color", 3, seed=sum(map(ord, "color")), scale=-2.0)
    composed = compose([delta, negative], "projection", dtype=torch.float64)
    composed.uniform(0.8)
    x = images(dtype=torch.float64)
    assert relative(embed(composed, x), embed(clip(torch.float64), x)) < 1e-12


def test_both_towers_are_composed():
    deltas = [lora("color", 2, towers=("visual.", "transformer.")), lora("shape", 3)]
    composed = compose(deltas, "block")
    composed.one_hot("color")
    attached = deltas[0].attach(clip())
    with torch.no_grad():
        texts = composed.encode_text(TEXTS)
        assert relative(texts, attached.encode_text(TEXTS)) < 1e-5
        assert relative(texts, clip().encode_text(TEXTS)) > 0.05
        image, text, _ = composed(images(), TEXTS)
    assert torch.equal(image, torch.nn.functional.normalize(embed(composed), dim=-1))
    composed.encode_text(TEXTS).sum().backward()
    used = {composed.block_names[i] for i in composed.coefficients.grad.any(0).nonzero()[:, 0]}
    assert used == {name for name in composed.block_names if not name.startswith("visual.")}
    assert text.shape == (2, 24)


def test_detaching_gives_back_every_module_and_every_bit():
    for deltas, granularity in ((loras(), "head"), (denses(), "block"), (loras(), "partition:2")):
        model = clip()
        modules = dict(model.named_modules())
        state = {name: value.clone() for name, value in model.state_dict().items()}
        before = embed(model)
        composed = compose(deltas, granularity, model=model)
        learned(composed, images())
        assert not torch.equal(embed(composed), before)
        assert composed.detach() is model
        assert dict(model.named_modules()) == modules
        assert model.state_dict().keys() == state.keys()
        assert all(torch.equal(value, state[name]) for name, value in model.state_dict().items())
        assert torch.equal(embed(model), before)
        Composition(Basis.from_deltas(loras(), model))  # it may be composed again


def test_the_state_of_a_composed_model_is_the_base():
    model = clip()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    learned(compose(denses(), model=model), images())
    assert model.state_dict().keys() == before.keys()
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_the_last_block_may_be_short():
    plain = compose(loras())
    short = compose(loras())
    assert read_class_token_only(short.model)
    assert relative(embed(short), embed(plain)) < 1e-5
    assert relative(learned(short, images())[1], learned(plain, images())[1]) < 1e-5


def test_a_model_is_composed_once_at_a_time():
    model = clip()
    compose(loras(), model=model)
    with pytest.raises(InputError) as error:
        compose(loras(), model=model)
    assert str(error.value) == (
        "the model is composed already, of color, shape, size. Call detach() on that composition "
        "first, or load the backbone again."
    )


def test_a_module_that_is_called_before_its_tower_says_so():
    composed = compose(loras())
    block = composed.model.visual.transformer.resblocks[0]
    with pytest.raises(RuntimeError, match="before its tower: call encode_image or encode_text"):
        block(torch.zeros(1, 5, 32))
