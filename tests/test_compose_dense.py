"""Dense deltas compose like any other: every parameter, mixed with LoRA, streamed or not."""

import open_clip
import pytest
import torch

from composition.basis import Differences
from composition.terms import Dense, Streamed
from lightning_modules.attention import fused_state_dict, split_attention
from lightning_modules.delta import Delta
from lightning_modules.tensors import fingerprint
from tests.compose_samples import (
    DENSE,
    card,
    clip,
    compose,
    dense,
    denses,
    images,
    learned,
    loras,
    reference,
    relative,
)

TEXTS = torch.arange(1, 25).view(2, 12)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("granularity", DENSE)
@pytest.mark.parametrize(("dtype", "bound"), [(torch.float32, 1e-5), (torch.float64, 1e-12)])
def test_dense_deltas_are_autograd_through_the_sum(granularity, dtype, bound, stream):
    composed = compose(denses(), granularity, dtype=dtype, stream=stream)
    embedding, gradient = learned(composed, images(dtype=dtype))
    expected, expected_gradient = reference(denses(), granularity, composed, images(), dtype)
    assert relative(embedding, expected) < bound
    assert relative(gradient, expected_gradient) < bound


@pytest.mark.parametrize("granularity", ["layer", "block", "head", "partition:3"])
def test_dense_and_low_rank_deltas_mix_exactly(granularity):
    deltas = [loras()[1], dense("material"), loras()[0], dense("state", lambda n: "c_fc" in n)]
    composed = compose(deltas, granularity, dtype=torch.float64)
    embedding, gradient = learned(composed, images(dtype=torch.float64))
    expected = reference(deltas, granularity, composed, images(), torch.float64)
    assert relative(embedding, expected[0]) < 1e-12
    assert relative(gradient, expected[1]) < 1e-12


def test_a_dense_bias_under_a_low_rank_weight_has_its_gradient():
    deltas = [loras()[2], dense("bias", lambda name: name.endswith("c_fc.bias"))]
    composed = compose(deltas, "block", dtype=torch.float64)
    _, gradient = learned(composed, images(dtype=torch.float64))
    _, expected = reference(deltas, "block", composed, images(), torch.float64)
    assert relative(gradient, expected) < 1e-12
    number = composed.layout.entries.index(("bias", "visual.transformer.resblocks.0.mlp.c_fc.bias"))
    assert gradient[number].abs() > 1e-3


def test_every_tensor_of_a_tower_is_a_block_of_its_own():
    composed = compose([dense("color")], "block")
    own = {name for name in fused_state_dict(clip()) if name.startswith("visual.")}
    assert set(composed.block_names) == own
    _, gradient = learned(composed, images())
    silent = {composed.block_names[i] for i in (gradient == 0).nonzero()[:, 0]}
    assert silent == set()


def test_dense_deltas_of_the_text_tower_compose():
    delta = dense("color", towers=("",))
    expected = clip()
    delta.apply(expected, weight=0.5)
    composed = compose([delta], "block")
    composed.uniform(0.5)
    with torch.no_grad():
        assert relative(composed.encode_text(TEXTS), expected.encode_text(TEXTS)) < 1e-5
        for got, wanted in zip(composed(images(), TEXTS), expected(images(), TEXTS), strict=True):
            torch.testing.assert_close(got, wanted, rtol=1e-4, atol=1e-5)


def test_the_sum_is_not_kept_for_the_backward_pass():
    """One tensor a weight whatever the number of deltas: no copies of the K updates."""
    held = {}
    for count in (2, 6):
        deltas = [dense(f"{k}") for k in range(count)]
        composed = compose(deltas)
        own = {parameter.data_ptr() for parameter in composed.parameters()}
        sizes = {}

        def note(tensor, own=own, sizes=sizes):
            if tensor.data_ptr() not in own:
                sizes[tensor.data_ptr()] = tensor.nbytes
            return tensor

        with torch.autograd.graph.saved_tensors_hooks(note, lambda tensor: tensor):
            embedding = composed.encode_image(images())
        held[count] = sum(sizes.values())
        assert embedding.requires_grad
    assert held[6] < 1.01 * held[2]


def test_streamed_updates_stay_where_they_are_and_out_of_the_module():
    updates = (torch.randn(4, 3), torch.randn(4, 3))
    like = torch.zeros(4, 3)
    streamed = Streamed(Differences((0, 1), updates), "whole")
    assert list(streamed.parameters()) == []
    assert [held.data_ptr() for held in streamed.host.updates] == [u.data_ptr() for u in updates]
    resident = Dense(Differences((0, 1), updates), like, "whole", 1)
    assert [tuple(held.shape) for held in resident.parameters()] == [(1, 2, 12)]
    scales = torch.tensor([[0.5, -2.0]])
    expected = 0.5 * updates[0] - 2.0 * updates[1]
    torch.testing.assert_close(streamed(like, scales), expected)
    torch.testing.assert_close(resident(like, scales), expected)


def test_the_statistics_of_a_resnet_follow_and_its_counters_do_not():
    vision = {"image_size": 32, "layers": [1, 1, 1, 1], "width": 8, "head_width": 16}
    text = {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1}
    torch.manual_seed(0)
    model = split_attention(open_clip.model.CLIP(32, vision, text).eval()).requires_grad_(False)
    draw = torch.Generator().manual_seed(0)
    tuned = {
        name: value + (0.05 * torch.rand(value.shape, generator=draw) if value.dim() else 7)
        for name, value in model.state_dict().items()
        if name.startswith("visual.")
    }
    digest = fingerprint(fused_state_dict(model))
    delta = Delta.from_difference(
        dict(model.state_dict()) | tuned, model, card("color", fingerprint=digest)
    )
    assert any(name.endswith("num_batches_tracked") for name in delta.differences)
    x = torch.randn(2, 3, 32, 32)
    composed = compose([delta], "head", model=model)
    composed.one_hot("color")
    with torch.no_grad():
        got = composed.encode_image(x)
    base = composed.detach()
    base.load_state_dict(dict(base.state_dict()) | tuned)
    assert relative(got, base.encode_image(x)) < 1e-4
