"""Importance of coefficients against dense updates, finite differences and loops over pairs."""

import copy
import json
import re
from itertools import combinations

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.stats import spearmanr

from datamodules.errors import InputError
from interpret.adapters import Question
from interpret.coefficients import (
    KINDS,
    Importance,
    importance_figure,
    integrated_gradients,
    measure,
    output_sizes,
    stability,
    update_norms,
)
from lightning_modules.callbacks.figures import render
from tests.compose_samples import clip, compose, denses, images, loras

GRAIN = ["layer", "block", "head", "rank", "partition:2"]


def entries_at_one(composition, deltas, dtype=torch.float64):
    """{number: {weight: update}} of every coefficient that scales something, from dense models."""
    plain = {name: value.to(dtype) for name, value in clip().state_dict().items()}
    found = {}
    for number in composition.used.nonzero()[:, 0].tolist():
        with torch.no_grad():
            composition.coefficients.zero_()
            composition.coefficients.view(-1)[number] = 1
        composition.release()
        found[number] = {
            name: value - plain[name] for name, value in weights_of(composition, dtype).items()
        }
    return found


def weights_of(composition, dtype):
    """The composed weights, read off the modules: Linear ones by unit vectors."""
    composition.encode_image(images())
    weights = {}
    for part in composition.parts:
        module = part.user if hasattr(part.user, "forward") else part.user.module
        if isinstance(module, torch.nn.Linear) and part.weight.endswith("weight"):
            bias = 0 if module.bias is None else module.bias
            weights[part.weight] = (module(torch.eye(module.in_features)) - bias).T.to(dtype)
        else:
            weights[part.weight] = getattr(module, part.user.name).to(dtype)
    return weights


def question(count=4, values=3, seed=0):
    draw = torch.Generator().manual_seed(seed)
    text_VE = F.normalize(torch.randn(values, 24, generator=draw), dim=-1)
    return Question("color", ("a", "b", "c")[:values], text_VE, np.arange(count) % values)


# --- sizes ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("granularity", GRAIN)
@torch.no_grad()
def test_norms_are_those_of_dense_updates_of_one_coefficient(granularity):
    composition = compose(loras(), granularity)
    norms = update_norms(composition)
    expected = entries_at_one(composition, loras())
    assert len(expected) > 2
    for number in range(len(norms)):
        updates = expected.get(number, {}).values()
        square = sum(float(update.square().sum()) for update in updates)
        assert norms[number] == pytest.approx(square**0.5, rel=1e-4, abs=1e-5)


@torch.no_grad()
def test_norms_of_dense_deltas_are_the_differences_own():
    deltas = denses()
    composition = compose(deltas, "projection")
    norms = update_norms(composition).view(2, -1)
    for row, delta in enumerate(deltas):
        for column, block in enumerate(composition.block_names):
            own = delta.differences.get(block)
            expected = 0.0 if own is None else float(own.norm())
            assert norms[row, column] == pytest.approx(expected, rel=1e-5)


@torch.no_grad()
def test_output_sizes_are_root_mean_squares_over_the_tokens_that_modules_read():
    composition = compose(loras(), "layer")
    kept = composition.coefficients.detach().clone()
    batches = [images(3), images(4)[3:]]
    sizes = output_sizes(composition, batches)
    read = {}
    hooks = [
        part.user.register_forward_pre_hook(
            lambda _, inputs, name=part.weight: read.setdefault(name, []).append(inputs[0])
        )
        for part in composition.parts
    ]
    for batch in batches:
        composition.encode_image(batch)
    for hook in hooks:
        hook.remove()
    read = {
        name: torch.cat([x.reshape(-1, x.shape[-1]) for x in each]).double()
        for name, each in read.items()
    }
    for number, updates in entries_at_one(composition, loras()).items():
        square = sum(
            float((read[name] @ update.T).square().sum(1).mean())
            for name, update in updates.items()
        )
        assert sizes[number] == pytest.approx(square**0.5, rel=1e-4)
    with torch.no_grad():
        composition.coefficients.copy_(kept)


def test_an_update_that_no_linear_module_owns_has_no_output():
    composition = compose(denses(), "projection")
    sizes = output_sizes(composition, [images()]).view(2, -1)
    names = composition.block_names
    told = [bool(sizes[0, column].isfinite()) for column in range(len(names))]
    assert told == [bool(re.search(r"(_proj|c_fc|c_proj)\.weight$", name)) for name in names]


# --- integrated gradients -------------------------------------------------------------------------


def test_integrated_gradients_are_a_fine_sum_of_finite_differences():
    composition = compose(loras(), "global", dtype=torch.float64)
    asked, x = question(), images(dtype=torch.float64)
    target = torch.from_numpy(asked.label_N)
    text = asked.text_VE.double()

    def loss():
        return F.cross_entropy(
            5 * F.normalize(composition.encode_image(x), dim=-1) @ text.T, target
        )

    learned = composition.coefficients.detach().clone()
    found = integrated_gradients(composition, [loss], num_nodes=24)
    assert torch.equal(composition.coefficients, learned)

    def at(values):
        with torch.no_grad():
            composition.coefficients.copy_(values)
            composition.release()
            return float(loss())

    steps, small = 40, 1e-5
    expected = torch.zeros_like(learned)
    for step in range(steps):
        point = learned * (step + 0.5) / steps
        for place in range(learned.numel()):
            move = torch.zeros_like(learned)
            move.view(-1)[place] = small
            slope = (at(point + move) - at(point - move)) / (2 * small)
            expected.view(-1)[place] += slope / steps
    expected *= learned
    assert found.shares_C == pytest.approx(expected.flatten(), abs=2e-4)
    assert found.base == pytest.approx(at(learned * 0))
    assert found.learned == pytest.approx(at(learned))


def test_integrated_gradients_are_complete_and_say_how_nearly():
    composition = compose(loras(), "layer")
    asked, x = {"color": question()}, images()
    fine = measure(composition, x, asked)
    assert fine.num_nodes == 64
    change = fine.loss_learned - fine.loss_base
    assert sum(fine.scores["integrated"]) == pytest.approx(change + fine.gap)
    assert abs(fine.gap) < 1e-3 * max(1, abs(change))
    rough = measure(composition, x, asked, num_nodes=1)
    assert abs(rough.gap) > abs(fine.gap)


def test_the_loss_is_the_mean_cross_entropy_over_known_answers_and_questions():
    composition = compose(loras(), "block")
    first = question()
    partly = Question("size", ("a", "b", "c"), question(seed=1).text_VE, np.array([-1, 2, -1, 0]))
    found = measure(
        composition, images(), {"color": first, "size": partly}, num_nodes=1, batch_size=3
    )
    with torch.no_grad():
        image_NE = F.normalize(composition.encode_image(images()), dim=-1)
        logits = [clip().logit_scale.exp() * image_NE @ q.text_VE.T for q in (first, partly)]
    expected = (
        F.cross_entropy(logits[0], torch.from_numpy(first.label_N))
        + F.cross_entropy(logits[1][[1, 3]], torch.tensor([2, 0]))
    ) / 2
    assert found.loss_learned == pytest.approx(float(expected), rel=1e-5)


def test_only_coefficients_that_scale_something_are_listed_with_their_scores():
    composition = compose(loras(), "block")
    before = copy.deepcopy(composition.state_dict())
    found = measure(composition, images(), {"color": question()}, num_nodes=2)
    assert torch.equal(before["coefficients"], composition.coefficients)
    used = composition.used.tolist()
    entries = [e for e, is_used in zip(composition.layout.entries, used, strict=True) if is_used]
    assert list(found.entries) == entries
    assert len(entries) < len(used)
    sizes, norms = found.scores["size"], found.scores["norm"]
    table = composition.named_coefficients()
    assert sizes == pytest.approx([abs(table[d][b]) for d, b in entries])
    flat = update_norms(composition).tolist()
    own = [norm for norm, is_used in zip(flat, used, strict=True) if is_used]
    assert norms == pytest.approx([size * norm for size, norm in zip(sizes, own, strict=True)])
    told = json.loads(json.dumps(found.to_json(), allow_nan=False))
    assert [row["block"] for row in told["coefficients"]] == [block for _, block in entries]
    assert set(KINDS) < told["coefficients"][0].keys()
    assert len(found.lines(3)) == 6
    drawn = importance_figure(found, "norm")
    assert drawn.axes[-1].get_ylabel() == "coefficient x norm of the update"
    assert render(drawn).std() > 1


@pytest.mark.parametrize("wrong", [{"num_nodes": 0}, {"questions": {}}])
def test_a_measure_of_nothing_is_refused(wrong):
    given = {"questions": {"color": question()}} | wrong
    with pytest.raises(InputError, match=r"expected a (loss and a node|question to take)"):
        measure(compose(loras()), images(), **given)


def test_a_question_without_answers_is_refused():
    unknown = Question("color", ("a", "b", "c"), question().text_VE, np.full(4, -1))
    with pytest.raises(InputError, match="expected images whose color is known, got none"):
        measure(compose(loras()), images(), {"color": unknown})


# --- stability ------------------------------------------------------------------------------------


def maps_of(values_SC):
    entries = tuple(("color", f"block {n}") for n in range(len(values_SC[0])))
    zeros = (0.0,) * len(entries)
    return [
        Importance("block", entries, zeros, {"integrated": tuple(row)}, 1.0, 0.0, 0.0, 1, 1)
        for row in values_SC
    ]


def test_stability_is_the_mean_over_pairs_of_scipys_spearman_and_of_jaccard():
    random = np.random.default_rng(0)
    values = random.normal(size=30) + 0.5 * random.normal(size=(3, 30))
    found = stability(maps_of(values), top=5, num_resamples=100)
    sizes = np.abs(values)
    pairs = list(combinations(range(3), 2))
    spearman = np.mean([spearmanr(sizes[a], sizes[b]).statistic for a, b in pairs])
    tops = [{int(n) for n in np.argsort(-row)[:5]} for row in sizes]
    jaccards = [len(tops[a] & tops[b]) / len(tops[a] | tops[b]) for a, b in pairs]
    assert found.spearman.mean == pytest.approx(spearman)
    assert found.jaccard.mean == pytest.approx(np.mean(jaccards))
    assert (found.jaccard.low, found.jaccard.high) == (min(jaccards), max(jaccards))
    assert found.spearman.low < found.spearman.mean < found.spearman.high
    assert found.spearman.mean > found.spearman.chance
    assert [int(block.split()[1]) for _, block in found.always] == sorted(set.intersection(*tops))
    assert json.loads(json.dumps(found.to_json()))["top"] == 5


def test_equal_maps_agree_fully_and_unrelated_ones_no_more_than_chance():
    random = np.random.default_rng(1)
    same = stability(maps_of([np.arange(1, 41)] * 2), top=10, num_resamples=20)
    assert same.spearman.mean == same.jaccard.mean == 1
    other = stability(maps_of(random.normal(size=(3, 200))), top=10, num_resamples=100)
    assert other.spearman.mean < other.spearman.chance
    assert other.jaccard.mean <= other.jaccard.chance


def test_maps_of_one_seed_or_of_other_coefficients_are_refused():
    one, other = maps_of([[1, 2, 3]])[0], maps_of([[1, 2]])[0]
    for maps in ([one], [one, other]):
        with pytest.raises(InputError, match="expected importance of the same coefficients by two"):
            stability(maps)
    with pytest.raises(InputError, match=re.escape("expected the top 1 to 2 coefficients, got 3")):
        stability([one, one], top=3)
