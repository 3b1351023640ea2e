"""What all heat maps have in common: any batch, any tower, nothing left behind, clear errors."""

import re

import pytest
import torch
import torch.nn.functional as F

from datamodules.errors import InputError
from interpret.heatmap import METHODS, WITHOUT_TEXT, heat_map
from interpret.heatmap.legrad import _read_stream, _watch_terms
from interpret.taps import watch_outputs
from interpret.towers import image_tower
from lightning_modules.attention import split_attention
from lightning_modules.class_token import read_class_token_only
from tests import compose_samples
from tests.interpret_towers import KINDS, clip, images


@pytest.fixture(scope="module")
def model():
    return clip(dtype=torch.float64)


@pytest.fixture(scope="module")
def pixels():
    return images("class token", torch.float64)


@pytest.fixture(scope="module")
def texts():
    draw = torch.Generator().manual_seed(2)
    return torch.randn(2, 24, generator=draw, dtype=torch.float64)


@pytest.mark.parametrize("method", METHODS)
def test_batches_texts_and_split_attention_change_nothing(method, model, pixels, texts):
    tower = image_tower(model)
    whole = heat_map(tower, pixels, texts, method=method)
    alone = torch.cat([heat_map(tower, each[None], texts, method=method) for each in pixels])
    torch.testing.assert_close(alone, whole)
    own = texts[[0, 1, 0]][:, None]
    expected = whole if method in WITHOUT_TEXT else whole[range(3), [0, 1, 0]][:, None]
    torch.testing.assert_close(heat_map(tower, pixels, own, method=method), expected)
    torch.testing.assert_close(heat_map(tower, pixels, 7 * texts, method=method), whole)
    split = split_attention(clip(dtype=torch.float64))
    torch.testing.assert_close(heat_map(image_tower(split), pixels, texts, method=method), whole)


@pytest.mark.parametrize("method", METHODS)
def test_nothing_is_left_behind(method, model, pixels, texts):
    tower = image_tower(model)
    before = tower.run(pixels)
    found = heat_map(tower, pixels, texts, method=method)
    assert not found.requires_grad
    assert not pixels.requires_grad
    assert all(value.grad is None for value in model.parameters())
    assert torch.equal(tower.run(pixels), before)


def refusal(kind, method):
    """Why a tower has no such map; None where it has one."""
    if kind.startswith("ConvNeXt") and method not in {"decomposition", "gradcam"}:
        return "a tower with attention for the method"
    if kind.startswith("EVA02") and method == "maskclip":
        return "without LayerNorms around its output projection"
    return None


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("method", METHODS)
def test_every_tower_has_a_map_or_says_why_not(kind, method):
    tower, x = image_tower(clip(kind)), images(kind)
    width = tower.run(x).shape[1]
    texts = torch.randn(2, width, generator=torch.Generator().manual_seed(2))
    if reason := refusal(kind, method):
        with pytest.raises(InputError, match=reason):
            heat_map(tower, x, texts, method=method)
        return
    found = heat_map(tower, x, texts, method=method)
    down, across = tower.grid(x)
    assert found.shape == (3, 1 if method in WITHOUT_TEXT else 2, down, across)
    assert found.isfinite().all()
    assert found.abs().max() > 0


def test_gradcam_of_a_resnet_is_that_of_its_last_feature_map(texts):
    model, x = clip("RN"), images("RN")
    features = []
    handle = model.visual.layer4.register_forward_hook(lambda *each: features.append(each[2]))
    embedding = model.visual(x.clone().requires_grad_())
    handle.remove()
    own = F.normalize(texts.float()[:, : embedding.shape[1]], dim=-1)
    expected = []
    for text in own:
        score = (F.normalize(embedding, dim=-1) @ text).sum()
        (gradient,) = torch.autograd.grad(score, features[0], retain_graph=True)
        weight = gradient.mean((2, 3))
        expected.append(torch.einsum("bc,bchw->bhw", weight, features[0]).relu())
    found = heat_map(image_tower(model), x, own, method="gradcam")
    assert found.max() > 0
    torch.testing.assert_close(found, torch.stack(expected, 1))


@pytest.mark.parametrize(
    "kind",
    ["LayerScale", "average", "EVA01", "EVA02, inner norm", "EVA02, norm last", "average, timm"],
)
def test_legrad_reads_the_stream_as_the_last_block_leaves_it(kind):
    tower, x = image_tower(clip(kind, torch.float64)), images(kind, torch.float64)
    last, terms = [], {}
    with (
        watch_outputs({"last": tower.last}, lambda _, y: last.append(y)),
        _watch_terms(tower, terms),
    ):
        tower.run(x)
    found = _read_stream(tower, terms, len(tower.layers) - 1)
    mean = last[0].mean(1)
    project = tower.project()
    normed = mean if tower.norm is None else tower.norm(mean)
    torch.testing.assert_close(found, normed @ project.weight.T + project.bias)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"method": "lrp"}, "among decomposition, raw_attention, rollout"),
        ({"method": "chefer", "heads": [(0, 0)]}, "options of chefer among start, got 'heads'"),
        ({"method": "gradcam", "start": 1}, "options of gradcam among none, got 'start'"),
        ({"method": "legrad", "start": 2}, "one of 2 layers, from -2 to 1, got 2."),
        ({"heads": [(0, 2)]}, "(layer, head) pairs below (2, 2), got (0, 2)."),
        ({"heads": []}, "expected at least one (layer, head) pair, got none."),
        ({"texts": None}, "for the method 'decomposition', got none."),
        ({"texts": None, "method": "maskclip"}, "for the method 'maskclip', got none."),
        ({"texts": torch.ones(24)}, "got a tensor of shape (24,)."),
        ({"texts": torch.ones(2, 1, 24)}, "(images, texts, width) for 3 images"),
        ({"texts": torch.zeros(1, 24)}, "expected text embeddings longer than 0"),
    ],
)
def test_wrong_calls_are_refused(options, message, model, pixels, texts):
    given = options.pop("texts", texts)
    with pytest.raises(InputError, match=re.escape(message)):
        heat_map(image_tower(model), pixels, given, **options)


@pytest.mark.parametrize("method", METHODS)
def test_a_model_in_training_mode_is_refused(method, pixels, texts):
    model = clip(dtype=torch.float64).train()
    with pytest.raises(InputError, match=r"got one in training mode"):
        heat_map(image_tower(model), pixels, texts, method=method)


@pytest.mark.parametrize("method", ["decomposition", "raw_attention", "chefer", "maskclip"])
def test_attention_that_cannot_be_seen_is_refused(method):
    model = clip("average, timm")
    for block in model.visual.trunk.blocks:
        block.attn.fused_attn = False
    texts = torch.randn(1, model.visual(images("average, timm")).shape[1])
    with pytest.raises(InputError, match=r"torch's scaled_dot_product_attention, got no call"):
        heat_map(image_tower(model), images("average, timm"), texts, method=method)


def test_compositions_and_adapters_have_maps_of_their_own():
    x = compose_samples.images(dtype=torch.float64)
    texts = torch.randn(1, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    composed = compose_samples.compose(compose_samples.loras(), dtype=torch.float64)
    attached = compose_samples.loras()[0].attach(compose_samples.clip(torch.float64)).eval()
    merged = compose_samples.loras()[0].attach(compose_samples.clip(torch.float64)).eval()
    merged.merge_adapter()
    for method in METHODS:
        maps = [
            heat_map(image_tower(each), x, texts, method=method)
            for each in (compose_samples.clip(torch.float64), composed, attached, merged)
        ]
        torch.testing.assert_close(maps[2], maps[3])
        gaps = [(each - maps[0]).abs().max() for each in maps[1:3]]
        assert min(gaps) > 1e-5, method


@pytest.mark.parametrize("method", METHODS)
def test_a_last_block_that_computes_the_class_token_alone_has_the_same_maps(method):
    model, x = compose_samples.clip(torch.float64), compose_samples.images(dtype=torch.float64)
    texts = torch.randn(2, 24, dtype=torch.float64, generator=torch.Generator().manual_seed(0))
    options = {"start": 0} if method == "chefer" else {}
    whole = heat_map(image_tower(model), x, texts, method=method, **options)
    assert read_class_token_only(model)
    if method == "legrad":
        with pytest.raises(InputError, match="computes the class token alone"):
            heat_map(image_tower(model), x, texts, method=method)
        return
    short = heat_map(image_tower(model), x, texts, method=method, **options)
    torch.testing.assert_close(short, whole)
