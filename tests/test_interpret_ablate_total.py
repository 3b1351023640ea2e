"""Total effects: runs of a tiny CLIP whose heads put out something else."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from datamodules.errors import InputError
from interpret.ablate import (
    Ablation,
    ablated_logits,
    head_outputs,
    mean_head_outputs,
    run_with_heads,
)
from interpret.parts import Part, score_parts
from interpret.taps import watch_inputs
from interpret.towers import image_tower
from tests.compose_samples import clip, images

FIRST, LAST = Part("head", 0, 1), Part("head", 1, 0)


@pytest.fixture
def tower():
    return image_tower(clip(torch.float64))


def streams(tower, run):
    """What the final LayerNorm reads at the class token."""
    seen = []
    with watch_inputs({"norm": tower.norm}, lambda _, x: seen.append(x)):
        run()
    return seen[0][:, 0] if seen[0].ndim == 3 else seen[0]


def test_own_outputs_change_no_bit(tower):
    pixels = images(4, torch.float64)
    own = head_outputs(tower, pixels)
    assert {layer: tuple(z.shape) for layer, z in own.items()} == {
        0: (4, 2, 5, 16),
        1: (4, 2, 5, 16),
    }
    plain = tower.run(pixels)
    everything = [Part("head", layer, head) for layer in range(2) for head in range(2)]
    assert torch.equal(run_with_heads(tower, pixels, everything, own), plain)
    assert torch.equal(run_with_heads(tower, pixels, [], None), plain)
    assert torch.equal(tower.run(pixels), plain)  # nothing is left behind


def test_means_are_over_images_and_for_each_position(tower):
    pixels = images(5, torch.float64)
    found = mean_head_outputs(tower, pixels.split(2))
    whole = head_outputs(tower, pixels)
    for layer, mean in found.items():
        assert mean.shape == (1, 2, 5, 16)
        assert (mean - whole[layer].mean(dim=0, keepdim=True)).abs().max() < 1e-14


@pytest.mark.parametrize("part", [FIRST, LAST], ids=str)
@pytest.mark.parametrize("by", ["mean", "zero", "resample"])
def test_the_stream_changes_as_the_replaced_output_says(tower, part, by):
    """Slowly: the projection is given the changed output, by a hook of its own."""
    pixels = images(4, torch.float64)
    other = images(4, torch.float64).flip(0) * 0.7
    given = {
        "mean": mean_head_outputs(tower, [other]),
        "zero": None,
        "resample": head_outputs(tower, other),
    }[by]

    def replace(module, inputs):
        z = inputs[0].clone()
        columns = slice(16 * part.head, 16 * part.head + 16)
        z[..., columns] = 0 if given is None else given[part.layer][:, part.head]
        return (z, *inputs[1:])

    projection = tower.layers[part.layer].attention.out_proj
    hook = projection.register_forward_pre_hook(replace)
    expected = tower.run(pixels)
    hook.remove()
    found = run_with_heads(tower, pixels, [part], given)
    assert (found - expected).norm() / expected.norm() < 1e-13
    assert (found - tower.run(pixels)).norm() / found.norm() > 1e-4


def test_in_the_last_layer_total_is_direct_but_for_its_mlp_and_the_final_norm(tower):
    pixels, layer = images(4, torch.float64), tower.layers[1]
    means = mean_head_outputs(tower, [pixels])
    out = layer.out().weight[:, 16 * LAST.head : 16 * LAST.head + 16]
    own = head_outputs(tower, pixels)[1][:, LAST.head, 0]
    direct = (means[1][:, LAST.head, 0] - own) @ out.T
    for parameter in tower.last.mlp.parameters():
        parameter.zero_()
    before = streams(tower, lambda: tower.run(pixels))
    after = streams(tower, lambda: run_with_heads(tower, pixels, [LAST], means))
    assert (after - before - direct).abs().max() < 1e-13
    # so the embeddings differ by the direct effect but for LayerNorm's statistics: nearly
    texts = F.normalize(torch.randn(3, 24, generator=torch.Generator().manual_seed(0)), dim=-1)
    scores = score_parts(tower, [pixels], texts.double(), ["a", "b", "c"])
    found = ablated_logits(scores, [LAST], Ablation("mean", "self"))
    rerun = F.normalize(run_with_heads(tower, pixels, [LAST], means), dim=-1) @ texts.double().T
    moved = np.abs(scores.logits_NC - rerun.numpy()).max()
    assert np.abs(found - rerun.numpy()).max() < 0.5 * moved


def test_what_does_not_fit_is_refused(tower):
    pixels = images(4, torch.float64)
    own = head_outputs(tower, pixels)
    with pytest.raises(InputError, match="expected heads of this tower, got mlp 0, layer 2 head 0"):
        run_with_heads(tower, pixels, [Part("mlp", 0), Part("head", 2, 0)], own)
    with pytest.raises(InputError, match=r"expected replacements for layers \[0\], got none for 0"):
        run_with_heads(tower, pixels, [FIRST], {1: own[1]})
    with pytest.raises(InputError, match=r"got \(4, 2, 5, 16\) in layer 0. Use images of the same"):
        run_with_heads(tower, pixels[:3], [FIRST], own)
    with pytest.raises(InputError, match="expected images to take means over, got none"):
        mean_head_outputs(tower, [])
    model = clip().train()
    with pytest.raises(InputError, match="evaluation mode"):
        head_outputs(image_tower(model), images())


def test_attention_that_cannot_be_replaced_is_refused(tower):
    """Else nothing would be ablated, and nobody would know."""
    for layer in tower.layers:
        layer.attention.forward = lambda x, *_, **__: (x, None)
    pixels = images(2, torch.float64)
    with pytest.raises(InputError, match=r"got no call from layers 0\. Use the model uncompiled"):
        run_with_heads(tower, pixels, [FIRST], None)
    with pytest.raises(InputError, match=r"got no call from layers 0, 1\. Use"):
        head_outputs(tower, pixels)
