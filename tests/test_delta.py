"""A delta on disk is the adapter that was trained, and nothing else is taken for one."""

import json
from dataclasses import replace
from pathlib import Path

import open_clip
import peft
import pytest
import torch
import yaml
from safetensors.torch import load_file, save_file

from datamodules.errors import InputError
from lightning_modules.attention import fused_state_dict
from lightning_modules.backbone import load_backbone
from lightning_modules.delta import (
    Delta,
    DeltaCard,
    Factor,
    check_delta,
    delta_folder,
    export_merged,
    find_deltas,
    load_delta,
    merged_state_dict,
    save_delta,
)
from lightning_modules.lora import LoraSettings, attach_lora

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
}
METRICS = {"test": {"base": {"accuracy": 0.5}, "adapted": {"accuracy": 0.75, "nan": float("nan")}}}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    for name, quick in (("tiny-clip", False), ("tiny-clip-quickgelu", True)):
        config = CONFIG | {"quick_gelu": quick}
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)


@pytest.fixture
def backbone():
    return load_backbone("tiny-clip", "random")


def card(backbone, **changes):
    known = {
        "attribute": "color",
        "values": ("red", "blue"),
        "templates": ("a {} thing",),
        "backbone": backbone.name,
        "pretrained": backbone.pretrained,
        "fingerprint": backbone.fingerprint,
        "quick_gelu": backbone.quick_gelu,
        "metrics": METRICS,
        "protocol": {"selected_on": "val", "reported_on": "test"},
        "command": "make train ATTR=color",
    }
    return DeltaCard(**(known | changes))


def trained(backbone, settings=None, attribute="color", seed=0):
    """A delta whose B is not zero, and the PEFT model it came from."""
    model = attach_lora(backbone.model, settings or LoraSettings(r=2), attribute)
    torch.manual_seed(seed)
    for name, value in model.named_parameters():
        if ".lora_B." in name:
            torch.nn.init.normal_(value, std=0.02)
    return Delta.from_adapter(model, attribute, card(backbone, attribute=attribute)), model.eval()


def images():
    torch.manual_seed(1)
    return torch.randn(2, 3, 32, 32)


@torch.no_grad()
def embed(model):
    return model.encode_image(images())


def message(function, *args, **kwargs):
    with pytest.raises(InputError) as error:
        function(*args, **kwargs)
    return str(error.value)


def test_plain_peft_opens_a_delta_with_the_same_outputs(backbone, tmp_path):
    settings = LoraSettings(r=2, towers="both", blocks="last:1")
    delta, model = trained(backbone, settings)
    save_delta(tmp_path / "color", delta)
    fresh = load_backbone("tiny-clip", "random")
    base = embed(fresh.model)
    opened = peft.PeftModel.from_pretrained(fresh.model, tmp_path / "color").eval()
    texts = backbone.tokenizer(["a red thing"])
    assert torch.allclose(embed(opened), embed(model), atol=1e-5)
    assert torch.allclose(opened.encode_text(texts), model.encode_text(texts), atol=1e-5)
    assert (embed(model) - base).abs().max() > 0.01, "the adapter must do something"
    adapted = {name for name, module in opened.named_modules() if hasattr(module, "lora_A")}
    assert adapted == {f"base_model.model.{name}" for name in delta.factors}


def test_a_saved_delta_loads_as_it_was_and_attaches_with_the_same_outputs(backbone, tmp_path):
    delta, model = trained(backbone)
    save_delta(tmp_path / "color", delta)
    fresh = load_backbone("tiny-clip", "random")
    again = load_delta(tmp_path / "color", backbone=fresh)
    attached = again.attach(fresh.model)
    assert torch.equal(embed(attached), embed(model))
    assert not attached.training
    assert again.card.scale == 8.0
    assert again.card.metrics["test"]["adapted"] == {"accuracy": 0.75, "nan": None}
    assert replace(again.card, metrics=METRICS) == delta.card


def test_the_folder_holds_what_its_readers_expect(backbone, tmp_path):
    delta, _ = trained(backbone)
    save_delta(tmp_path / "color", delta)
    files = sorted(path.name for path in (tmp_path / "color").iterdir())
    assert files == ["README.md", "adapter_config.json", "adapter_model.safetensors", "delta.json"]
    config = json.loads((tmp_path / "color/adapter_config.json").read_text())
    assert config["target_modules"] == sorted(delta.factors)
    assert config["base_model_name_or_path"] == "tiny-clip/random"
    assert (config["r"], config["lora_alpha"], config["inference_mode"]) == (2, 16.0, True)
    content = json.loads((tmp_path / "color/delta.json").read_text())
    assert content["schema"] == "aspectra.delta/1"
    assert content["versions"]["peft"] == peft.__version__
    _, front, body = (tmp_path / "color/README.md").read_text().split("---\n", 2)
    assert yaml.safe_load(front) == {
        "base_model": "tiny-clip/random",
        "library_name": "peft",
        "pipeline_tag": "zero-shot-image-classification",
        "tags": ["clip", "lora", "aspectra", "color"],
    }
    assert "| test | accuracy | 0.5 | 0.75 |" in body
    assert "```\nmake train ATTR=color\n```" in body
    assert f"- base weights (SHA-256): {backbone.fingerprint}" in body


def test_equal_deltas_are_equal_bytes(backbone, tmp_path):
    delta, _ = trained(backbone)
    for name in ("one", "two"):
        save_delta(tmp_path / name, delta)
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes()


def test_merged_minus_base_is_scale_times_b_a(backbone):
    delta, model = trained(backbone)
    base = fused_state_dict(backbone.model)
    merged = merged_state_dict(backbone.model, delta.dense())
    width = 64
    for block in range(3):
        path = f"visual.transformer.resblocks.{block}.attn"
        for row, name in enumerate(("q_proj", "k_proj", "v_proj")):
            a, b = delta.factors[f"{path}.{name}"]
            rows = slice(row * width, (row + 1) * width)
            moved = (merged[f"{path}.in_proj_weight"] - base[f"{path}.in_proj_weight"])[rows]
            assert torch.allclose(moved, 8.0 * (b @ a), atol=1e-6)
    same = [name for name in base if torch.equal(base[name], merged[name])]
    assert len(base) - len(same) == 3 * 2
    plain = open_clip.model.CLIP(**CONFIG).eval()
    plain.load_state_dict(merged, strict=True)
    assert torch.allclose(embed(plain), embed(model), atol=1e-5)


def test_apply_adds_and_takes_away(backbone):
    delta, model = trained(backbone)
    fresh = load_backbone("tiny-clip", "random")
    base = embed(fresh.model)
    delta.apply(fresh.model)
    assert torch.allclose(embed(fresh.model), embed(model), atol=1e-5)
    delta.apply(fresh.model, -1.0)
    assert torch.allclose(embed(fresh.model), base, atol=1e-5)


def test_an_exported_model_opens_in_plain_open_clip(backbone, tmp_path):
    delta, model = trained(backbone)
    export_merged(delta, backbone, tmp_path / "merged")
    plain = open_clip.create_model(f"local-dir:{tmp_path / 'merged'}").eval()
    assert torch.allclose(embed(plain), embed(model), atol=1e-5)


def test_ranks_and_scales_may_differ_between_modules(backbone, tmp_path):
    torch.manual_seed(0)
    text, vision = "transformer.resblocks.{}.mlp.c_fc", "visual.transformer.resblocks.{}.mlp.c_fc"
    factors = {
        text.format(0): Factor(torch.randn(3, 32), torch.randn(128, 3)),
        vision.format(0): Factor(torch.randn(2, 64), torch.randn(256, 2)),
        vision.format(1): Factor(torch.randn(2, 64), torch.randn(256, 2)),
    }
    scale = {text.format(0): 0.5, vision.format(0): 2.0, vision.format(1): 0.25}
    save_delta(tmp_path / "d", Delta(card(backbone, scale=scale), factors=factors))
    delta = load_delta(tmp_path / "d", backbone=backbone)
    assert delta.card.scale == scale
    opened = peft.PeftModel.from_pretrained(backbone.model, tmp_path / "d")
    for name, (a, b) in factors.items():
        layer = opened.get_submodule(f"base_model.model.{name}")
        assert torch.allclose(layer.get_delta_weight("default"), scale[name] * (b @ a), atol=1e-5)


def test_dense_deltas_are_differences_and_share_the_card(backbone, tmp_path):
    tuned = load_backbone("tiny-clip", "random")
    with torch.no_grad():
        tuned.model.visual.proj.add_(0.5)
        tuned.model.visual.transformer.resblocks[0].attn.k_proj.bias.add_(0.25)
    delta = Delta.from_difference(tuned.model, backbone.model, card(backbone))
    assert sorted(delta.differences) == [
        "visual.proj",
        "visual.transformer.resblocks.0.attn.k_proj.bias",
    ]
    save_delta(tmp_path / "dense", delta)
    again = load_delta(tmp_path / "dense", backbone=backbone)
    assert again.card.kind == "dense"
    again.apply(backbone.model)
    assert torch.allclose(embed(backbone.model), embed(tuned.model), atol=1e-6)
    assert sorted(again.dense()) == sorted(delta.differences)
    assert message(again.attach, backbone.model) == (
        "the delta 'color' is dense and cannot be attached as an adapter; add it to the weights "
        "with apply()."
    )


def test_a_delta_of_other_weights_is_refused(backbone, tmp_path):
    delta, _ = trained(backbone)
    save_delta(tmp_path / "color", delta)
    other = load_backbone("tiny-clip", "random", seed=1)
    text = message(load_delta, tmp_path / "color", backbone=other)
    assert text == (
        "the delta 'color' was trained on tiny-clip random (GELU, weights "
        f"{backbone.fingerprint[:12]}), got tiny-clip random (GELU, weights "
        f"{other.fingerprint[:12]}). A delta is only right on top of the weights it was trained "
        "on: load BACKBONE=tiny-clip PRETRAINED=random, or train it again on tiny-clip."
    )


def test_the_same_weights_with_another_activation_are_refused(backbone):
    delta, _ = trained(backbone)
    quick = load_backbone("tiny-clip-quickgelu", "random")
    assert quick.fingerprint == backbone.fingerprint
    text = message(check_delta, delta, quick)
    assert "(GELU, weights " in text
    assert "got tiny-clip-quickgelu random (QuickGELU, weights " in text


def test_names_that_are_not_in_the_model_are_listed(backbone):
    delta, _ = trained(backbone)
    unsplit = load_backbone("tiny-clip", "random", split=False)
    assert message(check_delta, delta, unsplit).startswith(
        "the delta 'color' does not fit this model: 9 unexpected: "
        "visual.transformer.resblocks.0.attn.k_proj, "
    )
    assert message(delta.attach, unsplit.model).endswith("load that backbone with split=True.")
    assert message(merged_state_dict, backbone.model, {"visual.prj": torch.ones(1)}) == (
        "1 weights of the update are not in the model: visual.prj. "
        "Load the backbone that the deltas were trained on."
    )


def test_a_diverged_adapter_is_not_saved(backbone, tmp_path):
    delta, _ = trained(backbone)
    name, (a, b) = next(iter(delta.factors.items()))
    broken = Delta(delta.card, factors={**delta.factors, name: Factor(a, b * float("inf"))})
    assert message(save_delta, tmp_path / "color", broken).startswith(
        f"{tmp_path / 'color'}: 1 tensors with NaN or infinity: {name}.B. "
    )
    assert not (tmp_path / "color").exists()


def edit_tensors(folder, change):
    path = folder / "adapter_model.safetensors"
    tensors = load_file(path)
    change(tensors)
    save_file(tensors, path)


KEY = "base_model.model.visual.transformer.resblocks.0.attn.k_proj.lora_{}.weight"


@pytest.mark.parametrize(
    ("change", "text"),
    [
        (
            lambda t: t.update({KEY.format("A"): torch.full((2, 64), float("nan"))}),
            "1 tensors with NaN or infinity: visual.transformer.resblocks.0.attn.k_proj.A. "
            "Expected finite numbers: training diverged or the file is damaged. "
            "Train again, slower.",
        ),
        (
            lambda t: t.update({KEY.format("A"): torch.ones(3, 64)}),
            "1 factors of wrong shape: visual.transformer.resblocks.0.attn.k_proj A [3, 64], "
            "B [64, 2]. Expected A (r, in) and B (out, r).",
        ),
        (
            lambda t: t.pop(KEY.format("B")),
            "1 tensors that are no LoRA factors: visual.transformer.resblocks.0.attn.k_proj "
            "without its other factor. Expected pairs <module>.lora_A.weight, "
            "<module>.lora_B.weight.",
        ),
        (
            lambda t: t.update(strange=torch.ones(1)),
            "1 tensors that are no LoRA factors: strange. Expected pairs <module>.lora_A.weight, "
            "<module>.lora_B.weight.",
        ),
    ],
)
def test_damaged_factors_are_named(backbone, tmp_path, change, text):
    delta, _ = trained(backbone)
    save_delta(tmp_path / "color", delta)
    edit_tensors(tmp_path / "color", change)
    path = tmp_path / "color" / "adapter_model.safetensors"
    assert message(load_delta, tmp_path / "color") == f"{path}: {text}"


def test_factors_of_another_width_are_named(backbone, tmp_path):
    delta, _ = trained(backbone)
    save_delta(tmp_path / "color", delta)
    edit_tensors(tmp_path / "color", lambda t: t.update({KEY.format("A"): torch.ones(2, 48)}))
    assert (
        "1 of wrong shape: visual.transformer.resblocks.0.attn.k_proj [64, 48] instead of [64, 64]"
        in message(load_delta, tmp_path / "color", backbone=backbone)
    )


def edit_card(folder, **changes):
    path = folder / "delta.json"
    path.write_text(json.dumps(json.loads(path.read_text()) | changes))


@pytest.mark.parametrize(
    ("changes", "text"),
    [
        (
            {"schema": "aspectra.delta/9"},
            "{path} has schema 'aspectra.delta/9', expected 'aspectra.delta/1'. "
            "Use the version of this project that wrote it, or train the delta again.",
        ),
        (
            {"colour": 1},
            "{path}: missing keys: none; unknown keys: colour. "
            "Expected the keys of aspectra.delta/1.",
        ),
        (
            {"seed": "0"},
            "{path}: seed is '0', which is of a wrong type. "
            "Write the delta again with save_delta instead of editing it by hand.",
        ),
        ({"kind": "dora"}, '{path}: kind is \'dora\', expected "lora" or "dense".'),
        (
            {"scale": 4.0},
            "{folder}: delta.json says scale 4 for visual.transformer.resblocks.0.attn.k_proj, but "
            "lora_alpha and r of adapter_config.json give 8. One was edited: put back the number "
            "it was trained with, or train the delta again.",
        ),
    ],
)
def test_cards_that_cannot_be_are_refused(backbone, tmp_path, changes, text):
    delta, _ = trained(backbone)
    save_delta(tmp_path / "color", delta)
    edit_card(tmp_path / "color", **changes)
    expected = text.format(path=tmp_path / "color/delta.json", folder=tmp_path / "color")
    assert message(load_delta, tmp_path / "color") == expected


def test_a_folder_without_a_delta_says_how_to_get_one(tmp_path):
    assert message(load_delta, tmp_path) == (
        f"expected a delta in {tmp_path}, found no delta.json there. "
        "Train it with `make train ATTR=...`; a folder of plain PEFT is read by import_peft."
    )


def test_an_adapter_that_is_not_there_is_named(backbone):
    _, model = trained(backbone)
    assert message(Delta.from_adapter, model, "shape", card(backbone)) == (
        "the model has no adapter 'shape'; it has color."
    )


@pytest.mark.parametrize("step", [0, 1, 2, 3])
def test_a_full_disk_leaves_the_former_delta_whole(backbone, tmp_path, monkeypatch, step):
    delta, _ = trained(backbone)
    folder = tmp_path / "color"
    save_delta(folder, delta)
    before = {path.name: path.read_bytes() for path in folder.iterdir()}
    calls = []

    def full(*args):
        calls.append(args)
        if len(calls) > step:
            raise OSError(28, "No space left on device")

    monkeypatch.setattr("os.fsync", full)
    other = Delta(replace(delta.card, seed=7), factors=delta.factors)
    text = message(save_delta, folder, other)
    assert "No space left on device" in text
    assert "Nothing that was there before is lost" in text
    assert {path.name: path.read_bytes() for path in folder.iterdir()} == before
    assert [path.name for path in tmp_path.iterdir()] == ["color"]


@pytest.mark.parametrize("attribute", ["type", "a.b", "../x", "values", "Farbe: rot"])
def test_any_attribute_name_survives_the_round_trip(backbone, tmp_path, attribute):
    delta, model = trained(backbone, attribute=attribute)
    folder = delta_folder("tiny-clip", "glyphs", attribute, tmp_path)
    assert folder.parent == tmp_path / "tiny-clip" / "glyphs"
    save_delta(folder, delta)
    assert find_deltas(folder.parent) == {attribute: folder}
    fresh = load_backbone("tiny-clip", "random")
    again = load_delta(folder, backbone=fresh)
    assert again.card.attribute == attribute
    assert torch.equal(embed(again.attach(fresh.model)), embed(model))
    assert (
        yaml.safe_load((folder / "README.md").read_text().split("---\n")[1])["tags"][-1]
        == attribute
    )


def test_several_deltas_attach_to_one_model(backbone):
    color, _ = trained(backbone)
    fresh = load_backbone("tiny-clip", "random")
    shape, model = trained(load_backbone("tiny-clip", "random"), attribute="shape", seed=9)
    both = shape.attach(color.attach(fresh.model))
    assert list(both.peft_config) == ["color", "shape"]
    assert torch.allclose(embed(both), embed(model), atol=1e-6), "the last one is active"


def test_delta_folders_have_safe_names():
    assert delta_folder("ViT-B-32", "glyphs", "color") == Path(
        "artifacts/deltas/ViT-B-32/glyphs/color"
    )
    assert ".." not in delta_folder("../up", "../up", "../up").parts
