"""A composition on disk comes back as it was, and can be read by hand."""

import json
import re
import shutil
from dataclasses import replace
from pathlib import Path

import pytest
import torch
import yaml
from safetensors.torch import load_file

from composition.export import composition_folder, load_composition, save_composition
from lightning_modules.delta import load_delta
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


@pytest.mark.parametrize("granularity", ["global", "head", "rank", "spectral:4", "partition:3"])
def test_a_loaded_composition_is_the_one_that_was_saved(backbone, tmp_path, granularity):
    deltas = samples.two_deltas(backbone)
    composition = samples.compose(backbone, deltas, granularity)
    folder, card = samples.save(tmp_path, backbone, deltas, composition)
    fresh = samples.tiny_backbone()
    loaded = load_composition(folder, backbone=fresh)
    assert loaded.composition.named_coefficients() == composition.named_coefficients()
    assert torch.allclose(samples.embed(loaded.composition), samples.embed(composition), atol=1e-6)
    assert loaded.basis.names == ("color", "shape")
    assert replace(loaded.card, metrics=samples.METRICS) == card
    assert loaded.card.metrics["test"]["composed"] == {"accuracy": 0.75, "auc": None}
    delta = loaded.delta()
    assert (delta.card.attribute, delta.card.metrics["test"]["adapted"]["accuracy"]) == (
        "color+shape",
        0.75,
    )


def test_a_loaded_composition_can_be_saved_again_smaller(saved, tmp_path):
    loaded = load_composition(saved, backbone=samples.tiny_backbone())
    backbone = samples.tiny_backbone()
    deltas = {path: load_delta(path) for path in sorted((tmp_path / "deltas").iterdir())}
    options = {"backbone": backbone, "deltas": deltas, "energy": 0.9}
    save_composition(tmp_path / "small", loaded.composition, loaded.card, **options)
    small = load_composition(tmp_path / "small", backbone=backbone)
    assert small.composition.named_coefficients() == loaded.composition.named_coefficients()
    assert 0 < small.card.adapter.error <= 0.1**0.5
    assert sum(small.card.adapter.ranks.values()) < sum(loaded.card.adapter.ranks.values())
    assert small.card.metrics == loaded.card.metrics


def test_dense_deltas_come_back_also_when_they_stay_in_host_memory(backbone, tmp_path):
    deltas = [samples.dense(backbone, "texture", 5), samples.two_deltas(backbone)[0]]
    composition = samples.compose(backbone, deltas, "block")
    folder, _ = samples.save(tmp_path, backbone, deltas, composition)
    loaded = load_composition(folder, backbone=samples.tiny_backbone(), stream=True)
    expected = samples.embed(composition)
    assert torch.allclose(samples.embed(loaded.composition), expected, atol=1e-6)


def test_coefficients_can_be_read_by_hand(backbone, tmp_path):
    deltas = samples.two_deltas(backbone)
    for granularity, name, blocks in (
        ("global", "color/all", ["all"]),
        ("block", "shape/visual.transformer.resblocks.1.attn.in_proj_weight", None),
        ("head", f"color/{QUERY}.weight.head", [f"{QUERY}.weight.head.{n}" for n in range(2)]),
        ("rank", f"shape/{QUERY}.weight.rank", [f"{QUERY}.weight.rank.{n}" for n in range(3)]),
    ):
        composition = samples.compose(backbone, deltas, granularity)
        folder, _ = samples.save(tmp_path, backbone, deltas, composition)
        tensor = load_file(folder / "coefficients.safetensors")[name]
        delta, _, block = name.partition("/")
        row = composition.named_coefficients()[delta]
        assert tensor.dtype == torch.float32
        assert tensor.flatten().tolist() == [row[b] for b in blocks or [block]]
        composition.detach()


def test_the_card_says_what_it_is_made_of(backbone, saved):
    content = json.loads((saved / "composition.json").read_text())
    assert content["schema"] == "aspectra.composition/1"
    assert [(d["name"], d["folder"]) for d in content["deltas"]] == [
        ("color", "../../deltas/color"),
        ("shape", "../../deltas/shape"),
    ]
    assert content["fingerprint"] == backbone.fingerprint
    assert content["granularity"] == "head"
    assert content["protocol"] == samples.PROTOCOL
    assert content["adapter"]["ranks"][QUERY] == 5
    assert content["adapter"]["form"] == "exact"
    assert {"torch", "peft"} <= content["versions"].keys()


def test_the_readme_shows_scores_coefficients_and_code_that_runs(backbone, saved):
    text = (saved / "README.md").read_text()
    _, front, body = text.split("---\n", 2)
    assert yaml.safe_load(front) == {
        "base_model": "tiny-clip/random",
        "library_name": "peft",
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["clip", "composition", "aspectra", "color", "shape"],
    }
    assert "| split | metric | base | composed | sum |\n|---|---|---|---|---|\n" in body
    assert "| test | accuracy | 0.5 | 0.75 | 0.625 |\n" in body
    assert '```\nmake compose ATTRS="color shape"\n```' in body
    row = next(line for line in body.splitlines() if line.startswith("| color |"))
    named = load_composition(saved, backbone=backbone).composition.named_coefficients()["color"]
    lowest = min(named, key=named.get)
    assert f"| {len(named)} | 0 |" in row
    assert f"{named[lowest]:.4g} ({lowest})" in row
    peft_code, own_code, export_code = re.findall(r"```python\n(.*?)```", body, re.DOTALL)
    opened, own = {}, {}
    exec(peft_code.replace("this folder", str(saved)), opened)
    exec(own_code.replace("this folder", str(saved)), own)
    exec(export_code.replace('merged")', f'{saved}/merged")'), own)
    with torch.no_grad():
        expected = samples.embed(own["loaded"].composition)
        assert torch.allclose(samples.embed(opened["model"]), expected, atol=1e-5)
    assert (saved / "merged/open_clip_config.json").is_file()


def test_equal_compositions_are_equal_bytes(backbone, tmp_path):
    deltas = samples.two_deltas(backbone)
    composition = samples.compose(backbone, deltas, "rank")
    contents = []
    for _ in range(2):
        folder, _ = samples.save(tmp_path, backbone, deltas, composition)
        contents.append({path.name: path.read_bytes() for path in folder.iterdir()})
    assert contents[0] == contents[1]
    assert len(contents[0]) == 5


def test_a_tree_that_moved_is_found_and_a_lone_folder_is_told_where(saved, tmp_path):
    moved = tmp_path / "elsewhere"
    moved.mkdir()
    for name in ("deltas", "compositions"):
        shutil.move(tmp_path / name, moved / name)
    load_composition(moved / "compositions/both", backbone=samples.tiny_backbone())
    lone = tmp_path / "lone"
    shutil.move(moved / "compositions/both", lone)
    fresh = samples.tiny_backbone()
    assert message(load_composition, lone, backbone=fresh) == (
        f"the composition in {lone} needs the delta 'color', expected in "
        f"{tmp_path.parent}/deltas/color, found no delta.json there. Put it back, or say "
        "where it lies: deltas={'color': ...}."
    )
    folders = {name: moved / "deltas" / name for name in ("color", "shape")}
    loaded = load_composition(lone, backbone=fresh, deltas=folders)
    assert loaded.composition.delta_names == ("color", "shape")


def test_names_are_data():
    assert composition_folder("color_shape") == Path("artifacts/compositions/color_shape")
    assert composition_folder("../x").parent == Path("artifacts/compositions")
