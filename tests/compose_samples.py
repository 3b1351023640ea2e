"""A tiny CLIP, deltas drawn from a seed, and their sum done the slow way.

The reference builds every weight from dense updates and the coefficients' names alone, and lets
autograd run through the sum.
"""

import copy
import functools
import re

import numpy as np
import open_clip
import torch
from torch.func import functional_call

from composition import Basis, Composition
from datamodules.counter_random import uniform
from lightning_modules.attention import fused_state_dict, split_attention
from lightning_modules.delta import Delta, DeltaCard, Factor
from lightning_modules.lora import linear_modules
from lightning_modules.tensors import fingerprint

VISION = {"image_size": 16, "layers": 2, "width": 32, "head_width": 16, "patch_size": 8}
TEXT = {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1}
HEADS = 2
LORA = ("global", "layer", "module", "block", "projection", "head", "partition:3", "rank")
DENSE = LORA[:-1]
ALL = ("q_proj", "k_proj", "v_proj", "out_proj", "c_fc", "c_proj")


@functools.cache
def _drawn():
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = open_clip.model.CLIP(24, VISION, TEXT).eval()
        for value in model.parameters():  # biases start at zero, which would hide a lost one
            value.data.add_(0.02 * torch.randn_like(value))
    return split_attention(model)


@functools.cache
def digest():
    return fingerprint(fused_state_dict(_drawn()))


def clip(dtype=torch.float32):
    return copy.deepcopy(_drawn()).to(dtype).requires_grad_(False)


def card(attribute, **changes):
    known = {
        "attribute": attribute, "values": ("one", "two"), "templates": ("a {}",),
        "backbone": "tiny", "pretrained": "random", "fingerprint": digest(), "quick_gelu": False,
    }  # fmt: skip
    return DeltaCard(**(known | changes))


def lora(attribute, rank=2, targets=ALL, *, seed=None, scale=2.0, towers=("visual.",)):
    draw = torch.Generator().manual_seed(sum(map(ord, attribute)) if seed is None else seed)
    factors = {
        name: Factor(
            0.2 * torch.randn(rank, linear.in_features, generator=draw),
            0.2 * torch.randn(linear.out_features, rank, generator=draw),
        )
        for name, linear in linear_modules(_drawn()).items()
        if name.endswith(targets) and name.startswith(towers)
    }
    return Delta(card(attribute, scale=scale), factors=factors)


def dense(attribute, chosen=lambda name: True, *, towers=("visual.",)):
    draw = torch.Generator().manual_seed(sum(map(ord, attribute)))
    differences = {
        name: 0.05 * torch.randn(value.shape, generator=draw)
        for name, value in _drawn().state_dict().items()
        if name.startswith(towers) and chosen(name)
    }
    return Delta(card(attribute, kind="dense", scale=1.0), differences=differences)


def loras():
    """Three deltas of different ranks, scales and modules."""
    return [
        lora("color", 2, ("q_proj", "v_proj", "out_proj", "c_fc"), scale=3.0),
        lora("shape", 3, ("q_proj", "k_proj", "out_proj", "c_proj"), scale=1.0),
        lora("size", 1, ALL, scale=2.0),
    ]


def denses():
    """Two deltas, of which one leaves the MLPs alone."""
    return [dense("color"), dense("shape", lambda name: ".mlp." not in name)]


def images(count=4, dtype=torch.float32):
    return torch.randn(count, 3, 16, 16, generator=torch.Generator().manual_seed(1)).to(dtype)


def compose(deltas, granularity="block", *, model=None, dtype=torch.float32, fill=True, **options):
    """A composition with random coefficients."""
    model = clip(dtype) if model is None else model
    composition = Composition(Basis.from_deltas(deltas, model), granularity, **options)
    if fill:
        draw = torch.Generator().manual_seed(5)
        with torch.no_grad():
            values = torch.randn(composition.coefficients.shape, generator=draw)
            composition.coefficients.copy_(0.7 * values)
    return composition


def loss_of(embedding):
    target = torch.linspace(-1, 1, embedding.shape[1], dtype=embedding.dtype)
    return (embedding - target).pow(2).sum()


def learned(composition, x):
    """Embedding and the coefficients' gradient."""
    composition.coefficients.grad = None
    embedding = composition.encode_image(x)
    loss_of(embedding).backward()
    return embedding.detach(), composition.coefficients.grad.flatten().clone()


def reference(deltas, granularity, composition, x, dtype=torch.float32):
    """The same from dense updates, one coefficient at a time, by autograd through the sum."""
    model = clip(dtype)
    leaf = composition.coefficients.detach().flatten().to(dtype).clone().requires_grad_()
    entries = composition.layout.entries
    rows = {}
    for (delta, block), value in zip(entries, leaf.unbind(), strict=True):
        rows.setdefault(delta, {})[block] = value
    state = dict(model.state_dict())
    for delta in deltas:
        row = rows[delta.card.attribute]
        if granularity == "rank":
            state = _add_by_rank(state, delta, row, dtype)
            continue
        for name, update in dense_updates(delta, dtype).items():
            field = coefficient_field(name, update.shape, granularity, row)
            state[name] = state[name] + field * update
    visual = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
    embedding = functional_call(model.visual, visual, (x.to(dtype),))
    loss_of(embedding).backward()
    return embedding.detach(), leaf.grad


def dense_updates(delta, dtype):
    updates = {name: update.to(dtype) for name, update in delta.differences.items()}
    for name, (a, b) in delta.factors.items():
        updates[f"{name}.weight"] = delta.scale(name) * (b.to(dtype) @ a.to(dtype))
    return updates


def coefficient_field(name, shape, granularity, row):
    """The coefficient of each entry of a weight, by the rules in words of `granularity`."""
    block = re.sub(r"[qkv]_proj\.(weight|bias)$", r"in_proj_\1", name)
    layer = re.match(r".*resblocks\.\d+", name)
    if granularity == "global":
        return row["all"]
    if granularity in {"layer", "module"}:
        if layer is None:
            return row["visual"]
        part = ".attention" if ".attn." in name or ".ln_1." in name else ".mlp"
        return row[layer[0] + (part if granularity == "module" else "")]
    if granularity == "projection":
        return row[name]
    if granularity.startswith("partition"):
        count = int(granularity.partition(":")[2])
        index = np.arange(int(np.prod(shape)))
        part = (uniform(0, name, index, 1)[:, 0] * count).astype(int)
        values = torch.stack([row[f"{block}.part.{k}"] for k in range(count)])
        return values[torch.from_numpy(part)].view(shape)
    if granularity == "head" and re.search(r"attn\.([qkv]_proj|out_proj\.weight)", name):
        values = torch.stack([row[f"{name}.head.{head}"] for head in range(HEADS)])
        along = shape[1] if "out_proj" in name else shape[0]
        spread = values.repeat_interleave(along // HEADS)
        return spread[None, :] if "out_proj" in name else spread.view(-1, *[1] * (len(shape) - 1))
    return row[block]


def _add_by_rank(state, delta, row, dtype):
    state = dict(state)
    for name, (a, b) in delta.factors.items():
        for j in range(len(a)):
            update = delta.scale(name) * torch.outer(b[:, j].to(dtype), a[j].to(dtype))
            weight = f"{name}.weight"
            state[weight] = state[weight] + row[f"{weight}.rank.{j}"] * update
    return state


def relative(one, other):
    return ((one - other).norm() / other.norm()).item()
