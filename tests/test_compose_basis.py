"""A basis is deltas of one base, checked and stacked; what does not fit is refused by name."""

from dataclasses import replace

import open_clip
import pytest
import torch

from composition import Basis, Composition
from datamodules.errors import InputError
from lightning_modules.backbone import Backbone, load_backbone
from lightning_modules.delta import Delta, Factor
from lightning_modules.lora import LoraSettings, attach_lora
from tests.compose_samples import TEXT, VISION, card, clip, compose, dense, digest, lora, loras

PATH = "visual.transformer.resblocks.0"


def message(deltas, backbone=None):
    with pytest.raises(InputError) as error:
        Basis.from_deltas(deltas, clip() if backbone is None else backbone)
    return str(error.value)


def changed(delta, **changes):
    return replace(delta, card=replace(delta.card, **changes))


def test_factors_are_stacked_delta_by_delta_with_their_scales():
    deltas = loras()
    basis = Basis.from_deltas(deltas, clip())
    assert basis.names == ("color", "shape", "size")
    stack = basis.factors[f"{PATH}.attn.q_proj"]
    assert stack.owner_R.tolist() == [0, 0, 1, 1, 1, 2]
    factors = [delta.factors[f"{PATH}.attn.q_proj"] for delta in deltas]
    assert torch.equal(stack.A_RI, torch.cat([factor.A for factor in factors]))
    for scale, factor, columns in zip(
        (3.0, 1.0, 2.0), factors, ((0, 2), (2, 5), (5, 6)), strict=True
    ):
        assert torch.equal(stack.B_OR[:, slice(*columns)], scale * factor.B)


def test_an_absent_module_adds_no_direction():
    basis = Basis.from_deltas(loras(), clip())
    assert basis.factors[f"{PATH}.attn.k_proj"].owner_R.tolist() == [1, 1, 1, 2]
    assert basis.factors[f"{PATH}.mlp.c_fc"].owner_R.tolist() == [0, 0, 2]
    names = list(basis.factors)
    model = clip()
    assert names == [name for name, _ in model.named_modules() if name in basis.factors]


def test_scales_may_differ_by_module():
    delta = lora("color", 1, ("q_proj",))
    scales = {name: float(number) for number, name in enumerate(delta.factors, start=1)}
    basis = Basis.from_deltas([changed(delta, scale=scales)], clip())
    for name, scale in scales.items():
        assert torch.equal(basis.factors[name].B_OR, scale * delta.factors[name].B)


def test_dense_updates_are_shared_not_copied():
    deltas = [dense("color", lambda name: "ln_1" in name), lora("shape"), dense("size")]
    basis = Basis.from_deltas(deltas, clip())
    owner, tensors = basis.differences[f"{PATH}.ln_1.weight"]
    assert owner == (0, 2)
    for delta, tensor in zip((deltas[0], deltas[2]), tensors, strict=True):
        assert tensor.data_ptr() == delta.differences[f"{PATH}.ln_1.weight"].data_ptr()
    assert basis.differences["visual.proj"].owner == (2,)


def test_a_backbone_is_checked_by_its_fingerprint(monkeypatch):
    config = {"embed_dim": 24, "vision_cfg": VISION, "text_cfg": TEXT | {"vocab_size": 49408}}
    monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, "tiny-clip", config)
    backbone = load_backbone("tiny-clip", "random")
    assert isinstance(backbone, Backbone)
    fitting = changed(lora("color"), fingerprint=backbone.fingerprint)
    composed = Composition(Basis.from_deltas([fitting], backbone))
    assert composed.model is backbone.model
    composed.detach()
    text = message([fitting, lora("shape"), changed(fitting, quick_gelu=True)], backbone)
    assert text == (
        f"expected deltas of tiny-clip random (GELU, weights {backbone.fingerprint[:12]}), got "
        f"2 of 3 of another base: shape (tiny random, GELU, weights {digest()[:12]}), "
        f"color (tiny random, QuickGELU, weights {backbone.fingerprint[:12]}). Deltas only add up "
        "on the weights they were trained on: load that base, or train them again on this."
    )


def test_no_delta_is_refused():
    assert message([]) == "expected at least one delta to compose, got none. Train one first."


def test_deltas_of_one_name_are_refused():
    assert message([lora("color"), lora("shape"), lora("color", 3)]) == (
        "expected deltas of distinct names, got color more than once. Coefficients are found by "
        "name: leave one out, or give it another attribute."
    )


@pytest.mark.parametrize("make", [lora, dense])
def test_deltas_of_equal_content_are_refused(make):
    assert message([make("color"), lora("size"), changed(make("color"), attribute="hue")]) == (
        "the deltas 'color' and 'hue' hold the same numbers, so their coefficients could not be "
        "told apart. Leave one out."
    )


def test_deltas_that_differ_in_scale_alone_are_two():
    twin = changed(lora("color"), attribute="hue", scale=5.0)
    assert Basis.from_deltas([lora("color"), twin], clip()).names == ("color", "hue")


def test_deltas_of_another_base_are_refused():
    text = message([lora("color"), changed(lora("shape"), fingerprint="f" * 64)])
    assert text == (
        f"expected deltas of the given model (GELU, weights {digest()[:12]}), got 1 of 2 of "
        "another base: shape (tiny random, GELU, weights ffffffffffff). Deltas only add up on the "
        "weights they were trained on: load that base, or train them again on this."
    )


@pytest.mark.parametrize("value", [float("nan"), float("inf")])
def test_numbers_that_are_not_finite_are_refused(value):
    low_rank, full = lora("color"), dense("shape")
    name = f"{PATH}.attn.q_proj"
    low_rank.factors[name].B[0, 0] = value
    assert message([low_rank]).startswith(
        f"the delta 'color': 1 tensors with NaN or infinity: {name}.B. Expected finite numbers"
    )
    full.differences["visual.proj"][0, 0] = value
    assert message([lora("size"), full]).startswith(
        "the delta 'shape': 1 tensors with NaN or infinity: visual.proj."
    )


def test_modules_and_shapes_that_the_model_lacks_are_refused():
    other = Factor(torch.ones(1, 32), torch.ones(32, 1))
    unknown = Delta(card("color"), factors={"visual.nowhere": other})
    assert "1 unexpected: visual.nowhere" in message([unknown])
    narrow = Factor(torch.ones(1, 31), torch.ones(32, 1))
    text = message([Delta(card("color"), factors={f"{PATH}.attn.q_proj": narrow})])
    assert f"1 of wrong shape: {PATH}.attn.q_proj [32, 31] instead of [32, 32]" in text
    shape = Delta(card("color", kind="dense"), differences={"visual.proj": torch.ones(2, 2)})
    assert "1 of wrong shape: visual.proj [2, 2] instead of [32, 24]" in message([shape])


def test_torn_factors_are_refused():
    torn = Factor(torch.ones(2, 32), torch.ones(32, 3))
    text = message([Delta(card("color"), factors={f"{PATH}.attn.q_proj": torn})])
    assert text.startswith("the delta 'color': 1 factors of wrong shape")


def test_a_model_with_adapters_is_refused():
    model = clip()
    attach_lora(model, LoraSettings(r=1), "color")
    assert message([lora("color")], model) == (
        "expected a base model without adapters, got one that PEFT has wrapped. Load the backbone "
        "again: a composition attaches the deltas itself."
    )


def test_coefficients_that_change_nothing_have_no_gradient():
    composed = compose(loras(), "projection")
    composed.encode_image(torch.randn(2, 3, 16, 16)).sum().backward()
    touched = {(each.card.attribute, f"{name}.weight") for each in loras() for name in each.factors}
    gradient = dict(zip(composed.layout.entries, composed.coefficients.grad.flatten(), strict=True))
    assert {entry for entry, value in gradient.items() if value != 0} == touched
