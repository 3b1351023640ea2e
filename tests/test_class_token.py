"""The shortened last block changes no number."""

import copy

import open_clip
import pytest
import torch

from lightning_modules.attention import fused_state_dict, split_attention
from lightning_modules.class_token import ClassTokenBlock, read_all_tokens, read_class_token_only
from lightning_modules.lora import LoraSettings, attach_lora

VISION = {"image_size": 32, "layers": 3, "width": 64, "head_width": 32, "patch_size": 8}
TEXT = {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1}


def clip(**vision):
    torch.manual_seed(0)
    model = open_clip.model.CLIP(32, VISION | vision, TEXT).eval().double()
    return split_attention(model.requires_grad_(False))


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.randn(4, 3, 32, 32, dtype=torch.float64)


def test_outputs_and_adapter_gradients_are_those_of_the_whole_block(images):
    torch.manual_seed(0)
    whole = attach_lora(clip(), LoraSettings(r=2), "color").double()
    for name, value in whole.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value)
    short = copy.deepcopy(whole)
    assert read_class_token_only(short.base_model.model)
    for model in (whole, short):
        model.encode_image(images).pow(3).sum().backward()
    assert torch.allclose(
        short.encode_image(images), whole.encode_image(images), rtol=0, atol=1e-12
    )
    gradients = {name: value.grad for name, value in short.named_parameters()}
    trained = [(name, value) for name, value in whole.named_parameters() if value.requires_grad]
    assert len(trained) == 24
    for name, value in trained:
        assert torch.allclose(gradients[name], value.grad, rtol=1e-9, atol=1e-12), name


def test_only_the_class_token_passes_the_last_mlp(images):
    model = clip()
    shapes = []
    last = model.visual.transformer.resblocks[-1]
    last.mlp.register_forward_hook(lambda _, given, __: shapes.append(tuple(given[0].shape)))
    model.encode_image(images)
    assert read_class_token_only(model)
    assert read_class_token_only(model), "twice is once"
    model.encode_image(images)
    assert shapes == [(4, 17, 64), (4, 1, 64)]


def test_names_of_weights_stay_and_the_change_can_be_undone(images):
    model = clip()
    names, block = list(model.state_dict()), model.visual.transformer.resblocks[-1]
    fused = list(fused_state_dict(model))
    read_class_token_only(model)
    assert isinstance(model.visual.transformer.resblocks[-1], ClassTokenBlock)
    assert list(model.state_dict()) == names
    assert list(fused_state_dict(model)) == fused
    read_all_tokens(model)
    assert model.visual.transformer.resblocks[-1] is block


def test_towers_that_read_other_tokens_are_left_alone():
    average = clip(pool_type="avg")
    assert not read_class_token_only(average)
    plain = open_clip.model.CLIP(32, VISION, TEXT)
    assert not read_class_token_only(plain), "its attention is not split"
    assert not read_class_token_only(torch.nn.Linear(2, 2))
