"""What is exported is the composition itself: by PEFT's, open_clip's and NumPy's own account."""

from pathlib import Path

import numpy as np
import open_clip
import peft
import pytest
import torch

from composition.export import composed_delta, recompress
from lightning_modules.delta import Factor, check_delta, merged_state_dict
from lightning_modules.delta.peft_folder import read_peft
from lightning_modules.lora import LoraSettings
from tests import compose_export_samples as samples
from tests.compose_export_samples import message

GRANULARITIES = (
    "global", "layer", "module", "block", "projection", "head", "rank", "spectral:4",
)  # fmt: skip
VISION_BLOCK = "visual.transformer.resblocks.1"


@pytest.fixture(autouse=True)
def tiny(monkeypatch):
    samples.register(monkeypatch)


@pytest.fixture
def backbone():
    return samples.tiny_backbone()


@pytest.mark.parametrize("granularity", GRANULARITIES)
def test_plain_peft_opens_a_composition_with_the_same_embeddings(backbone, tmp_path, granularity):
    base = samples.embed(backbone.model)
    deltas = samples.two_deltas(backbone)
    composition = samples.compose(backbone, deltas, granularity)
    expected = samples.embed(composition)
    folder, card = samples.save(tmp_path, backbone, deltas, composition)
    fresh = samples.tiny_backbone()
    opened = peft.PeftModel.from_pretrained(fresh.model, folder).eval()
    assert torch.allclose(samples.embed(opened), expected, atol=1e-5)
    moved = (expected - base).abs().amax(dim=1)
    assert moved.min() > 0.01, "images and texts must move"
    assert card.adapter.form == "exact"
    layers = {n: m for n, m in opened.named_modules() if hasattr(m, "lora_A")}
    assert all(layer.scaling["default"] == 1 for layer in layers.values())
    assert {
        name.removeprefix("base_model.model."): layer.r["default"] for name, layer in layers.items()
    } == card.adapter.ranks


def test_global_coefficients_agree_with_peft_s_own_concatenation(backbone, tmp_path):
    settings = LoraSettings(r=2, lora_alpha=4), LoraSettings(r=3, lora_alpha=3)
    deltas = [
        samples.lora(backbone, n, s, i)
        for i, (n, s) in enumerate(zip(("color", "shape"), settings, strict=True))
    ]
    composition = samples.compose(backbone, deltas, "global")
    weights = [composition.named_coefficients()[name]["all"] for name in ("color", "shape")]
    folder, _ = samples.save(tmp_path, backbone, deltas, composition)
    theirs = samples.tiny_backbone().model
    for delta in deltas:
        theirs = delta.attach(theirs)
    theirs.add_weighted_adapter(["color", "shape"], weights, "sum", combination_type="cat")
    theirs.set_adapter("sum")
    ours = peft.PeftModel.from_pretrained(samples.tiny_backbone().model, folder).eval()
    assert torch.allclose(samples.embed(ours), samples.embed(theirs.eval()), atol=1e-5)
    for name in deltas[0].factors:
        path = f"base_model.model.{name}"
        got = ours.get_submodule(path).get_delta_weight("default")
        expected = theirs.get_submodule(path).get_delta_weight("sum")
        assert torch.allclose(got, expected, atol=1e-6)


@pytest.mark.parametrize("granularity", ["block", "head", "partition:3"])
@pytest.mark.parametrize("with_dense", [False, True])
def test_the_merged_model_is_the_composition_in_plain_open_clip(
    backbone, tmp_path, granularity, with_dense
):
    deltas = samples.two_deltas(backbone)
    deltas += [samples.dense(backbone, "texture", 5)] * with_dense
    composition = samples.compose(backbone, deltas, granularity)
    expected = samples.embed(composition)
    folder, card = samples.save(tmp_path, backbone, deltas, composition, merged=True)
    plain = open_clip.create_model(f"local-dir:{folder / 'open_clip'}").eval()
    assert torch.allclose(samples.embed(plain), expected, atol=1e-5)
    assert card.merged
    delta = composed_delta(composition, card.delta_card())
    assert delta.card.kind == ("lora" if card.adapter.form == "exact" else "dense")
    strict = open_clip.model.CLIP(**samples.CONFIG).eval()
    strict.load_state_dict(merged_state_dict(backbone.model, delta.dense()), strict=True)
    assert torch.allclose(samples.embed(strict), expected, atol=1e-5)


@pytest.mark.parametrize("granularity", ["head", "partition:2"])
def test_a_composed_delta_is_a_delta_like_any_other(backbone, granularity):
    deltas = samples.two_deltas(backbone)
    composition = samples.compose(backbone, deltas, granularity)
    expected = samples.embed(composition)
    delta = composed_delta(composition, deltas[0].card)
    check_delta(delta, backbone)
    composition.detach()
    again = composed_delta(composition, deltas[0].card)
    updates = delta.dense()
    assert again.dense().keys() == updates.keys()
    assert all(torch.equal(value, updates[name]) for name, value in again.dense().items())
    if delta.card.kind == "lora":
        attached = delta.attach(samples.tiny_backbone().model)
        assert torch.allclose(samples.embed(attached), expected, atol=1e-5)
    delta.apply(backbone.model)
    assert torch.allclose(samples.embed(backbone.model), expected, atol=1e-5)
    assert delta.card.scale == 1.0
    assert delta.card.protocol["towers"] == "both"


def test_towers_are_those_that_change(backbone):
    deltas = samples.two_deltas(backbone)
    composition = samples.compose(backbone, deltas, "global")
    composition.one_hot("shape")
    delta = composed_delta(composition, deltas[0].card)
    assert delta.card.protocol["towers"] == "vision"
    assert delta.factors.keys() == deltas[1].factors.keys()


def test_directions_without_a_coefficient_are_left_out(backbone, tmp_path):
    deltas = samples.two_deltas(backbone)
    composition = samples.compose(backbone, deltas, "projection")
    named = composition.named_coefficients()
    named["shape"][f"{VISION_BLOCK}.mlp.c_fc.weight"] = 0.0  # the only delta there
    named["color"][f"{VISION_BLOCK}.attn.q_proj.weight"] = 0.0  # shape's rank of 3 stays
    composition.assign(named)
    expected = samples.embed(composition)
    folder, card = samples.save(tmp_path, backbone, deltas, composition)
    ranks = card.adapter.ranks
    assert f"{VISION_BLOCK}.mlp.c_fc" not in ranks
    assert ranks[f"{VISION_BLOCK}.attn.q_proj"] == 3
    assert ranks[f"{VISION_BLOCK}.attn.k_proj"] == 2
    opened = peft.PeftModel.from_pretrained(samples.tiny_backbone().model, folder).eval()
    assert torch.allclose(samples.embed(opened), expected, atol=1e-5)


def test_a_composition_of_nothing_is_an_adapter_that_does_nothing(backbone, tmp_path):
    deltas = samples.two_deltas(backbone)
    composition = samples.compose(backbone, deltas, "block")
    composition.zero()
    folder, card = samples.save(tmp_path, backbone, deltas, composition)
    fresh = samples.tiny_backbone()
    base = samples.embed(fresh.model)
    opened = peft.PeftModel.from_pretrained(fresh.model, folder).eval()
    assert torch.equal(samples.embed(opened), base)
    assert list(card.adapter.ranks.values()) == [1]


def random_factors(*shapes, seed=0):
    draw = torch.Generator().manual_seed(seed)
    return {
        f"m{number}": Factor(
            torch.randn(rank, inputs, generator=draw), torch.randn(outputs, rank, generator=draw)
        )
        for number, (outputs, rank, inputs) in enumerate(shapes)
    }


def dense_of(factor):
    return factor.B.double().numpy() @ factor.A.double().numpy()


SHAPES = ((12, 5, 20), (20, 9, 6), (8, 4, 8))


@pytest.mark.parametrize("rank", [1, 3, 4])
def test_the_error_of_a_rank_is_that_of_numpy_s_dense_decomposition(rank):
    factors = random_factors(*SHAPES)
    small = recompress(factors, rank=rank)
    lost = whole = 0.0
    for name, factor in factors.items():
        update = dense_of(factor)
        energies = np.linalg.svd(update, compute_uv=False) ** 2
        expected = np.sqrt(energies[rank:].sum() / energies.sum())
        measured = np.linalg.norm(dense_of(small.factors[name]) - update) / np.linalg.norm(update)
        assert len(small.factors[name].A) == rank
        assert small.errors[name] == pytest.approx(expected, abs=1e-7)
        assert measured == pytest.approx(expected, abs=1e-6)
        lost, whole = lost + energies[rank:].sum(), whole + energies.sum()
    assert small.error == pytest.approx(np.sqrt(lost / whole), abs=1e-7)


@pytest.mark.parametrize("energy", [0.5, 0.9])
def test_an_energy_keeps_the_lowest_rank_that_has_it(energy):
    factors = random_factors(*SHAPES)
    small = recompress(factors, energy=energy)
    for name, factor in factors.items():
        energies = np.linalg.svd(dense_of(factor), compute_uv=False) ** 2
        shares = energies.cumsum() / energies.sum()
        rank = len(small.factors[name].A)
        assert shares[rank - 1] >= energy
        assert rank == 1 or shares[rank - 2] < energy


def test_directions_that_repeat_cost_no_rank():
    (factor,) = random_factors((12, 2, 20)).values()
    twice = Factor(torch.cat([factor.A, factor.A]), torch.cat([factor.B, 2 * factor.B], dim=1))
    for options in ({"rank": 4}, {"energy": 1.0}):
        small = recompress({"m": twice}, **options)
        assert len(small.factors["m"].A) == 2
        assert small.error < 1e-7
        assert np.allclose(dense_of(small.factors["m"]), 3 * dense_of(factor), atol=1e-5)


def test_no_dense_update_is_made():
    wide = {"m": Factor(torch.ones(1, 300_000), torch.ones(300_000, 1))}  # dense: 720 GB
    small = recompress(wide, rank=1)
    assert small.error == 0.0
    assert torch.allclose(small.factors["m"].B * small.factors["m"].A[0, 0], torch.ones(()))


@pytest.mark.parametrize(
    ("options", "text"),
    [
        ({}, "rank is None and energy is None, expected exactly one of the two: a rank, or a share "
         "of the energy to keep."),
        ({"rank": 2, "energy": 0.5}, "rank is 2 and energy is 0.5, expected exactly one of the "
         "two: a rank, or a share of the energy to keep."),
        ({"rank": 0}, "rank is 0, expected at least 1."),
        ({"energy": 1.5}, "energy is 1.5, expected a share in (0, 1]."),
        ({"energy": float("nan")}, "energy is nan, expected a share in (0, 1]."),
    ],
)  # fmt: skip
def test_ranks_and_energies_out_of_range_are_refused(options, text):
    assert message(recompress, random_factors((4, 2, 4)), **options) == text


def test_a_truncated_adapter_says_how_far_it_is(backbone, tmp_path):
    deltas = samples.two_deltas(backbone)
    composition = samples.compose(backbone, deltas, "block")
    whole = composed_delta(composition, deltas[0].card)
    folder, card = samples.save(tmp_path, backbone, deltas, composition, rank=2, merged=True)
    factors, scales = read_peft(folder)
    assert set(scales.values()) == {1.0}
    assert {len(factor.A) for factor in factors.values()} == {2}
    gaps = {n: dense_of(f) - dense_of(whole.factors[n]) for n, f in factors.items()}
    norms = {name: np.linalg.norm(dense_of(factor)) for name, factor in whole.factors.items()}
    measured = np.linalg.norm([np.linalg.norm(gap) for gap in gaps.values()])
    assert card.adapter.form == "truncated"
    assert card.adapter.error == pytest.approx(measured / np.linalg.norm(list(norms.values())))
    name = f"{VISION_BLOCK}.attn.q_proj"
    assert card.adapter.errors[name] == pytest.approx(np.linalg.norm(gaps[name]) / norms[name])
    assert 0.05 < card.adapter.error < 0.9
    plain = open_clip.create_model(f"local-dir:{folder / 'open_clip'}").eval()
    assert torch.allclose(samples.embed(plain), samples.embed(composition), atol=1e-5)


@pytest.mark.parametrize("granularity", ["partition:2", "block"])
def test_where_there_is_no_low_rank_none_is_written(backbone, tmp_path, granularity):
    deltas = [*samples.two_deltas(backbone), samples.dense(backbone, "texture", 5)]
    composition = samples.compose(backbone, deltas, granularity)
    folder, card = samples.save(tmp_path, backbone, deltas, composition)
    files = sorted(path.name for path in Path(folder).iterdir())
    assert files == ["README.md", "coefficients.safetensors", "composition.json"]
    notes = {
        "partition:2": "granularity partition:2 scales the entries of a weight one by one",
        "block": "4 weights have dense deltas: visual.proj, visual.ln_pre.weight, "
        f"{VISION_BLOCK}.attn.q_proj.weight, {VISION_BLOCK}.attn.q_proj.bias",
    }
    note = notes[granularity]
    assert (card.adapter.form, card.adapter.note) == ("none", note)
    assert f"There is no adapter: {note}." in (folder / "README.md").read_text()
    assert message(samples.save, tmp_path, backbone, deltas, composition, rank=2) == (
        f"expected a composition of low rank to truncate, but {note}. Leave out rank and energy; "
        "the merged model holds the whole composition."
    )
