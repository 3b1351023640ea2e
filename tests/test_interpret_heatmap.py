"""Heat maps against loops over heads, queries and tokens, written from the papers' formulas."""

import re

import pytest
import torch
import torch.nn.functional as F

from datamodules.errors import InputError
from interpret.decompose import decompose
from interpret.heatmap import WITHOUT_TEXT, contrast, heat_map
from interpret.towers import image_tower
from tests.interpret_towers import clip, images

LAYERS, HEADS, TOKENS = 2, 2, 17  # of the towers below; 4 x 4 patches behind a class token


class Pass:
    """One image through a vision transformer by hand, with all attention matrices in the open."""

    def __init__(self, visual, image):
        x = visual.conv1(image[None]).flatten(2).mT
        first = visual.class_embedding + torch.zeros_like(x[:, :1])
        x = visual.ln_pre(torch.cat([first, x], 1) + visual.positional_embedding)[0]
        self.visual = visual
        self.attention, self.streams, self.values, self.normed = [], [], [], []
        for block in visual.transformer.resblocks:
            normed = block.ln_1(x).detach().requires_grad_() if not self.normed else block.ln_1(x)
            self.normed.append(normed)
            q, k, v = F.linear(normed, block.attn.in_proj_weight, block.attn.in_proj_bias).chunk(
                3, 1
            )
            width, answers = q.shape[1] // HEADS, []
            heads = []
            for head in range(HEADS):
                part = slice(head * width, (head + 1) * width)
                weights = (q[:, part] @ k[:, part].T / width**0.5).softmax(-1)
                heads.append(weights)
                answers.append(weights @ v[:, part])
            self.attention.append(heads)
            self.values.append(v)
            x = x + block.attn.out_proj(torch.cat(answers, 1))
            x = x + block.mlp(block.ln_2(x))
            self.streams.append(x)
        self.embedding = self.read(x[0])

    def read(self, token):
        return self.visual.ln_post(token) @ self.visual.proj

    def score(self, text, embedding=None):
        embedding = self.embedding if embedding is None else embedding
        return embedding @ text / embedding.norm() / text.norm()


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


def by_hand(model, pixels, texts, formula):
    """Maps (B, T, 4, 4) of a formula that gives one number a token."""
    rows = []
    for image in pixels:
        numbers = [formula(Pass(model.visual, image), text) for text in texts]
        rows.append(torch.stack([each[1:].detach().reshape(4, 4) for each in numbers]))
    return torch.stack(rows)


def raw_by_hand(seen, text):
    return sum(seen.attention[-1][head][0] for head in range(HEADS)) / HEADS


def rollout_by_hand(seen, text):
    joint = torch.eye(TOKENS).double()
    for heads in seen.attention:
        joint = (0.5 * sum(heads) / HEADS + 0.5 * torch.eye(TOKENS)) @ joint
    return joint[0]


def gradcam_by_hand(seen, text):
    tokens = seen.normed[-1]
    (gradient,) = torch.autograd.grad(seen.score(text), tokens)
    weight = sum(gradient[i] for i in range(1, TOKENS)) / (TOKENS - 1)
    return torch.stack([torch.relu((weight * tokens[i]).sum()) for i in range(TOKENS)])


def chefer_by_hand(start):
    def formula(seen, text):
        relevance = torch.eye(TOKENS).double()
        for heads in seen.attention[start:]:
            cam = torch.zeros(TOKENS, TOKENS).double()
            for weights in heads:
                (gradient,) = torch.autograd.grad(seen.score(text), weights, retain_graph=True)
                cam += torch.relu(gradient * weights) / HEADS
            relevance = relevance + cam @ relevance
        return relevance[0]

    return formula


def legrad_by_hand(start):
    def formula(seen, text):
        total = torch.zeros(TOKENS).double()
        for heads, stream in list(zip(seen.attention, seen.streams, strict=True))[start:]:
            score = seen.score(text, seen.read(stream.mean(0)))
            for weights in heads:
                (gradient,) = torch.autograd.grad(score, weights, retain_graph=True)
                for query in range(TOKENS):
                    total += torch.relu(gradient[query]) / HEADS / TOKENS
        return total

    return formula


def maskclip_by_hand(seen, text):
    out = seen.visual.transformer.resblocks[-1].attn.out_proj
    return torch.stack([seen.score(text, seen.read(out(value))) for value in seen.values[-1]])


CASES = {
    "raw_attention": (raw_by_hand, {}),
    "rollout": (rollout_by_hand, {}),
    "gradcam": (gradcam_by_hand, {}),
    "chefer": (chefer_by_hand(-1), {}),
    "chefer from 0": (chefer_by_hand(0), {"start": 0}),
    "legrad": (legrad_by_hand(0), {}),
    "legrad, last": (legrad_by_hand(-1), {"start": -1}),
    "maskclip": (maskclip_by_hand, {}),
}


@pytest.mark.parametrize("case", CASES)
def test_maps_are_those_of_the_formula(case, model, pixels, texts):
    formula, options = CASES[case]
    method = re.match(r"\w+", case)[0]
    found = heat_map(image_tower(model), pixels, texts, method=method, **options)
    expected = by_hand(model, pixels, texts, formula)
    if method in WITHOUT_TEXT:
        assert found.shape == (3, 1, 4, 4)
        expected = expected[:, :1]
    assert expected.std() > 1e-6
    torch.testing.assert_close(found, expected, rtol=1e-9, atol=1e-12)


# --- the decomposition ----------------------------------------------------------------------------


def contributions_by_hand(model, image, text, layer):
    """What each token adds through each head of a layer, (tokens, heads); constants left out."""
    seen = Pass(model.visual, image)
    block, last = model.visual.transformer.resblocks[layer], seen.streams[-1][0]
    deviation = (last.var(unbiased=False) + model.visual.ln_post.eps).sqrt()
    found = torch.zeros(TOKENS, HEADS).double()
    for token in range(TOKENS):
        for head in range(HEADS):
            part = slice(head * 16, (head + 1) * 16)
            value = seen.values[layer][token, part]
            x = block.attn.out_proj.weight[:, part] @ value * seen.attention[layer][head][0, token]
            embedded = (model.visual.ln_post.weight * x / deviation) @ model.visual.proj
            found[token, head] = embedded @ text / text.norm() / seen.embedding.norm()
    return found.detach()


def test_maps_of_heads_are_those_of_a_loop_over_tokens(model, pixels, texts):
    tower = image_tower(model)
    for head in ((0, 1), (1, 0)):
        found = heat_map(tower, pixels, texts, heads=[head])
        expected = contributions_by_hand(model, pixels[1], texts[0], head[0])[1:, head[1]]
        # Constants, divided evenly over tokens, shift a map as a whole.
        left, right = found[1, 0].flatten(), expected
        torch.testing.assert_close(left - left.mean(), right - right.mean(), rtol=1e-9, atol=1e-12)


def test_maps_of_heads_sum_to_the_map_of_all_of_them(model, pixels, texts):
    tower = image_tower(model)
    every = [(layer, head) for layer in range(LAYERS) for head in range(HEADS)]
    parts = [heat_map(tower, pixels, texts, heads=[each]) for each in every]
    whole = heat_map(tower, pixels, texts)
    torch.testing.assert_close(sum(parts), whole)
    torch.testing.assert_close(heat_map(tower, pixels, texts, heads=every), whole)


@pytest.mark.parametrize("kind", ["average", "LayerScale", "CoCa", "RN", "SigLIP"])
@pytest.mark.parametrize("convention", ["shared", "separate"])
def test_all_tokens_together_are_the_heads_times_the_text(kind, convention, texts):
    """Where no token precedes the patches the map itself has this sum; else the rest is small."""
    tower = image_tower(clip(kind, torch.float64))
    x = images(kind, torch.float64)
    parts = decompose(tower, x, convention=convention)
    own = texts[:, : parts.output_BE.shape[1]]
    own = F.pad(own, (0, parts.output_BE.shape[1] - own.shape[1]))
    own = own / own.norm(dim=-1, keepdim=True)
    heads_BT = torch.einsum("blhe,te->bt", parts.heads_BLHE, own)
    found = heat_map(tower, x, own, convention=convention)
    if kind == "SigLIP":  # has patches alone
        torch.testing.assert_close(found.sum((2, 3)), heads_BT)
    else:
        patches = found[0, 0].numel()
        assert found.sum((2, 3)).shape == heads_BT.shape
        assert (found.sum((2, 3)) - heads_BT).abs().max() < 6 / patches


def test_the_map_of_a_contrast_is_the_map_less_the_mean_of_the_others(model, pixels, texts):
    tower = image_tower(model)
    more = torch.cat([texts, texts.roll(1, 1) ** 2])
    maps = heat_map(tower, pixels, more)
    relative = maps - maps.mean(1, keepdim=True)
    directions = contrast(more)
    found = heat_map(tower, pixels, directions) * directions.norm(dim=-1)[:, None, None]
    torch.testing.assert_close(found, relative)
    with pytest.raises(InputError, match=r"of two texts or more, got \(1, 24\)"):
        contrast(texts[:1])
