"""A composition that is damaged, or of something else, is refused with a word on what to do."""

import json
from dataclasses import replace

import pytest
import torch
from safetensors.torch import load_file, save_file

from composition import Basis, Composition
from composition.export import load_composition, read_card, save_composition
from lightning_modules.delta import Factor, load_delta, save_delta
from tests import compose_export_samples as samples
from tests.compose_export_samples import message

QUERY = "visual.transformer.resblocks.1.attn.q_proj"


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    samples.register(monkeypatch)


@pytest.fixture
def backbone():
    return samples.tiny_backbone()


@pytest.fixture
def saved(tmp_path):
    return samples.saved_by_head(tmp_path)


def edit_card(folder, **changes):
    path = folder / "composition.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


def edit_tensors(path, change):
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


def test_a_delta_that_changed_since_is_refused(backbone, saved, tmp_path):
    path = tmp_path / "deltas/color"
    delta = load_delta(path)
    before = read_card(saved).deltas[0].content_hash
    name, (a, b) = next(iter(delta.factors.items()))
    changed = replace(delta, factors={**delta.factors, name: Factor(a, b * 1.01)})
    save_delta(path, changed)
    text = message(load_composition, saved, backbone=backbone)
    start = (
        f"the delta 'color' in {path} has changed since it was composed: "
        f"expected content {before[:12]}, got "
    )
    assert text.startswith(start)
    assert text.endswith("put the former delta back, or compose again.")
    # Metadata may change: the numbers are what was composed.
    save_delta(path, replace(delta, card=replace(delta.card, metrics={"test": {}})))
    load_composition(saved, backbone=backbone)


def test_another_delta_in_its_place_is_refused(backbone, saved, tmp_path):
    swapped = {"color": tmp_path / "deltas/shape"}
    assert message(load_composition, saved, backbone=backbone, deltas=swapped) == (
        f"expected the delta 'color' in {tmp_path}/deltas/shape, got 'shape'."
    )
    assert message(load_composition, saved, backbone=backbone, deltas={"hue": tmp_path}) == (
        f"{saved} has no deltas hue, expected folders of color, shape."
    )


def test_another_base_is_refused(backbone, saved):
    other = samples.tiny_backbone(seed=1)
    assert message(load_composition, saved, backbone=other) == (
        f"the composition 'color+shape' was made on tiny-clip random (GELU, weights "
        f"{backbone.fingerprint[:12]}), got tiny-clip random (GELU, weights "
        f"{other.fingerprint[:12]}). Its deltas are only right on top of the weights they were "
        "trained on: load BACKBONE=tiny-clip PRETRAINED=random."
    )
    quick = samples.tiny_backbone("tiny-clip-quickgelu")
    assert "got tiny-clip-quickgelu random (QuickGELU, weights " in message(
        load_composition, saved, backbone=quick
    )


WRONG_SCHEMA = (
    "{path} has schema 'aspectra.composition/9', expected 'aspectra.composition/1'. Use the "
    "version of this project that wrote it, or compose again."
)


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        ({"schema": "aspectra.composition/9"}, WRONG_SCHEMA),
        (
            {"colour": 1},
            "{path}: missing keys: none; unknown keys: colour. Expected what save_composition "
            "writes.",
        ),
        (
            {"purpose": "fun"},
            "{path}: purpose is 'fun', which save_composition does not write. Save the composition "
            "again instead of editing it by hand.",
        ),
        (
            {"deltas": [{"name": "color", "folder": 3, "content_hash": ""}]},
            "{path}: deltas: folder is 3, which save_composition does not write. Save the "
            "composition again instead of editing it by hand.",
        ),
        (
            {"adapter": {"form": "exact", "error": True}},
            "{path}: adapter: error is True, which save_composition does not write. Save the "
            "composition again instead of editing it by hand.",
        ),
        (
            {"protocol": {"selected_on": "test"}},
            "the protocol of the composition 'color+shape' lacks reported_on, information. "
            "Expected which split selected, which are reported and which data was seen.",
        ),
        (
            {"granularity": "voxel"},
            "granularity is 'voxel', expected one of global, layer, module, block, projection, "
            "head, partition:K, rank, spectral:k (K and k: whole numbers from 1 to 1048576).",
        ),
    ],
)
def test_cards_that_cannot_be_are_refused(backbone, saved, changes, text):
    edit_card(saved, **changes)
    expected = text.format(path=saved / "composition.json")
    assert message(load_composition, saved, backbone=backbone) == expected


def test_a_folder_without_a_card_is_no_composition(tmp_path):
    assert message(read_card, tmp_path) == (
        f"expected a composition in {tmp_path}, found no composition.json there. "
        'Make it with `make compose ATTRS="..."`.'
    )


HEADS = f"color/{QUERY}.weight.head"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda t: t[HEADS].fill_(float("nan")),
            f"2 coefficients are NaN or infinite: color / {QUERY}.weight.head.0, "
            f"color / {QUERY}.weight.head.1. Expected finite numbers: ",
        ),
        (
            lambda t: t.update({HEADS: torch.ones(3)}),
            f"coefficients do not fit: missing 0: none; unknown 1: color / {QUERY}.weight.head.2. ",
        ),
        (
            lambda t: t.pop(HEADS),
            f"coefficients do not fit: missing 2: color / {QUERY}.weight.head.0, "
            f"color / {QUERY}.weight.head.1; unknown 0: none. ",
        ),
        (
            lambda t: t.update(strange=torch.ones(2, 2)),
            "1 tensors that are no coefficients: strange [2, 2]. ",
        ),
    ],
)
def test_damaged_coefficients_are_named_and_leave_the_backbone_alone(backbone, saved, change, text):
    path = saved / "coefficients.safetensors"
    edit_tensors(path, change)
    base = samples.embed(backbone.model)
    assert message(load_composition, saved, backbone=backbone).startswith(f"{path}: {text}")
    assert torch.equal(samples.embed(backbone.model), base)
    assert "composed_of" not in backbone.model.__dict__


def test_a_torn_file_of_coefficients_is_named(backbone, saved):
    path = saved / "coefficients.safetensors"
    path.write_bytes(path.read_bytes()[:-7])
    assert message(load_composition, saved, backbone=backbone).startswith(
        f"{path} is not a whole safetensors file ("
    )


def test_shared_directions_that_come_out_differently_are_noticed(backbone, tmp_path):
    deltas = samples.two_deltas(backbone)
    composition = samples.compose(backbone, deltas, "spectral:4")
    folder, _ = samples.save(tmp_path, backbone, deltas, composition)
    path = folder / "adapter_model.safetensors"
    edit_tensors(path, lambda tensors: [value.mul_(1.0001) for value in tensors.values()])
    load_composition(folder, backbone=samples.tiny_backbone())  # rounding of another processor
    edit_tensors(path, lambda tensors: [value.mul_(1.01) for value in tensors.values()])
    text = message(load_composition, folder, backbone=samples.tiny_backbone())
    assert "relative difference 0.02, expected at most 0.001. Use the adapter in" in text


def test_what_is_not_finite_is_not_saved_and_the_former_stays(backbone, saved, tmp_path):
    former = (saved / "composition.json").read_bytes()
    deltas = {path: load_delta(path) for path in sorted((tmp_path / "deltas").iterdir())}
    composition = Composition(Basis.from_deltas(list(deltas.values()), backbone), "global")
    with torch.no_grad():
        composition.coefficients.fill_(float("inf"))
    options = {"backbone": backbone, "deltas": deltas}
    assert message(save_composition, saved, composition, samples.facts(), **options).startswith(
        "the composition 'color+shape': 1 tensors with NaN or infinity: coefficients. "
    )
    assert (saved / "composition.json").read_bytes() == former
    assert [path.name for path in saved.parent.iterdir()] == ["both"]


def test_deltas_of_another_composition_are_refused(backbone, tmp_path):
    deltas = samples.two_deltas(backbone)
    composition = samples.compose(backbone, deltas, "global")
    turned = {tmp_path / delta.card.attribute: delta for delta in reversed(deltas)}
    options = {"facts": samples.facts(), "backbone": backbone, "deltas": turned}
    assert message(save_composition, tmp_path / "c", composition, **options) == (
        "expected the deltas of the composition, color, shape, got shape, color. Give each with "
        "its folder, in the same order."
    )
    assert not (tmp_path / "c").exists()
