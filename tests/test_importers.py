"""Adapters of other programs become deltas with the numbers their papers give them."""

import math

import open_clip
import peft
import pytest
import torch
import torch.nn.functional as F

from datamodules.errors import InputError
from lightning_modules.backbone import load_backbone
from lightning_modules.delta import import_clip_lora, import_peft, load_delta, save_delta

CONFIG = {
    "embed_dim": 32,
    "vision_cfg": {"image_size": 32, "layers": 3, "width": 64, "head_width": 32, "patch_size": 8},
    "text_cfg": {"context_length": 12, "vocab_size": 49408, "width": 32, "heads": 2, "layers": 2},
    "quick_gelu": True,
}


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    gelu, deep = (
        CONFIG | {"quick_gelu": False},
        CONFIG | {"vision_cfg": CONFIG["vision_cfg"] | {"layers": 12}},
    )
    for name, config in (("tiny", CONFIG), ("tiny-gelu", gelu), ("deep", deep)):
        monkeypatch.setitem(open_clip.factory._MODEL_CONFIGS, name, config)


@pytest.fixture
def backbone():
    return load_backbone("tiny", "random")


def clip_lora_file(path, widths, *, r=2, alpha=3, encoder="both", params="qkv", position="all"):
    """The file that CLIP-LoRA's save_lora writes, for layers of the given widths."""
    torch.manual_seed(0)
    names = {"q": "q_proj", "k": "k_proj", "v": "v_proj", "o": "proj"}
    weights = {
        f"layer_{index}": {
            names[letter]: {"w_lora_A": torch.randn(r, width), "w_lora_B": torch.randn(width, r)}
            for letter in params
        }
        for index, width in enumerate(widths)
    }
    metadata = {"r": r, "alpha": alpha, "encoder": encoder}
    metadata |= {"params": list(params), "position": position}
    torch.save({"weights": weights, "metadata": metadata}, path)
    return weights


def message(function, *args, **kwargs):
    with pytest.raises(InputError) as error:
        function(*args, **kwargs)
    return str(error.value)


def paper_attention(attention, x, layer, scale):
    """Attention with W + scale B A on q, k, v and the output, each product built in full."""
    width = x.shape[-1]
    weights = dict(
        zip(("q_proj", "k_proj", "v_proj"), attention.in_proj_weight.split(width), strict=True)
    )
    biases = dict(
        zip(("q_proj", "k_proj", "v_proj"), attention.in_proj_bias.split(width), strict=True)
    )
    weights["proj"], biases["proj"] = attention.out_proj.weight, attention.out_proj.bias

    def project(name, value):
        factors = layer.get(name)
        low = scale * factors["w_lora_B"] @ factors["w_lora_A"] if factors else 0
        return F.linear(value, weights[name] + low, biases[name])

    q, k, v = (
        project(name, x).unflatten(-1, (attention.num_heads, -1)).transpose(1, 2)
        for name in ("q_proj", "k_proj", "v_proj")
    )
    scores = (q @ k.transpose(-1, -2) / math.sqrt(q.shape[-1])).softmax(-1)
    return project("proj", (scores @ v).transpose(1, 2).flatten(2))


def test_clip_lora_files_give_the_formula_of_the_paper(backbone, tmp_path):
    layers = clip_lora_file(tmp_path / "lora.pt", [32, 32, 64, 64, 64], params="qkvo")
    delta = import_clip_lora(tmp_path / "lora.pt", backbone, attribute="color", values=("red",))
    assert delta.card.scale == pytest.approx(3 / math.sqrt(2))
    assert len(delta.factors) == 5 * 4
    adapted = delta.attach(backbone.model)
    plain = load_backbone("tiny", "random", split=False).model
    torch.manual_seed(1)
    x = torch.randn(2, 7, 64)
    for block in range(3):  # of the image tower: layers 2 to 4 of the file, after the text tower's
        path = f"visual.transformer.resblocks.{block}.attn"
        expected = paper_attention(
            plain.get_submodule(path), x, layers[f"layer_{2 + block}"], 3 / math.sqrt(2)
        )
        got = adapted.base_model.model.get_submodule(path)(x, x, x)[0]
        assert torch.allclose(got, expected, atol=1e-4, rtol=1e-4)
        assert (got - plain.get_submodule(path)(x, x, x)[0]).abs().max() > 0.1
    a, _ = delta.factors["transformer.resblocks.1.attn.k_proj"]
    assert torch.equal(a, layers["layer_1"]["k_proj"]["w_lora_A"])
    save_delta(tmp_path / "color", delta)
    again = load_delta(tmp_path / "color", backbone=load_backbone("tiny", "random"))
    assert again.card.protocol == {"imported_from": "CLIP-LoRA file lora.pt"}


@pytest.mark.parametrize(
    ("position", "blocks"),
    [
        ("all", range(12)),
        ("bottom", range(4)),
        ("mid", range(4, 8)),
        ("up", range(8, 12)),
        ("half-up", range(6, 12)),
        ("half-bottom", range(6)),
        ("top3", range(9, 12)),
    ],
)
def test_positions_are_those_of_clip_lora(tmp_path, position, blocks):
    clip_lora_file(
        tmp_path / "lora.pt", [64] * len(blocks), encoder="vision", position=position, params="v"
    )
    delta = import_clip_lora(tmp_path / "lora.pt", load_backbone("deep", "random"), attribute="x")
    assert set(delta.factors) == {f"visual.transformer.resblocks.{i}.attn.v_proj" for i in blocks}


def test_the_text_encoder_alone_can_be_imported(backbone, tmp_path):
    clip_lora_file(tmp_path / "lora.pt", [32, 32], encoder="text")
    delta = import_clip_lora(tmp_path / "lora.pt", backbone, attribute="color")
    assert sorted(delta.factors)[0] == "transformer.resblocks.0.attn.k_proj"
    assert len(delta.factors) == 6


def test_clip_lora_files_that_do_not_fit_say_what_was_expected(backbone, tmp_path):
    path = tmp_path / "lora.pt"
    clip_lora_file(path, [32, 32, 64, 64])
    assert message(import_clip_lora, path, backbone, attribute="x") == (
        f"{path} holds 4 layers, expected 5 for encoder=both, position=all on tiny. "
        "Load the backbone it was trained on."
    )
    clip_lora_file(path, [32] * 5)
    assert "9 of wrong shape: visual.transformer.resblocks.0.attn.k_proj [32, 32]" in message(
        import_clip_lora, path, backbone, attribute="x"
    )
    clip_lora_file(path, [32] * 5, position="middle")
    assert message(import_clip_lora, path, backbone, attribute="x") == (
        f"{path}: position is 'middle', expected one of all, bottom, mid, up, half-up, "
        "half-bottom, top, top1, top2, top3."
    )
    clip_lora_file(path, [32] * 5, encoder="image")
    assert message(import_clip_lora, path, backbone, attribute="x") == (
        f"{path}: encoder is 'image', expected text, vision or both."
    )
    torch.save({"state_dict": {}}, path)
    assert message(import_clip_lora, path, backbone, attribute="x") == (
        f"{path} is no file of CLIP-LoRA: expected weights and metadata with r, alpha, encoder, "
        "params, position; got state_dict."
    )


def test_clip_lora_files_that_lack_a_projection_are_refused(backbone, tmp_path):
    path = tmp_path / "lora.pt"
    clip_lora_file(path, [32, 32, 64, 64, 64])
    content = torch.load(path)
    del content["weights"]["layer_3"]["v_proj"]
    torch.save(content, path)
    assert message(import_clip_lora, path, backbone, attribute="x") == (
        f"{path}: layer_3 has no w_lora_A and w_lora_B for v_proj, though its metadata lists it. "
        "The file is not whole: copy it again."
    )
    content["metadata"]["params"] = ["q", "z"]
    torch.save(content, path)
    assert message(import_clip_lora, path, backbone, attribute="x") == (
        f"{path}: params z, expected of q, k, v, o."
    )


def test_clip_lora_needs_quick_gelu(tmp_path):
    clip_lora_file(tmp_path / "lora.pt", [32, 32, 64, 64, 64])
    gelu = load_backbone("tiny-gelu", "random")
    assert message(import_clip_lora, tmp_path / "lora.pt", gelu, attribute="x").startswith(
        "CLIP-LoRA adapts OpenAI's weights, which use QuickGELU; got tiny-gelu random, which uses "
        "GELU. "
    )


@pytest.mark.parametrize("rslora", [False, True])
def test_peft_folders_give_the_outputs_of_peft(backbone, tmp_path, rslora):
    config = peft.LoraConfig(
        r=4,
        lora_alpha=6,
        target_modules=["q_proj", "c_fc"],
        use_rslora=rslora,
        alpha_pattern={"c_fc": 2},
        rank_pattern={"resblocks.0.attn.q_proj": 3},
    )
    model = peft.get_peft_model(load_backbone("tiny", "random").model, config)
    torch.manual_seed(0)
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value)
    model.eval().save_pretrained(tmp_path / "peft", save_embedding_layers=False)
    delta = import_peft(tmp_path / "peft", backbone, attribute="color")
    expected = {
        name.removeprefix("base_model.model."): module.get_delta_weight("default")
        for name, module in model.named_modules()
        if hasattr(module, "lora_A")
    }
    got = delta.dense()
    assert {name.removesuffix(".weight") for name in got} == expected.keys()
    for name, value in expected.items():
        assert torch.allclose(got[f"{name}.weight"], value, rtol=1e-5, atol=1e-5), name


def test_peft_folders_of_other_kinds_are_refused(backbone, tmp_path):
    config = peft.LoraConfig(r=2, target_modules=["q_proj"], use_dora=True)
    model = peft.get_peft_model(load_backbone("tiny", "random").model, config)
    model.save_pretrained(tmp_path / "dora", save_embedding_layers=False)
    path = tmp_path / "dora" / "adapter_config.json"
    assert message(import_peft, tmp_path / "dora", backbone, attribute="x") == (
        f"{path} sets use_dora, so it is more than W + s B A. "
        "Expected plain LoRA: train it again without these."
    )
    path.write_text('{"peft_type": "IA3"}')
    assert message(import_peft, tmp_path / "dora", backbone, attribute="x") == (
        f"{path} is of type IA3, expected LORA."
    )
