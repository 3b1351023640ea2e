"""Towers with adapters beside their weights, merged into them, or composed: parts still sum."""

import pytest
import torch

from composition import Composition
from interpret.decompose import decompose, readout, token_codes, trace
from interpret.towers import affine_of, image_tower
from lightning_modules.class_token import read_class_token_only
from tests.compose_samples import clip, compose, images, loras


def _parts(model, **options):
    return decompose(image_tower(model), images().double(), normalize=False, **options)


def _attached():
    delta = loras()[0]
    return delta.attach(clip(torch.float64)).eval()


def _difference(first, second):
    return (first - second).detach().abs().max()


def test_an_adapter_beside_the_weights_merged_or_switched_off():
    model = _attached()
    beside = _parts(model)
    pixels = images().double()
    assert _difference(beside.total_BE, model.encode_image(pixels)) < 1e-12
    model.merge_adapter()
    merged = _parts(model)
    model.unmerge_adapter()
    assert _difference(merged.heads_BLHE, beside.heads_BLHE) < 1e-12
    assert _difference(merged.mlps_BME, beside.mlps_BME) < 1e-12
    with model.disable_adapter():
        off = _parts(model)
    base = _parts(clip(torch.float64))
    assert _difference(off.heads_BLHE, base.heads_BLHE) < 1e-12
    assert _difference(beside.heads_BLHE, base.heads_BLHE) > 1e-4


def test_a_difference_of_parts_is_the_difference_of_the_embeddings():
    model, base = _attached(), clip(torch.float64)
    pixels = images().double()
    change = _parts(model).total_BE - _parts(base).total_BE
    expected = model.encode_image(pixels) - base.encode_image(pixels)
    assert _difference(change, expected) < 1e-12


@pytest.mark.parametrize("convention", ["shared", "separate"])
def test_a_composition_is_taken_apart_like_its_merged_model(convention):
    composition = compose(loras(), dtype=torch.float64)
    assert isinstance(composition, Composition)
    with torch.no_grad():
        composition.coefficients.uniform_(-1, 1, generator=torch.Generator().manual_seed(0))
    pixels = images().double()
    parts = _parts(composition, convention=convention)
    assert _difference(parts.total_BE, composition.encode_image(pixels)) < 1e-12


def test_a_last_block_that_reads_the_class_token_alone_has_the_same_parts():
    model, pixels = clip(torch.float64), images().double()
    whole = _parts(model)
    tower = image_tower(model)
    long = token_codes(trace(tower, pixels, with_tokens=True), readout(tower), 1)
    assert read_class_token_only(model)
    short = _parts(model)
    tower = image_tower(model)
    assert _difference(short.heads_BLHE, whole.heads_BLHE) < 1e-12
    assert _difference(short.mlps_BME, whole.mlps_BME) < 1e-12
    found = token_codes(trace(tower, pixels, with_tokens=True), readout(tower), 1)
    assert _difference(found, long) < 1e-12


def test_a_plain_linear_hands_over_its_own_tensors_and_others_are_asked():
    linear = torch.nn.Linear(3, 2)
    own = affine_of(linear, 3, linear.weight)
    assert own.weight.data_ptr() == linear.weight.data_ptr()
    row = torch.nn.Sequential(linear, torch.nn.Linear(2, 4))
    asked = affine_of(row, 3, linear.weight)
    torch.testing.assert_close(asked.weight, row[1].weight @ linear.weight)
    torch.testing.assert_close(asked.bias, row[1].weight @ linear.bias + row[1].bias)
    calls = []
    hook = row.register_forward_hook(lambda *_: calls.append(1))
    affine_of(row, 3, linear.weight)
    assert not calls
    row(torch.zeros(1, 3))
    assert len(calls) == 1
    hook.remove()
