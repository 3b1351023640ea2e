"""Adapters start as the identity, train where they are put, and leave the base as it was."""

import copy

import open_clip
import pytest
import torch

from datamodules.errors import InputError
from lightning_modules.attention import split_attention
from lightning_modules.lora import (
    GradientGuard,
    LoraSettings,
    adapter_key,
    attach_lora,
    target_names,
    visual_twins,
)

VISION = {"image_size": 32, "layers": 3, "width": 64, "head_width": 32, "patch_size": 8}
TEXT = {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 2}


def clip(split=True):
    torch.manual_seed(0)
    model = open_clip.model.CLIP(32, VISION, TEXT).eval()
    return split_attention(model) if split else model


@pytest.fixture
def images():
    torch.manual_seed(1)
    return torch.randn(4, 3, 32, 32)


def steps(model, images, count=3, guard=None):
    optimizer = torch.optim.SGD([p for p in model.parameters() if p.requires_grad], lr=0.5)
    for _ in range(count):
        optimizer.zero_grad()
        model.encode_image(images).pow(2).sum().backward()
        if guard:
            guard.observe()
        optimizer.step()


def test_adapter_is_identity_at_init(images):
    model = clip()
    with torch.no_grad():
        before = model.encode_image(images)
        after = attach_lora(model, LoraSettings(lora_dropout=0.5), "color").encode_image(images)
    assert torch.equal(before, after)


def test_every_adapter_tensor_moves_and_every_other_stays_bitwise(images):
    model = attach_lora(clip(), LoraSettings(r=2), "color")
    before = {name: value.clone() for name, value in model.state_dict().items()}
    guard = GradientGuard(model.named_parameters())
    steps(model, images, guard=guard)
    assert guard.done
    moved = {name for name, value in model.state_dict().items() if not value.equal(before[name])}
    assert moved == {name for name in before if ".lora_" in name}
    assert len(moved) == 3 * 4 * 2


def test_targets_are_full_names_in_the_chosen_towers_and_blocks():
    settings = LoraSettings(target_modules=("q_proj", "mlp.c_fc"), blocks="last:1", towers="both")
    assert target_names(clip(), settings) == [
        "transformer.resblocks.1.attn.q_proj",
        "transformer.resblocks.1.mlp.c_fc",
        "visual.transformer.resblocks.2.attn.q_proj",
        "visual.transformer.resblocks.2.mlp.c_fc",
    ]
    assert len(target_names(clip(), LoraSettings())) == 12
    assert len(target_names(clip(), LoraSettings(blocks="last:9"))) == 12


def test_text_names_do_not_choose_their_vision_twins():
    settings = LoraSettings(blocks="last:1", towers="both")
    model = attach_lora(clip(), settings, "color")
    adapted = {name for name, module in model.named_modules() if hasattr(module, "lora_A")}
    wanted = {f"base_model.model.{name}" for name in target_names(clip(), settings)}
    assert adapted == wanted
    chosen = ["transformer.a", "transformer.b", "visual.transformer.a", "text.c"]
    assert visual_twins(chosen) == ["visual.transformer.b"]
    assert visual_twins(chosen, ["visual.transformer.a"]) == []


def test_base_stays_in_evaluation_mode_while_lora_dropout_works(images):
    model = attach_lora(clip(), LoraSettings(lora_dropout=0.5), "color")
    for name, value in model.named_parameters():
        if "lora_B" in name:
            torch.nn.init.normal_(value)
    model = copy.deepcopy(model).train()
    base = model.base_model.model
    training = {name for name, module in base.named_modules() if module.training}
    assert training
    assert all(".lora_dropout" in name for name in training)
    assert not torch.equal(model.encode_image(images), model.encode_image(images))
    model.eval()
    assert not any(module.training for module in model.modules())
    assert torch.equal(model.encode_image(images), model.encode_image(images))


def test_an_adapted_tower_compiles_to_one_graph(images):
    model = attach_lora(clip(), LoraSettings(r=2), "color")
    tower = model.base_model.model.visual
    torch._dynamo.reset()
    compiled = torch.compile(tower, backend="eager", fullgraph=True)
    assert torch.allclose(compiled(images), tower(images), atol=1e-5)


@pytest.mark.parametrize("name", ["type", "train", "a.b", "../x", "items", "color"])
def test_any_attribute_name_is_an_adapter_name(name, images):
    model = attach_lora(clip(), LoraSettings(r=1), name)
    assert list(model.peft_config) == [adapter_key(name)]
    assert model.encode_image(images).shape == (4, 32)


def test_a_second_adapter_is_added_and_a_taken_name_refused(images):
    model = attach_lora(clip(), LoraSettings(r=1), "color")
    again = attach_lora(model, LoraSettings(r=2, target_modules=("c_fc",)), "shape")
    assert again is model
    assert model.active_adapters == ["shape"]
    trained = {name for name, value in model.named_parameters() if value.requires_grad}
    assert trained
    assert all(".shape." in name for name in trained)
    with pytest.raises(InputError) as error:
        attach_lora(model, LoraSettings(), "color")
    assert str(error.value) == (
        "the model already has an adapter 'color'; it has color, shape. "
        "Choose another name, or delete_adapter() the old one."
    )


def test_targets_that_match_nothing_list_what_there_is():
    with pytest.raises(InputError) as error:
        target_names(clip(), LoraSettings(target_modules=("query", "value")))
    assert str(error.value) == (
        "target_modules query, value match no nn.Linear in towers=vision, blocks=all. "
        "Linear modules there end in: c_fc, c_proj, k_proj, out_proj, q_proj, v_proj. "
        "Choose of these."
    )


def test_projections_that_are_never_called_are_refused():
    with pytest.raises(InputError) as error:
        attach_lora(clip(split=False), LoraSettings(target_modules=("out_proj",)), "color")
    names = ", ".join(f"visual.transformer.resblocks.{i}.attn.out_proj" for i in range(3))
    assert str(error.value) == (
        "3 target modules are never called, so adapters on them would learn nothing: "
        f"{names}. Load the backbone with split=True, or call split_attention(model) first."
    )


@pytest.mark.parametrize(
    ("change", "text"),
    [
        ({"r": 0}, "r is 0, expected a rank of at least 1."),
        ({"lora_dropout": 1.0}, "lora_dropout is 1.0, expected a share in [0, 1)."),
        ({"blocks": "last:0"}, 'blocks is \'last:0\', expected "all" or "last:k" with k >= 1.'),
        ({"towers": "text"}, 'towers is \'text\', expected "vision" or "both".'),
    ],
)
def test_settings_that_cannot_be_are_refused(change, text):
    with pytest.raises(InputError) as error:
        LoraSettings(**change)
    assert str(error.value) == text


def test_guard_names_the_tensors_that_a_loss_does_not_reach(images):
    model = attach_lora(clip(), LoraSettings(r=1, towers="both"), "color")
    with pytest.raises(InputError) as error:
        steps(model, images, guard=GradientGuard(model.named_parameters()))
    name = "base_model.model.transformer.resblocks.0.attn.{}.lora_B.color.weight"
    assert str(error.value).startswith(
        "8 of 40 trainable tensors received no gradient by step 1: "
        f"{name.format('k_proj')}, {name.format('out_proj')}"
    )
    assert "and 3 more. They would never learn" in str(error.value)


def test_guard_waits_for_lora_a_but_not_forever():
    a, b = (torch.nn.Parameter(torch.ones(2)) for _ in "ab")
    guard = GradientGuard([("x.lora_A.c.weight", a), ("x.lora_B.c.weight", b)])
    b.grad, a.grad = torch.ones(2), torch.zeros(2)
    guard.observe()
    guard.observe()
    assert not guard.done
    with pytest.raises(InputError, match=r"1 of 2 trainable .* by step 3: x\.lora_A\.c\.weight\."):
        guard.observe()


def test_guard_does_not_count_steps_without_any_finite_gradient():
    b = torch.nn.Parameter(torch.ones(2))
    guard = GradientGuard([("lora_B.c", b), ("frozen", torch.nn.Parameter(b.data, False))])
    for gradient in (None, torch.zeros(2), torch.tensor([1.0, float("inf")])):
        b.grad = gradient
        guard.observe()
    assert guard.steps == 0
    b.grad = torch.tensor([0.0, 1e-30])
    guard.observe()
    assert guard.done


def test_guard_raises_when_nothing_ever_receives_a_gradient():
    guard = GradientGuard([("x.lora_B.c.weight", torch.nn.Parameter(torch.ones(2)))])
    for _ in range(20):
        guard.observe()
    with pytest.raises(InputError, match=r"1 of 1 trainable tensors received no gradient"):
        guard.observe()


def test_guard_needs_something_to_guard():
    with pytest.raises(InputError, match="expected trainable tensors, got none"):
        GradientGuard([("w", torch.nn.Parameter(torch.ones(1), requires_grad=False))])
