"""Which deltas a fit opens: by name, by folder, all, all but a task's own, compositions."""

import json
from types import SimpleNamespace

import pytest
import torch

from composition.export import load_composition, open_delta
from composition.library import find_folders, made_of, open_deltas, without_own
from lightning_modules.delta import save_delta
from tests import compose_export_samples as samples
from tests.compose_export_samples import message


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    samples.register(monkeypatch)


@pytest.fixture
def backbone():
    return samples.tiny_backbone()


def saved(tmp_path, backbone, granularity="head", deltas=None, **options):
    deltas = deltas or samples.two_deltas(backbone)
    composition = samples.compose(backbone, deltas, granularity)
    expected = samples.embed(composition)
    folder, _ = samples.save(tmp_path, backbone, deltas, composition, **options)
    composition.detach()
    return folder, expected


def embedded(delta):
    """By the delta alone, added to the weights of a fresh base."""
    model = samples.tiny_backbone().model
    delta.apply(model)
    return samples.embed(model)


# --- found ----------------------------------------------------------------------------------------


def test_no_name_at_all_stands_for_the_whole_shelf_sorted_by_name(tmp_path, backbone):
    color, shape = samples.two_deltas(backbone)
    save_delta(tmp_path / "a", shape)
    save_delta(tmp_path / "b", color)
    assert find_folders([], tmp_path) == [tmp_path / "b", tmp_path / "a"]
    assert find_folders(["shape", str(tmp_path / "b")], tmp_path) == [
        tmp_path / "a", tmp_path / "b"
    ]  # fmt: skip
    names = [each.card.attribute for each in open_deltas([tmp_path / "a"], backbone).values()]
    assert names == ["shape"]


def test_an_empty_shelf_and_an_unknown_name_are_told(tmp_path):
    assert message(find_folders, [], tmp_path) == (
        f"--model.deltas is empty, which stands for all deltas in {tmp_path}, but there are none. "
        "Train one with: make train ATTR=color, or name their folders."
    )
    assert message(find_folders, ["taste"], tmp_path) == (
        f"--model.deltas: expected the folder of a delta, or the name of one in {tmp_path} (none "
        "there), got 'taste'. Train it with: make train ATTR=taste"
    )


# --- leave one out --------------------------------------------------------------------------------


def task(*attributes):
    return SimpleNamespace(attribute="+".join(attributes), attributes=attributes)


def test_deltas_of_a_tasks_own_attributes_are_left_out(tmp_path, backbone):
    color, shape = samples.two_deltas(backbone)
    deltas = {tmp_path / "color": color, tmp_path / "shape": shape}
    kept, left_out = without_own(deltas, [task("shape", "size")])
    assert (list(kept), left_out) == ([tmp_path / "color"], ["shape"])
    kept, left_out = without_own(deltas, [SimpleNamespace(attribute="texture")])
    assert (kept, left_out) == (deltas, [])
    assert message(without_own, deltas, [task("color"), task("shape")]) == (
        "--model.leave_own_out leaves none of the deltas color, shape: all have to do with the "
        "tasks' own attributes, color, shape. Name deltas of other attributes in --model.deltas."
    )


def test_a_composition_is_left_out_for_anything_it_is_made_of_or_fitted_for(tmp_path, backbone):
    facts = samples.facts(name="mine", targets=("glyphs/texture",))
    folder, _ = saved(tmp_path, backbone, facts=facts)
    size = samples.lora(backbone, "size", samples.COLOR, 7)
    save_delta(tmp_path / "size", size)
    paths = [folder, tmp_path / "size"]
    deltas = open_deltas(paths, backbone)
    composition = samples.compose(backbone, list(deltas.values()), "block")
    outer = tmp_path / "compositions/outer"
    options = {"backbone": backbone, "deltas": deltas}
    facts = samples.facts(name="outer", targets=("glyphs/material",))
    samples.save_composition(outer, composition, facts, **options)
    composition.detach()
    assert made_of(outer) == {
        outer, folder, tmp_path / "size", tmp_path / "deltas/color", tmp_path / "deltas/shape"
    }  # fmt: skip
    found = open_deltas([outer, tmp_path / "size"], backbone)
    for own in ("shape", "texture", "material"):
        assert without_own(found, [task(own)])[1] == ["outer"]
    assert without_own(found, [task("taste")])[1] == []
    assert "leaves none" in message(without_own, found, [task("size")])


# --- a composition as a delta ---------------------------------------------------------------------


@pytest.mark.parametrize("granularity", ["head", "rank", "spectral:4"])
def test_a_composition_opens_as_one_delta_that_is_its_sum(tmp_path, backbone, granularity):
    folder, expected = saved(tmp_path, backbone, granularity)
    for place in ("color", "shape"):  # the adapter is enough
        (tmp_path / "deltas" / place / "delta.json").unlink()
    delta = open_delta(folder, backbone)
    assert (delta.card.attribute, delta.card.kind) == ("color+shape", "lora")
    assert torch.allclose(embedded(delta), expected, atol=1e-5)


@pytest.mark.parametrize(
    ("granularity", "options", "kind"),
    [("head", {"rank": 1}, "lora"), ("partition:3", {}, "dense")],
)
def test_a_sum_that_was_not_kept_whole_is_made_again(
    tmp_path, backbone, granularity, options, kind
):
    folder, expected = saved(tmp_path, backbone, granularity, **options)
    delta = open_delta(folder, backbone)
    assert delta.card.kind == kind
    assert torch.allclose(embedded(delta), expected, atol=1e-5)
    assert "composed_of" not in backbone.model.__dict__
    (tmp_path / "deltas/color/delta.json").unlink()
    assert "needs the delta 'color'" in message(open_delta, folder, backbone)


@pytest.mark.parametrize("granularity", ["block", "partition:3"])
def test_a_composition_of_a_composition_opens_again(tmp_path, backbone, granularity):
    folder, _ = saved(tmp_path, backbone, granularity)
    inner = open_delta(folder, backbone)
    outer = samples.compose(backbone, [inner], "layer", seed=8)
    expected = samples.embed(outer)
    place = tmp_path / "compositions/outer"
    facts = samples.facts(name="outer")
    samples.save_composition(place, outer, facts, backbone=backbone, deltas={folder: inner})
    outer.detach()
    fresh = samples.tiny_backbone()
    loaded = load_composition(place, backbone=fresh)
    assert loaded.composition.delta_names == ("color+shape",)
    assert torch.equal(samples.embed(loaded.composition), expected)


def test_a_composition_of_another_base_or_with_a_changed_adapter_is_refused(tmp_path, backbone):
    folder, _ = saved(tmp_path, backbone)
    other = samples.tiny_backbone(seed=1)
    assert "of another base" in message(
        samples.compose, other, [open_delta(folder, other)], "block"
    )
    path = folder / "composition.json"
    card = json.loads(path.read_text())
    card["adapter"]["ranks"].popitem()
    path.write_text(json.dumps(card))
    assert message(open_delta, folder, backbone) == (
        f"{folder / 'adapter_model.safetensors'} has other modules or ranks than composition.json "
        "says: one of them was changed. Compose again."
    )
