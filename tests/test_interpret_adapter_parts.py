"""Changes part by part against plain models: exact sums, cuts by loops over heads, runs."""

import copy
import itertools
import math
import re
from dataclasses import replace

import numpy as np
import open_clip
import pytest
import torch
import torch.nn.functional as F

from datamodules.errors import InputError
from interpret.adapters import (
    CAUSES,
    Readouts,
    Sides,
    cause_shares,
    causes,
    difference,
    difference_moments,
    merged,
    parts_of,
    random_delta,
    restricted,
    run_parts,
    sites,
)
from interpret.parts import Part, score_parts
from interpret.towers import image_tower
from lightning_modules.attention import split_attention
from tests.compose_samples import HEADS, clip, dense, images, lora

LAYERS, WIDTH, HEAD = 2, 32, 16
NORMS = [(True, "separate"), (True, "shared"), (False, "separate"), (False, "shared")]


@pytest.fixture(scope="module")
def delta():
    return lora("color", 2, scale=0.6)


@pytest.fixture
def pair(delta):
    """Base and adapted model in float64."""
    after = clip(torch.float64)
    delta.apply(after)
    return clip(torch.float64), after


def x64(count=5):
    return images(count, torch.float64)


def embed(model, x):
    return F.normalize(model.encode_image(x), dim=-1)


# --- difference -----------------------------------------------------------------------------------


@pytest.mark.parametrize(("normalize", "convention"), NORMS)
@torch.no_grad()
def test_parts_sum_to_the_difference_of_two_embeddings(pair, normalize, convention):
    base, after = pair
    found = difference(Sides(after, base), x64(), normalize=normalize, convention=convention)
    ends = [model.encode_image(x64()) for model in (base, after)]
    if normalize:
        ends = [F.normalize(end, dim=-1) for end in ends]
    expected = ends[1] - ends[0]
    assert expected.norm(dim=-1).min() > 0.1
    assert (found.parts_BPE.sum(1) - expected).abs().max() < 1e-12
    assert (found.output_BE - expected).abs().max() < 1e-12


@torch.no_grad()
def test_parts_are_those_of_the_table_of_scores_in_its_order(pair):
    base, after = pair
    found = difference(Sides(after, base), x64())
    texts = torch.eye(24, dtype=torch.float64)
    tables = [
        score_parts(image_tower(model), [x64()], texts, [str(n) for n in range(24)])
        for model in pair
    ]
    assert found.parts_BPE.numpy() == pytest.approx(tables[1].values - tables[0].values, abs=1e-12)


@torch.no_grad()
def test_paired_codes_and_maps_give_changes_and_their_moments(pair):
    base, after = pair
    sides = Sides(after, base)
    maps, found = Readouts.of(sides), difference(sides, x64())
    heads = torch.einsum("blhc,lhce->blhe", found.paired_BLHC, maps.paired_LHCE)
    assert torch.allclose(heads, found.heads_BLHE, atol=1e-14)
    moments = difference_moments(sides, x64().split(2), "a change", maps=maps)
    assert moments.count == 5
    expected = found.heads_BLHE.mean(0)
    assert torch.allclose(moments.mean_of(maps.paired_LHCE), expected, atol=1e-14)
    covariance = np.cov(found.heads_BLHE[:, 1, 0].numpy().T, bias=True)
    assert moments.covariance_of(maps.paired_LHCE, 1, 0).numpy() == pytest.approx(
        covariance, abs=1e-14
    )


@torch.no_grad()
def test_an_adapter_on_and_off_is_the_same_as_two_models(pair, delta):
    base, after = pair
    attached = delta.attach(clip()).double()
    found = difference(Sides(attached), x64())
    assert torch.allclose(found.parts_BPE, difference(Sides(after, base), x64()).parts_BPE)
    assert torch.allclose(embed(attached, x64()), embed(after, x64()), atol=1e-6)


def test_a_side_without_adapter_or_base_and_other_architectures_are_refused():
    with pytest.raises(InputError, match="expected a model with adapters, or a base to compare"):
        Sides(clip())
    vision = {"image_size": 16, "layers": 2, "width": 48, "head_width": 16, "patch_size": 8}
    text = {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1}
    other = split_attention(open_clip.model.CLIP(24, vision, text).eval())
    with pytest.raises(InputError, match="base and an adapted model of one architecture"):
        Readouts.of(Sides(other, clip()))


# --- causes ---------------------------------------------------------------------------------------


@pytest.mark.parametrize(("normalize", "convention"), NORMS)
@torch.no_grad()
def test_causes_sum_to_the_change_and_their_signed_shares_to_one(pair, normalize, convention):
    base, after = pair
    sides = Sides(after, base)
    found = causes(sides, x64(), normalize=normalize, convention=convention)
    change = difference(sides, x64(), normalize=normalize, convention=convention).heads_BLHE
    assert (found.share_KBLHE.sum(0) - change).abs().max() < 1e-12
    assert (found.change_BLHE - change).abs().max() < 1e-12
    assert found.share_KBLHE[CAUSES.index("upstream"), :, 0].abs().max() == 0


@torch.no_grad()
def test_causes_are_the_mean_over_all_orders_of_what_each_adds(pair):
    """Written again for one head: a forward by hand, with each cause from one of the two models."""
    base, after = pair
    layer, head, x = 1, 1, x64(3)
    read, final = [], []
    for model in pair:
        blocks = model.visual.transformer.resblocks
        kept = {}
        blocks[layer].ln_1.register_forward_hook(lambda _, __, out, kept=kept: kept.update(x=out))
        blocks[-1].register_forward_hook(lambda _, __, out, kept=kept: kept.update(end=out))
        length = model.encode_image(x).norm(dim=-1)
        end = kept["end"][:, 0]
        deviation = (end.var(dim=-1, unbiased=False) + model.visual.ln_post.eps).sqrt()
        read.append(kept["x"])
        final.append(1 / (deviation * length))

    def worth(ov, qk, upstream, norm):
        models = [pair[n].visual.transformer.resblocks[layer].attn for n in (ov, qk)]
        tokens = read[upstream]
        own = slice(head * HEAD, (head + 1) * HEAD)
        q = models[1].q_proj(tokens)[:, 0, own]
        k, v = models[1].k_proj(tokens)[..., own], models[0].v_proj(tokens)[..., own]
        weights = torch.softmax(torch.einsum("bw,bsw->bs", q, k) / HEAD**0.5, dim=-1)
        value = torch.einsum("bs,bsw->bw", weights, v)
        out = value @ models[0].out_proj.weight[:, own].T
        out = (out - out.mean(-1, keepdim=True)) * final[norm][:, None]
        return out * base.visual.ln_post.weight @ base.visual.proj

    expected = torch.zeros(4, 3, 24, dtype=torch.float64)
    for order in itertools.permutations(range(4)):
        choice = [0, 0, 0, 0]
        for cause in order:
            before = worth(*choice)
            choice[cause] = 1
            expected[cause] += (worth(*choice) - before) / math.factorial(4)
    found = causes(Sides(after, base), x).share_KBLHE[:, :, layer, head]
    assert torch.allclose(found, expected, atol=1e-13)
    assert found.norm(dim=-1).min() > 1e-4


@torch.no_grad()
def test_cause_shares_add_up_over_batches_and_to_one(pair):
    base, after = pair
    sides = Sides(after, base)
    found = cause_shares(sides, x64(5).split(2))
    whole = causes(sides, x64(5))
    product = (whole.share_KBLHE * whole.change_BLHE).sum((1, 4))
    assert torch.allclose(found.signed_KLH, product / whole.change_BLHE.square().sum((0, 3)))
    assert torch.allclose(found.signed_KLH.sum(0), torch.ones(LAYERS, HEADS, dtype=torch.float64))
    told = found.to_json()
    assert told["qk"]["signed"][1][0] == pytest.approx(float(found.signed_KLH[1, 1, 0]))
    assert told["ov"]["size"][0][1] == pytest.approx(float(found.size_KLH[0, 0, 1]))


@pytest.mark.parametrize(
    ("targets", "cause", "layer"),
    [
        (("out_proj", "v_proj"), "ov", 0),
        (("q_proj", "k_proj"), "qk", 0),
        (("c_fc",), "upstream", 1),
    ],
)
@torch.no_grad()
def test_what_alone_is_changed_is_the_cause_but_for_the_norm(targets, cause, layer):
    model = clip(torch.float64)
    lora("color", 2, targets, scale=0.6).apply(model)
    found = cause_shares(Sides(model, clip(torch.float64)), [x64()]).size_KLH[:, layer]
    for number, name in enumerate(CAUSES):
        if name in {cause, "norm"}:
            assert found[number].min() > 1e-3
        elif name != "upstream" or layer == 0:
            assert found[number].max() < 1e-12


def test_causes_of_other_towers_are_refused(pair):
    base, after = pair
    changed = copy.deepcopy(after)
    changed.visual.ln_post.weight.data.mul_(2)
    with pytest.raises(InputError, match="expected models that differ in their blocks"):
        causes(Sides(changed, base), x64())
    vision = {"image_size": 16, "layers": 1, "width": 32, "head_width": 16, "patch_size": 8}
    text = {"context_length": 12, "vocab_size": 50, "width": 32, "heads": 2, "layers": 1}
    fused = open_clip.model.CLIP(24, vision, text).eval()
    with pytest.raises(InputError, match="of open_clip with split attention, got vision trans"):
        causes(Sides(fused, copy.deepcopy(fused)), images())


# --- cut by heads ---------------------------------------------------------------------------------


def cut_by_hand(delta, keep):
    """Dense updates in which every row and column of a part that is not kept is zero."""
    updates = {}
    for name, update in delta.dense().items():
        update, layer = update.clone(), int(re.search(r"resblocks\.(\d)", name)[1])
        if ".mlp." in name and Part("mlp", layer) not in keep:
            update[:] = 0
        for head in range(HEADS):
            own = slice(head * HEAD, (head + 1) * HEAD)
            if ".attn." in name and Part("head", layer, head) not in keep:
                update[:, own] = 0 if "out_proj" in name else update[:, own]
                update[own] = update[own] if "out_proj" in name else 0
        updates[f"{name}"] = update
    return updates


@pytest.mark.parametrize(
    "keep",
    [
        {Part("head", 0, 1)},
        {Part("mlp", 1)},
        {Part("head", 1, 0), Part("head", 0, 0), Part("mlp", 0)},
        set(),
    ],
)
def test_a_restricted_delta_has_the_rows_and_columns_of_its_parts_alone(delta, keep):
    found = restricted(delta, sites(clip(), delta), keep)
    dense_found, expected = found.dense(), cut_by_hand(delta, keep)
    for name, update in expected.items():
        own = dense_found.get(name, torch.zeros_like(update))
        assert torch.allclose(own, update, atol=1e-7)


def test_the_parts_of_a_delta_are_its_heads_and_mlps_and_sum_to_it(delta):
    found = sites(clip(), delta)
    parts = parts_of(found)
    heads = [Part("head", layer, head) for layer in range(LAYERS) for head in range(HEADS)]
    assert parts == (*heads, Part("mlp", 0), Part("mlp", 1))
    total = {name: torch.zeros_like(update) for name, update in delta.dense().items()}
    for part in parts:
        for name, update in restricted(delta, found, {part}).dense().items():
            total[name] += update
    for name, update in delta.dense().items():
        assert torch.allclose(total[name], update, atol=1e-6)


def test_a_merged_delta_is_taken_off_bit_for_bit_also_after_an_error(delta):
    model = clip()
    before = {name: value.clone() for name, value in model.state_dict().items()}

    def fail():
        with merged(model, delta):
            expected = clip()
            delta.apply(expected)
            assert torch.equal(model.encode_image(images()), expected.encode_image(images()))
            raise RuntimeError("stop")

    with pytest.raises(RuntimeError, match="stop"):
        fail()
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


def test_deltas_that_heads_do_not_divide_are_refused(delta):
    both = lora("color", 2, towers=("visual.", "transformer."))
    with pytest.raises(
        InputError, match=r"got 6 elsewhere: transformer\.resblocks\.0\.attn\.q_proj"
    ):
        sites(clip(), both)
    with pytest.raises(
        InputError, match=r"expected a LoRA delta to restrict to heads, got 'shape'"
    ):
        sites(clip(), dense("shape"))


# --- runs -----------------------------------------------------------------------------------------


@torch.no_grad()
def test_runs_are_those_of_models_with_cut_weights(delta):
    model, ticks = clip(), []
    before = {name: value.clone() for name, value in model.state_dict().items()}
    runs = run_parts(model, delta, images(6).split(4), ticks.append)
    assert len(ticks) == 2 * (2 * len(runs.parts) + 2)
    base = embed(clip(), images(6))
    for number, part in enumerate(runs.parts):
        others = set(runs.parts) - {part}
        for keep, found in (({part}, runs.keep_PNE), (others, runs.revert_PNE)):
            other = clip()
            for name, update in cut_by_hand(delta, keep).items():
                other.state_dict()[name].add_(update)
            expected = embed(other, images(6))
            assert torch.allclose(found[number], expected, atol=1e-5)
            assert (expected - base).norm(dim=-1).max() > 1e-3
    assert torch.allclose(runs.base_NE, base, atol=1e-6)
    whole = clip()
    delta.apply(whole)
    assert torch.allclose(runs.adapted_NE, embed(whole, images(6)), atol=1e-6)
    for name, value in model.state_dict().items():
        assert torch.equal(value, before[name])


@torch.no_grad()
def test_direct_effects_are_the_parts_own_change_along_the_whole_one(delta):
    model = clip(torch.float64)
    runs = run_parts(model, delta, x64(6).split(4))
    found = sites(model, delta)
    places = {part: number for number, part in enumerate(runs.parts)}
    order = list(places)  # as in the table: heads, then MLPs
    for part in places:
        other = clip(torch.float64)
        restricted(delta, found, {part}).apply(other)
        change = difference(Sides(other, model), x64(6))
        own = change.parts_BPE[:, order.index(part)]
        total = change.output_BE
        expected = float((own * total).sum() / total.square().sum())
        assert float(runs.direct_P[places[part]]) == pytest.approx(expected, rel=1e-9)


def test_runs_of_a_wrapped_model_are_refused(delta):
    with pytest.raises(
        InputError, match="with a vision transformer, without adapters, got PeftModel"
    ):
        run_parts(delta.attach(clip()), delta, [images()])


# --- deltas at random -----------------------------------------------------------------------------


def test_a_random_delta_has_the_singular_values_of_each_module_and_follows_its_seed(delta):
    first, again, other = (random_delta(delta, clip(), seed) for seed in (0, 0, 1))
    for name, update in delta.dense().items():
        expected = torch.linalg.svdvals(update)
        assert torch.allclose(torch.linalg.svdvals(first.dense()[name]), expected, atol=1e-4)
        assert torch.equal(first.dense()[name], again.dense()[name])
        cosine = F.cosine_similarity(first.dense()[name].flatten(), update.flatten(), dim=0)
        assert abs(float(cosine)) < 0.5
        assert not torch.allclose(first.dense()[name], other.dense()[name])
    assert replace(first.card, scale=0.6) == delta.card
