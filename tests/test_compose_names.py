"""Coefficients are found by the names of deltas and blocks, at every granularity."""

import json

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from composition import Granularity
from composition.granularity import attention_heads, fused_names
from composition.partition import part_seed, parts
from datamodules.counter_random import uniform
from datamodules.errors import InputError
from tests.compose_samples import LORA, clip, compose, dense, denses, lora, loras

CPU = torch.device("cpu")
BLOCK = "visual.transformer.resblocks.1"


def message(function, *args):
    with pytest.raises(InputError) as error:
        function(*args)
    return str(error.value)


def block_names(granularity, deltas=None):
    return compose(deltas or [lora("color")], granularity).block_names


def last(names):
    return [name.removeprefix(f"{BLOCK}.") for name in names if name.startswith(BLOCK)]


def test_blocks_have_the_names_of_what_they_hold():
    assert block_names("global") == ("all",)
    assert block_names("layer") == ("visual.transformer.resblocks.0", BLOCK)
    assert last(block_names("module")) == ["attention", "mlp"]
    assert last(block_names("block")) == [
        "attn.in_proj_weight", "attn.out_proj.weight", "mlp.c_fc.weight", "mlp.c_proj.weight",
    ]  # fmt: skip
    assert last(block_names("projection")) == [
        "attn.q_proj.weight", "attn.k_proj.weight", "attn.v_proj.weight", "attn.out_proj.weight",
        "mlp.c_fc.weight", "mlp.c_proj.weight",
    ]  # fmt: skip
    heads = last(block_names("head"))
    assert heads[:3] == ["attn.q_proj.weight.head.0", "attn.q_proj.weight.head.1", heads[2]]
    assert len(heads) == 4 * 2 + 2
    assert last(block_names("partition:2"))[:2] == [
        "attn.in_proj_weight.part.0",
        "attn.in_proj_weight.part.1",
    ]
    assert last(block_names("rank"))[:3] == [
        "attn.q_proj.weight.rank.0", "attn.q_proj.weight.rank.1", "attn.k_proj.weight.rank.0",
    ]  # fmt: skip


def test_what_lies_outside_blocks_belongs_to_its_tower():
    everything = dense("color", towers=("",))
    layers = block_names("layer", [everything])
    assert set(layers) == {
        "visual", "text", "visual.transformer.resblocks.0", BLOCK, "transformer.resblocks.0",
    }  # fmt: skip
    sites = Granularity.parse("module").sites(clip(), ["visual.proj", f"{BLOCK}.ln_2.bias"])
    assert [site.blocks for site in sites.values()] == [("visual",), (f"{BLOCK}.mlp",)]


def test_norms_before_attention_belong_to_attention_in_other_libraries_too():
    names = {
        "visual.trunk.blocks.3.norm1.weight": "visual.trunk.blocks.3.attention",
        "visual.trunk.blocks.3.attn.qkv.weight": "visual.trunk.blocks.3.attention",
        "visual.trunk.blocks.3.norm2.weight": "visual.trunk.blocks.3.mlp",
        "text.transformer.encoder.layer.0.attention.self.query.weight": (
            "text.transformer.encoder.layer.0.attention"
        ),
        "text.transformer.encoder.layer.0.output.dense.weight": (
            "text.transformer.encoder.layer.0.mlp"
        ),
    }
    sites = Granularity.parse("module").sites(clip(), names)
    assert {name: site.blocks[0] for name, site in sites.items()} == names


def test_the_shape_is_deltas_by_blocks_or_the_number_of_directions():
    shapes = {name: tuple(compose(loras(), name).coefficients.shape) for name in LORA}
    directions = 2 * (4 * 2 + 4 * 3 + 6 * 1)  # layers x (modules x rank of each delta)
    assert shapes == {
        "global": (3, 1), "layer": (3, 2), "module": (3, 4), "block": (3, 8),
        "projection": (3, 12), "head": (3, 20), "partition:3": (3, 24), "rank": (directions,),
    }  # fmt: skip


def test_heads_and_fused_tensors_are_read_off_the_model():
    model = clip()
    heads, fused = attention_heads(model), fused_names(model)
    assert heads[f"{BLOCK}.attn.k_proj.bias"] == ("rows", 2)
    assert heads[f"{BLOCK}.attn.out_proj.weight"] == ("columns", 2)
    assert f"{BLOCK}.attn.out_proj.bias" not in heads
    assert fused[f"{BLOCK}.attn.v_proj.bias"] == f"{BLOCK}.attn.in_proj_bias"
    assert f"{BLOCK}.attn.out_proj.weight" not in fused


@pytest.mark.parametrize("granularity", [*LORA, "spectral:6"])
def test_coefficients_come_back_through_names_and_json(granularity):
    composed = compose(loras(), granularity)
    before = composed.coefficients.detach().clone()
    named = json.loads(json.dumps(composed.named_coefficients()))
    composed.zero()
    assert not composed.coefficients.any()
    composed.assign({delta: dict(reversed(row.items())) for delta, row in named.items()})
    assert torch.equal(composed.coefficients, before)


def test_one_hot_uniform_and_zero_fill_the_table():
    composed = compose(loras(), "block")
    composed.one_hot("shape")
    assert composed.coefficients.tolist() == [[0.0] * 8, [1.0] * 8, [0.0] * 8]
    composed.uniform(0.25)
    assert composed.coefficients.unique().tolist() == [0.25]


def test_names_that_do_not_fit_are_listed():
    composed = compose(loras(), "layer")
    named = composed.named_coefficients()
    named["size"].pop(BLOCK)
    named["color"]["nowhere"] = 1.0
    named["taste"] = {BLOCK: 1.0}
    assert message(composed.assign, named) == (
        f"coefficients do not fit: missing 1: size / {BLOCK}; unknown 2: color / nowhere, taste / "
        f"{BLOCK}. Expected one for each of 6 pairs of delta and block: use those of equal deltas "
        "and granularity."
    )


@pytest.mark.parametrize("value", [float("nan"), float("-inf")])
def test_coefficients_that_are_not_finite_are_refused(value):
    composed = compose(loras(), "layer")
    before = composed.coefficients.detach().clone()
    named = composed.named_coefficients()
    named["shape"][BLOCK] = value
    text = (
        f"1 coefficients are NaN or infinite: shape / {BLOCK}. Expected finite numbers: if they "
        "were learned, learn them again with a smaller learning rate."
    )
    assert message(composed.assign, named) == text
    assert message(composed.uniform, value).startswith("6 coefficients are NaN or infinite")
    assert torch.equal(composed.coefficients, before)


def test_an_unknown_delta_lists_those_there_are():
    assert message(compose(loras(), "block").one_hot, "taste") == (
        "there is no delta 'taste'; the composition has color, shape, size."
    )


@pytest.mark.parametrize(
    "text", ["blocks", "", "partition", "partition:0", "partition:x", "block:2", "spectral:²"]
)
def test_an_unknown_granularity_lists_all(text):
    assert message(Granularity.parse, text) == (
        f"granularity is {text!r}, expected one of global, layer, module, block, projection, head, "
        "partition:K, rank, spectral:k (K and k: whole numbers from 1 to 1048576)."
    )


@pytest.mark.parametrize("granularity", ["rank", "spectral:4"])
def test_dense_deltas_have_no_directions(granularity):
    deltas = [lora("size"), *denses()]
    assert message(compose, deltas, granularity) == (
        f"granularity {granularity} scales low-rank directions, but 2 deltas are dense: color, "
        "shape. Choose another granularity, or LoRA deltas."
    )


@settings(deadline=None, max_examples=30)
@given(st.text(max_size=20), st.integers(1, 3000), st.integers(1, 1 << 20))
def test_parts_are_those_of_the_counted_random_numbers(name, entries, count):
    index = np.arange(entries)
    expected = np.floor(uniform(0, name, index, 1)[:, 0].astype(np.float64) * count)
    got = parts(part_seed(name), entries, count, CPU)
    assert got.numpy().tolist() == expected.astype(int).tolist()


def test_parts_are_balanced_and_unrelated_between_weights():
    entries, count = 200_000, 8
    one, other = (parts(part_seed(f"{name}.weight"), entries, count, CPU) for name in "ab")
    expected = entries / count
    for part in (one, other):
        assert (part.bincount() - expected).abs().max() < 5 * expected**0.5
    both = (one * count + other).bincount(minlength=count**2)
    assert (both - entries / count**2).abs().max() < 5 * (entries / count**2) ** 0.5
    along = (one[1:] * count + one[:-1]).bincount(minlength=count**2)
    assert (along - entries / count**2).abs().max() < 5 * (entries / count**2) ** 0.5


def test_parts_do_not_change_between_versions_or_with_the_size():
    seed = part_seed("visual.proj")
    known = parts(seed, 12, 5, CPU).tolist()
    assert known == [0, 4, 1, 0, 4, 0, 3, 0, 2, 1, 1, 4]
    assert parts(seed, 5_000_000, 5, CPU)[:12].tolist() == known
