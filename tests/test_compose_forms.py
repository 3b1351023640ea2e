"""All forms are the same function, and the choice among them is the cheapest."""

import itertools
from dataclasses import replace

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from torch.utils.flop_counter import FlopCounterMode

import composition.linear
from composition.forms.choice import choose_form, multiplications
from composition.forms.factored import factored_linear
from composition.forms.factors import add_activations, merge_factors
from lightning_modules.attention import fused_state_dict
from lightning_modules.tensors import fingerprint
from tests.compose_samples import LORA, clip, compose, images, learned, loras, reference, relative

FORMS = ("activation", "factored", "contraction")
SIDES = {"whole": 1, "rows": 4, "columns": 4}


def force(monkeypatch, form):
    monkeypatch.setattr(composition.linear, "choose_form", lambda *args, **kwargs: form)


@pytest.mark.parametrize("granularity", LORA)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_every_form_is_autograd_through_the_dense_sum(granularity, dtype, bound, monkeypatch):
    composed = compose(loras(), granularity, dtype=dtype)
    assert composed.coefficients.dtype == dtype
    expected, expected_gradient = reference(loras(), granularity, composed, images(), dtype)
    assert expected_gradient.abs().max() > 0.1, "the coefficients must matter"
    for form in FORMS:
        force(monkeypatch, form)
        embedding, gradient = learned(composed, images(dtype=dtype))
        assert relative(embedding, expected) < bound, form
        assert relative(gradient, expected_gradient) < bound, form


@pytest.mark.parametrize("form", FORMS)
@pytest.mark.parametrize("granularity", ["block", "head", "rank", "partition:2"])
def test_autocast_to_bfloat16_is_close_and_gradients_are_float32(granularity, form, monkeypatch):
    force(monkeypatch, form)
    composed = compose(loras(), granularity)
    x = images()
    embedding, gradient = learned(composed, x)
    with torch.autocast("cpu", dtype=torch.bfloat16):
        half = composed.encode_image(x)
        composed.coefficients.grad = None
        half.float().sub(torch.linspace(-1, 1, 24)).pow(2).sum().backward()
    half_gradient = composed.coefficients.grad
    assert half_gradient.dtype == torch.float32
    assert 1e-5 < relative(half.float(), embedding) < 0.03, "bfloat16 rounds, and no more"
    assert relative(half_gradient.flatten(), gradient) < 0.06


@pytest.mark.parametrize("form", FORMS)
def test_a_model_in_bfloat16_is_composed_in_bfloat16(form, monkeypatch):
    force(monkeypatch, form)
    exact, gradient = learned(compose(loras()), images())
    model = clip(torch.bfloat16)
    digest = fingerprint(fused_state_dict(model))
    deltas = [replace(each, card=replace(each.card, fingerprint=digest)) for each in loras()]
    composed = compose(deltas, model=model)
    embedding, half_gradient = learned(composed, images(dtype=torch.bfloat16))
    assert (embedding.dtype, half_gradient.dtype) == (torch.bfloat16, torch.float32)
    assert relative(embedding.float(), exact) < 0.05
    assert relative(half_gradient, gradient) < 0.15


def layer(tokens, rank, inputs, outputs, side, dtype=torch.float64):
    draw = torch.Generator().manual_seed(0)
    shapes = {"x": (tokens, inputs), "w": (outputs, inputs), "b": (outputs,), "a": (rank, inputs)}
    shapes |= {"b_": (outputs, rank), "s": (SIDES[side], rank)}
    return [torch.randn(shape, generator=draw, dtype=dtype) for shape in shapes.values()]


def apply(form, x, w, b, a, b_, s, side):
    if form == "activation":
        return add_activations(x, w, b, a, b_, s, side)
    if form == "factored":
        return factored_linear(x, w, b, a, b_, s, side)
    return torch.nn.functional.linear(x, merge_factors(w, a, b_, s, side, x.dtype), b)


@pytest.mark.parametrize("side", SIDES)
@pytest.mark.parametrize("form", FORMS)
def test_gradients_of_one_layer_are_those_of_finite_differences(form, side):
    x, w, b, a, b_, s = layer(5, 3, 8, 4, side)
    inputs = [tensor.requires_grad_() for tensor in (x, b, s)]
    assert torch.autograd.gradcheck(lambda x, b, s: apply(form, x, w, b, a, b_, s, side), inputs)


@pytest.mark.parametrize(
    ("form", "side", "input_grad"), [*itertools.product(FORMS, SIDES, [True, False])]
)
def test_the_cost_formula_counts_what_torch_multiplies(form, side, input_grad):
    shape = (20, 6, 16, 12)
    x, w, b, a, b_, s = layer(*shape, side)
    x.requires_grad_(input_grad)
    s.requires_grad_()
    with FlopCounterMode(display=False) as counter:
        apply(form, x, w, b, a, b_, s, side).sum().backward()
    counted = counter.get_total_flops()
    assert counted == 2 * multiplications(form, *shape, side, input_grad)


@settings(deadline=None, max_examples=200)
@given(
    st.integers(1, 40_000),
    st.integers(1, 2000),
    st.integers(1, 4096),
    st.integers(1, 4096),
    st.sampled_from(sorted(SIDES)),
    st.booleans(),
)
def test_the_chosen_form_is_the_cheapest(tokens, rank, inputs, outputs, side, input_grad):
    shape = (tokens, rank, inputs, outputs)
    form = choose_form(*shape, side=side, input_grad=input_grad)
    costs = [multiplications(each, *shape, side, input_grad) for each in FORMS]
    assert multiplications(form, *shape, side, input_grad) == min(costs)


def test_the_choice_turns_where_the_derivation_says():
    bound = 768 * 768 // (768 + 768)
    assert choose_form(bound, 128, 768, 768) == "activation"
    assert choose_form(bound + 1, 128, 768, 768) == "factored"
    assert choose_form(10**7, bound - 1, 768, 768) == "factored"
    assert choose_form(10**7, bound + 1, 768, 768) == "contraction"


def kept_shapes(form, side, x_needs_gradient=True):
    """Shapes of what lies between the passes."""
    x, w, b, a, b_, s = layer(20, 6, 16, 12, side)
    kept = []
    note = lambda tensor: kept.append(tuple(tensor.shape))  # noqa: E731
    with torch.autograd.graph.saved_tensors_hooks(note, note):
        apply(form, x.requires_grad_(x_needs_gradient), w, b, a, b_, s.requires_grad_(), side)
    return kept


def test_the_factored_form_keeps_thin_activations_instead_of_the_inputs():
    assert sorted(kept_shapes("factored", "whole")) == [(12, 6), (12, 16), (20, 6)]
    assert sorted(kept_shapes("factored", "rows")) == [(12, 6), (12, 16), (20, 6)]
    assert (20, 16) in kept_shapes("factored", "columns")
    assert (20, 16) in kept_shapes("contraction", "whole")


def test_the_factored_form_keeps_no_weight_where_the_inputs_need_no_gradient():
    assert sorted(kept_shapes("factored", "whole", x_needs_gradient=False)) == [(12, 6), (20, 6)]


def test_a_second_derivative_through_the_factored_form_is_refused():
    x, w, b, a, b_, s = layer(5, 3, 8, 4, "whole")
    y = factored_linear(x, w, b, a, b_, s.requires_grad_(), "whole")
    (gradient,) = torch.autograd.grad(y.pow(2).sum(), s, create_graph=True)
    with pytest.raises(RuntimeError, match="once_differentiable"):
        gradient.sum().backward()
