"""The parts of an embedding, against the tower's own output and against the paper's formulas."""

import math

import numpy as np
import pytest
import torch
from torch.nn.functional import normalize

from interpret.decompose import (
    CONVENTIONS,
    decompose,
    position_scores,
    readout,
    token_codes,
    token_scores,
    trace,
)
from interpret.towers import UnsupportedTowerError, image_tower, text_tower
from lightning_modules.attention import split_attention
from tests import interpret_towers as towers

LIMIT = {torch.float32: 1e-5, torch.float64: 1e-12}
SPLITS = ("class token", "average", "LayerScale", "CoCa", "RN")


def _relative(found, expected):
    return float(((found - expected).norm(dim=-1) / expected.norm(dim=-1)).max())


@pytest.mark.parametrize("dtype", LIMIT, ids=str)
@pytest.mark.parametrize("kind", towers.KINDS)
def test_parts_sum_to_the_output_of_every_kind_of_tower(kind, dtype):
    model, images = towers.clip(kind, dtype), towers.images(kind, dtype)
    output = model.visual(images)
    output = output[0] if isinstance(output, tuple) else output
    tower = image_tower(model)
    for convention in CONVENTIONS:
        plain = decompose(tower, images, convention=convention, normalize=False)
        unit = decompose(tower, images, convention=convention)
        assert _relative(plain.total_BE, output) < LIMIT[dtype]
        assert _relative(unit.total_BE, normalize(output, dim=-1)) < LIMIT[dtype]
        assert _relative(plain.output_BE, output) < LIMIT[dtype]
        is_shared = convention == "shared"
        assert not plain.constant_BE.any() if is_shared else bool(plain.constant_BE.any())


@pytest.mark.parametrize("kind", SPLITS)
def test_split_attention_gives_the_same_parts(kind):
    model, images = towers.clip(kind, torch.float64), towers.images(kind, torch.float64)
    whole = decompose(image_tower(model), images)
    parts = decompose(image_tower(split_attention(model)), images)
    torch.testing.assert_close(parts.codes_BLHC, whole.codes_BLHC, rtol=0, atol=1e-12)
    torch.testing.assert_close(parts.heads_BLHE, whole.heads_BLHE, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", [kind for kind in towers.KINDS if "ConvNeXt" not in kind])
def test_tokens_sum_to_heads_and_heat_to_their_product_with_a_text(kind):
    model, images = towers.clip(kind, torch.float64), towers.images(kind, torch.float64)
    tower = image_tower(model)
    texts = torch.randn(4, tower.project().weight.shape[0], dtype=torch.float64)
    for convention in CONVENTIONS:
        found, maps = trace(tower, images, with_tokens=True), readout(tower, convention)
        parts = decompose(tower, images, maps=maps)
        built = 0
        for layer in range(len(tower.layers)):
            codes = token_codes(found, maps, layer)
            torch.testing.assert_close(codes.sum(1), parts.codes_BLHC[:, layer], rtol=0, atol=1e-12)
            tokens = torch.einsum("bshc,hce->bse", codes, maps.maps_LHCE[layer])
            built = built + torch.einsum("bse,te->bts", tokens, texts)
        heat = token_scores(found, maps, texts)
        torch.testing.assert_close(heat, built, rtol=0, atol=1e-12)
        whole = torch.einsum("blhe,te->bt", parts.heads_BLHE, texts)
        torch.testing.assert_close(heat.sum(-1), whole, rtol=0, atol=1e-12)


def test_heat_of_one_head_is_its_own():
    model, images = towers.clip(dtype=torch.float64), towers.images("", torch.float64)
    tower = image_tower(model)
    found, maps = trace(tower, images, with_tokens=True), readout(tower)
    texts = torch.randn(2, 24, dtype=torch.float64)
    heads = torch.zeros(2, 2, dtype=torch.bool)
    heads[1, 0] = True
    own = decompose(tower, images).heads_BLHE[:, 1, 0] @ texts.T
    heat = token_scores(found, maps, texts, heads=heads)
    torch.testing.assert_close(heat.sum(-1), own, rtol=0, atol=1e-12)
    one = token_scores(found, maps, texts, heads=heads, layers=(1,))
    torch.testing.assert_close(one, heat, rtol=0, atol=1e-12)


@pytest.mark.parametrize("kind", ["ConvNeXt", "ConvNeXt, xxlarge", "average", "ViTamin"])
def test_positions_sum_to_the_output_where_they_are_averaged(kind):
    model, images = towers.clip(kind, torch.float64), towers.images(kind, torch.float64)
    tower = image_tower(model)
    texts = torch.randn(4, 24, dtype=torch.float64)
    for convention in CONVENTIONS:
        heat = position_scores(trace(tower, images), readout(tower, convention), texts)
        down, across = tower.grid(images)
        assert heat.shape == (3, 4, down * across)
        expected = normalize(model.visual(images), dim=-1) @ texts.T
        torch.testing.assert_close(heat.sum(-1), expected, rtol=0, atol=1e-12)


def _naive(model, images):
    """The paper's formulas, token by token in NumPy, for one image at a time.

    c_i,l,h = fold(alpha_i W_VO z_i), with the final mean, bias and the output bias divided evenly.
    """
    visual = model.visual
    state = {name: value.numpy() for name, value in visual.state_dict().items()}
    blocks = visual.transformer.resblocks
    heads, depth = blocks[0].attn.num_heads, len(blocks)
    results = []
    for image in images:
        stream = visual._embeds(image[None])
        entrance = stream[0, 0].numpy()
        attended, written = [], []
        for number, block in enumerate(blocks):
            path = f"transformer.resblocks.{number}.attn."
            x = block.ln_1(stream)[0].numpy()
            fused = x @ state[path + "in_proj_weight"].T + state[path + "in_proj_bias"]
            q, k, v = (part.reshape(len(x), heads, -1) for part in np.split(fused, 3, axis=1))
            out = state[path + "out_proj.weight"].reshape(x.shape[1], heads, -1)
            tokens = np.zeros((len(x), heads, x.shape[1]))
            for head in range(heads):
                scores = k[:, head] @ q[0, head] / math.sqrt(q.shape[2])
                alpha = np.exp(scores - scores.max())
                alpha /= alpha.sum()
                for i in range(len(x)):
                    tokens[i, head] = alpha[i] * out[:, head] @ v[i, head]
            tokens += state[path + "out_proj.bias"] / (len(x) * heads)
            attended.append(tokens)
            after = stream + block.attention(block.ln_1(stream))
            mlp = block.mlp(block.ln_2(after))
            written.append(mlp[0, 0].numpy())
            stream = after + mlp
        final = stream[0, 0].numpy()
        mean, deviation = final.mean(), np.sqrt(final.var() + visual.ln_post.eps)
        gamma, beta, proj = state["ln_post.weight"], state["ln_post.bias"], state["proj"]

        def fold(x, share, mean=mean, deviation=deviation, gamma=gamma, beta=beta, proj=proj):
            return ((x - mean * share) / deviation * gamma) @ proj + share * (beta @ proj)

        count, length = 2 * depth + 1, np.linalg.norm(visual(image[None])[0].numpy())
        share = 1 / (count * heads * attended[0].shape[0])
        results.append(
            {
                "tokens": np.stack([fold(layer, share) for layer in attended]) / length,
                "mlps": np.stack([fold(x, 1 / count) for x in [entrance, *written]]) / length,
            }
        )
    return {key: np.stack([each[key] for each in results]) for key in results[0]}


def test_the_shared_convention_is_the_papers():
    model, images = towers.clip(dtype=torch.float64), towers.images("", torch.float64)
    expected, tower = _naive(model, images), image_tower(model)
    found, maps = trace(tower, images, with_tokens=True), readout(tower)
    parts = decompose(tower, images)
    np.testing.assert_allclose(parts.heads_BLHE, expected["tokens"].sum(axis=2), atol=1e-12)
    np.testing.assert_allclose(parts.embedding_BE, expected["mlps"][:, 0], atol=1e-12)
    np.testing.assert_allclose(parts.mlps_BME, expected["mlps"][:, 1:], atol=1e-12)
    for layer in range(2):
        codes = token_codes(found, maps, layer)
        tokens = torch.einsum("bshc,hce->bshe", codes, maps.maps_LHCE[layer])
        np.testing.assert_allclose(tokens, expected["tokens"][:, layer], atol=1e-12)


def test_heads_of_a_layer_sum_to_what_its_attention_wrote():
    model, images = towers.clip("LayerScale", torch.float64), towers.images("", torch.float64)
    written = []
    block = model.visual.transformer.resblocks[1]
    hook = block.ls_1.register_forward_hook(lambda _, __, output: written.append(output[:, 0]))
    tower = image_tower(model)
    parts = decompose(tower, images, convention="separate", normalize=False)
    hook.remove()
    maps, found = readout(tower, "separate"), trace(tower, images)
    own = parts.heads_BLHE[:, 1].sum(1) + found.layers[1].weight_B[:, None] * maps.biases_L3E[1, 0]
    expected = found.weights_BR * written[0] @ maps.stream_DE
    torch.testing.assert_close(own, expected, rtol=0, atol=1e-12)


def test_nothing_of_the_tap_stays_behind():
    model, images = towers.clip(), towers.images("")
    function = torch.nn.functional.scaled_dot_product_attention
    before, fast = model.visual(images), torch.backends.mha.get_fastpath_enabled()
    decompose(image_tower(model), images)
    assert torch.nn.functional.scaled_dot_product_attention is function
    assert torch.backends.mha.get_fastpath_enabled() is fast
    hooks = [len(m._forward_hooks) + len(m._forward_pre_hooks) for m in model.modules()]
    assert not any(hooks)
    assert torch.equal(model.visual(images), before)


@pytest.mark.parametrize("kind", ["class token", "average"])
def test_text_towers_too(kind):
    model = towers.clip(kind, torch.float64)
    tokens = torch.tensor([[48, 3, 5, 49, 0, 0, 0, 0, 0, 0, 0, 0], [48, 7, 49] + [0] * 9])
    tower = text_tower(split_attention(model))
    for convention in CONVENTIONS:
        parts = decompose(tower, tokens, convention=convention, normalize=False)
        assert _relative(parts.total_BE, model.encode_text(tokens)) < 1e-12
    found, maps = trace(tower, tokens, with_tokens=True), readout(tower, "separate")
    codes = token_codes(found, maps, 1)
    later = torch.arange(12)[None] > tokens.argmax(-1)[:, None]
    assert codes[later].abs().max() < 1e-15  # hidden: they come after the end of a prompt
    assert codes[~later].abs().max() > 1e-3


def test_training_mode_is_refused():
    model = towers.clip().train()
    with pytest.raises(ValueError, match=r"evaluation mode, got one in training mode.*model.eval"):
        decompose(image_tower(model), towers.images(""))


def test_an_unknown_convention_is_refused():
    with pytest.raises(ValueError, match="among shared, separate, got 'half'"):
        decompose(image_tower(towers.clip()), towers.images(""), convention="half")


@pytest.mark.parametrize(
    ("kind", "message"),
    [
        ("FastVit", "got FastVit. Choose a BACKBONE"),
        ("Swin", "got SwinTransformer. Choose a BACKBONE"),
        ("relative positions", "got VisionTransformerRelPos. Choose a BACKBONE"),
        ("ConvNeXt, MLP", "got 'avg' pooling, LayerNorm2d and a head of Mlp, which is no sum"),
    ],
)
def test_other_towers_are_named(kind, message):
    with pytest.raises(UnsupportedTowerError, match=message):
        image_tower(towers.clip(kind))


def test_unusual_blocks_and_texts_are_named():
    model = towers.clip()
    model.visual.transformer.resblocks[0].extra = torch.nn.Identity()
    with pytest.raises(UnsupportedTowerError, match="expected pre-norm blocks with plain"):
        image_tower(model)
    with pytest.raises(UnsupportedTowerError, match="expected a text transformer of open_clip"):
        text_tower(towers.clip("SigLIP"))
    model = towers.clip()
    model.visual.pool_type = "none"
    with pytest.raises(UnsupportedTowerError, match="class token or average, got pool_type 'none'"):
        image_tower(model)
