"""Split attention is the original, and turns back into it bit for bit."""

import copy

import open_clip
import pytest
import torch
import torch.nn.functional as F
from open_clip.transformer import Attention, AttentionalPooler
from torch import nn

from datamodules.errors import InputError
from lightning_modules.attention import (
    SplitMHA,
    fused_state_dict,
    split_attention,
    split_state_dict,
)

VISION = {"image_size": 32, "layers": 2, "width": 64, "head_width": 32, "patch_size": 8}
RESNET = {"image_size": 64, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16}
TEXT = {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2}


def clip(vision=VISION, dtype=torch.float32):
    torch.manual_seed(0)
    model = open_clip.model.CLIP(32, vision, TEXT).eval()
    for value in model.parameters():  # biases start at zero, which would hide a lost one
        value.data.add_(0.02 * torch.randn_like(value))
    return model.to(dtype)


def inputs(dtype=torch.float32, size=32):
    torch.manual_seed(1)
    return torch.randn(3, 3, size, size, dtype=dtype), torch.randint(1, 50, (4, 12))


def distance(one, two):
    return (one - two).abs().max().item()


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_split_model_gives_the_outputs_of_the_original(dtype, bound):
    model = clip(dtype=dtype)
    images, texts = inputs(dtype)
    split = split_attention(copy.deepcopy(model))
    assert sum(isinstance(module, SplitMHA) for module in split.modules()) == 4
    assert distance(split.encode_image(images), model.encode_image(images)) < bound
    assert distance(split.encode_text(texts), model.encode_text(texts)) < bound


def test_fused_weights_load_strictly_into_a_plain_model_and_are_the_same_bits():
    model = clip()
    before = {name: value.clone() for name, value in model.state_dict().items()}
    split = split_attention(model)
    for source in (split, split.state_dict()):
        after = fused_state_dict(source)
        assert after.keys() == before.keys()
        assert all(torch.equal(after[name], before[name]) for name in before)
        clip().load_state_dict(after, strict=True)
    again = split_state_dict(after)
    assert again.keys() == split.state_dict().keys()
    assert all(torch.equal(again[name], value) for name, value in split.state_dict().items())


def test_bare_state_dicts_keep_projections_of_other_libraries():
    layer = {
        f"text.m2m.self_attn.{name}.weight": torch.ones(2, 2) for name in ("q_proj", "out_proj")
    }
    timm = {
        f"visual.trunk.blocks.0.attn.{name}.weight": torch.ones(2, 2) for name in ("q_proj", "proj")
    }
    assert fused_state_dict(layer | timm).keys() == (layer | timm).keys()


def test_split_keeps_dtype_mode_and_frozen_state():
    attention = nn.MultiheadAttention(8, 2, batch_first=True, dtype=torch.bfloat16).eval()
    attention.in_proj_weight.requires_grad_(False)
    with torch.no_grad():
        frozen = SplitMHA(attention)
        trained = SplitMHA(nn.MultiheadAttention(8, 2, batch_first=True))
    assert frozen.q_proj.weight.dtype == torch.bfloat16
    assert not frozen.training
    assert trained.training
    assert [frozen.k_proj.weight.requires_grad, frozen.out_proj.weight.requires_grad] == [
        False,
        True,
    ]
    assert trained.q_proj.weight.requires_grad


@pytest.mark.parametrize("kind", ["additive", "bool", "per_head_bool"])
def test_masks_mean_what_they_mean_to_torch(kind):
    torch.manual_seed(0)
    attention = nn.MultiheadAttention(8, 2, batch_first=True).double().eval()
    x = torch.randn(3, 5, 8, dtype=torch.float64)
    hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)
    masks = {
        "additive": torch.zeros(5, 5, dtype=torch.float64).masked_fill(hidden, float("-inf")),
        "bool": hidden,
        "per_head_bool": torch.stack([hidden.roll(i % 2, 0) for i in range(6)])
        & (torch.eye(5) == 0),
    }
    expected = attention(x, x, x, need_weights=False, attn_mask=masks[kind])[0]
    got, weights = SplitMHA(attention)(x, x, x, need_weights=False, attn_mask=masks[kind])
    assert weights is None
    assert distance(got, expected) < 1e-12


def test_pooler_with_keys_of_another_width_is_split_and_fused():
    torch.manual_seed(0)
    pooler = AttentionalPooler(16, 24, n_head=2, n_queries=3).double().eval()
    before = {name: value.clone() for name, value in pooler.state_dict().items()}
    x = torch.randn(2, 7, 24, dtype=torch.float64)
    expected = pooler(x)
    assert distance(split_attention(pooler)(x), expected) < 1e-12
    after = fused_state_dict(pooler)
    assert after.keys() == before.keys()
    assert all(torch.equal(after[name], before[name]) for name in before)


def test_open_clips_own_attention_is_split_too():
    torch.manual_seed(0)
    attention = Attention(8, num_heads=2).double().eval()
    x = torch.randn(2, 5, 8, dtype=torch.float64)
    hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)
    for mask in (None, hidden):
        expected = attention(x, attn_mask=mask)
        assert distance(SplitMHA(attention)(x, attn_mask=mask), expected) < 1e-12


def test_boolean_masks_of_open_clip_4_say_what_is_shown():
    class Newer(Attention):
        def forward(self, x, k_x=None, v_x=None, attn_mask=None): ...

    torch.manual_seed(0)
    newer = Newer(8, num_heads=2).eval()
    hidden = torch.ones(5, 5, dtype=torch.bool).triu(1)
    x = torch.randn(2, 5, 8)
    additive = torch.zeros(5, 5).masked_fill(hidden, float("-inf"))
    split = SplitMHA(newer)
    assert distance(split(x, k_x=x, attn_mask=~hidden), split(x, attn_mask=additive)) < 1e-6


def test_attention_with_more_than_attention_is_refused_by_name():
    model = nn.ModuleDict({"block": nn.ModuleDict({"attn": Attention(8, 2, qk_norm=True)})})
    with pytest.raises(InputError) as error:
        split_attention(model)
    assert str(error.value) == (
        "block.attn: expected plain attention, got Attention with inner normalisation. "
        "Adapters cannot be put on this architecture; choose another BACKBONE."
    )


def test_attention_maps_are_refused():
    split = SplitMHA(nn.MultiheadAttention(8, 2, batch_first=True))
    with pytest.raises(ValueError, match="builds no attention maps: pass need_weights=False"):
        split(torch.ones(1, 2, 8), need_weights=True)


def test_resnet_pool_calls_its_own_projections():
    model = clip(RESNET, torch.float64)
    images, _ = inputs(torch.float64, 64)
    names = model.state_dict().keys()
    expected = model.encode_image(images)
    split_attention(model)
    assert fused_state_dict(model).keys() == names
    assert distance(model.encode_image(images), expected) < 1e-12
    called = []
    for name in ("q_proj", "k_proj", "v_proj", "c_proj"):
        getattr(model.visual.attnpool, name).register_forward_hook(
            lambda *_, name=name: called.append(name)
        )
    model.encode_image(images)
    assert called == ["q_proj", "k_proj", "v_proj", "c_proj"]


def test_each_attention_is_one_call_of_scaled_dot_product_attention(monkeypatch):
    calls = []
    original = F.scaled_dot_product_attention
    monkeypatch.setattr(
        F, "scaled_dot_product_attention", lambda *a, **k: calls.append(1) or original(*a, **k)
    )
    split_attention(clip()).encode_image(inputs()[0])
    assert len(calls) == 2


def test_split_attention_compiles_to_one_graph_and_runs_in_bfloat16():
    split = split_attention(clip())
    images, texts = inputs()
    torch._dynamo.reset()
    compiled = torch.compile(split.visual, backend="eager", fullgraph=True)
    assert distance(compiled(images), split.visual(images)) < 1e-6
    with torch.autocast("cpu", dtype=torch.bfloat16):
        coarse = split.encode_text(texts)
    assert distance(coarse, split.encode_text(texts)) < 0.1
