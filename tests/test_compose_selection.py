"""Deltas under a budget: chosen by the exact gradient or a hash, and gone from the basis."""

from pathlib import Path

import numpy as np
import pytest
import torch
from torch.func import functional_call

from composition import Basis
from composition.composer import Composer
from composition.export import CompositionFacts, load_composition, save_composition
from composition.heatmap import used_coefficients
from composition.objectives import Negation, Supervised
from composition.selection import reduced
from composition.selection.selection import block_gradients
from lightning_modules.delta import save_delta
from tests import compose_samples as tiny
from tests.compose_export_samples import message
from tests.compose_runs import drawn_delta, fit, open_backbone, open_data, prepared

NAMES = ("color", "shape", "size")
CPU = torch.device("cpu")


@pytest.fixture(scope="module")
def data(world):
    return open_data(world)


def chosen_by_block(composer):
    """Block -> deltas that have a coefficient in it."""
    found = {}
    for name, row in used_coefficients(composer.composition).items():
        for block in row:
            found.setdefault(block, set()).add(name)
    return found


def dense_gradient(world, composer, data, weight_of_task):
    """dL/dc by autograd through base + c * B A, all training images of a task at once."""
    backbone = open_backbone(world)
    deltas = [drawn_delta(backbone, name) for name in NAMES]
    blocks = {}  # weight -> its block
    for weight in deltas[0].dense():
        name = weight
        for kind in ("q", "k", "v"):
            name = name.replace(f"attn.{kind}_proj.weight", "attn.in_proj_weight")
        blocks[weight] = name
    c = {(n, b): torch.zeros((), requires_grad=True) for n in NAMES for b in blocks.values()}
    state = dict(backbone.model.state_dict())
    for name, delta in zip(NAMES, deltas, strict=True):
        for weight, update in delta.dense().items():
            state[weight] = state[weight] + c[name, blocks[weight]] * update
    visual = {k.removeprefix("visual."): v for k, v in state.items() if k.startswith("visual.")}
    losses = []
    for head, task in zip(composer.task_heads, data.tasks.values(), strict=True):
        members = task.members("train")
        image = torch.from_numpy(np.ascontiguousarray(task.pixels()[members])).permute(0, 3, 1, 2)
        embedding = functional_call(backbone.model.visual, visual, (composer.pixels(image),))
        embedding = embedding / embedding.norm(dim=1, keepdim=True)
        logits = (embedding @ head.text_VD.T) * backbone.model.logit_scale.exp()
        label = torch.from_numpy(task.labels(task.attribute).label[members])
        if weight_of_task.get(head.name) == "forget":
            right = logits.softmax(1)[range(len(members)), label.int().argmax(1)]
            losses.append(2 * (right * logits.shape[1]).log().clamp(min=0).mean())
        else:
            shown = label.any(0)
            target = label[:, shown].int().argmax(1)
            losses.append(torch.nn.functional.cross_entropy(logits[:, shown], target))
    values = list(c.values())
    total = torch.stack(losses).mean() if not weight_of_task else sum(losses)
    grads = torch.autograd.grad(total, values)
    return {key: float(grad) for key, grad in zip(c, grads, strict=True)}


@pytest.mark.parametrize("forget", [None, "glyphs/shape"])
def test_gradients_are_those_through_the_dense_sum(world, data, forget):
    composer = prepared(world, data, names=NAMES)
    composer.composition.detach()
    objective = Negation([forget], dict.fromkeys(data.tasks, ())) if forget else Supervised()
    gradient_KP, column = block_gradients(composer, composer.basis, objective, "block", CPU)
    expected = dense_gradient(world, composer, data, {forget: "forget"} if forget else {})
    found = {
        (n, b): float(gradient_KP[k, p]) for k, n in enumerate(NAMES) for b, p in column.items()
    }
    assert found.keys() == expected.keys()
    largest = max(map(abs, expected.values()))
    assert largest > 1e-3
    assert found == {key: pytest.approx(each, abs=2e-4 * largest) for key, each in expected.items()}
    assert "composed_of" not in composer.backbone.model.__dict__


def test_each_block_keeps_the_deltas_of_the_largest_gradients(world, data):
    whole = prepared(world, data, names=NAMES)
    whole.composition.detach()
    size_KP, column = block_gradients(whole, whole.basis, Supervised(), "block", CPU)
    for granularity in ("block", "head", "rank"):
        composer = prepared(world, data, names=NAMES, granularity=granularity, budget=2)
        assert composer.composition.granularity == granularity
        for weight, names in composer.chosen.items():
            block = weight
            for kind in ("q", "k", "v"):
                block = block.replace(f"attn.{kind}_proj.weight", "attn.in_proj_weight")
            order = size_KP[:, column[block]].abs().argsort(descending=True)
            assert set(names) == {NAMES[k] for k in order[:2]}, (granularity, weight)


def test_a_budget_of_all_changes_nothing_bit_for_bit(world, data):
    fits = []
    for budget in (None, 3, 7):
        composer = prepared(world, data, names=NAMES, granularity="block", budget=budget)
        fit(composer, data, epochs=1)
        fits.append(composer.composition.coefficients.detach())
        assert composer.chosen == {}
    assert torch.equal(fits[0], fits[1])
    assert torch.equal(fits[0], fits[2])


def test_a_budget_of_one_learns_one_coefficient_a_block_and_saves_it(world, data, tmp_path):
    composer = prepared(world, data, names=NAMES, granularity="block", budget=1, start="sum")
    found = chosen_by_block(composer)
    assert {len(names) for names in found.values()} == {1}
    before = composer.composition.coefficients.detach().clone()
    fit(composer, data, epochs=2)
    after = composer.composition.coefficients.detach()
    used = composer.composition.used.view(after.shape)
    assert (before[used] == 1).all()
    assert (after[used] != 1).all()
    assert (after[~used] == 0).all()
    for folder, delta in (paths := {tmp_path / p: d for p, d in composer.deltas.items()}).items():
        save_delta(folder, delta)
    protocol = {"selected_on": "", "reported_on": [], "information": ""}
    facts = CompositionFacts(
        name="few", purpose="target", targets=(), protocol=protocol, objective="",
        chosen={weight: tuple(names) for weight, names in composer.chosen.items()},
    )  # fmt: skip
    save_composition(
        tmp_path / "few", composer.composition, facts, backbone=composer.backbone, deltas=paths
    )
    loaded = load_composition(tmp_path / "few", backbone=open_backbone(world))
    assert torch.equal(loaded.composition.coefficients, after)
    assert loaded.composition.partial == composer.composition.partial
    x = torch.randn(4, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        mine = composer.composition.encode_image(x)
        torch.testing.assert_close(loaded.composition.encode_image(x), mine, atol=1e-5, rtol=0)


# --- the reduced basis ----------------------------------------------------------------------------


@pytest.mark.parametrize("granularity", ["layer", "block", "head", "partition:3", "rank"])
@pytest.mark.parametrize("make", [tiny.loras, tiny.denses])
def test_the_reduced_basis_is_the_full_one_with_the_others_at_zero(make, granularity):
    if make is tiny.denses and granularity == "rank":
        pytest.skip("directions are scaled, so deltas have to be low-rank")
    deltas, x = make(), tiny.images()
    full = tiny.compose(deltas, granularity)
    names = full.delta_names
    weights = Basis.from_deltas(deltas, tiny.clip()).weights
    chosen = {weight: (names[n % len(names)],) for n, weight in enumerate(weights)}
    few = tiny.Composition(reduced(Basis.from_deltas(deltas, tiny.clip()), chosen), granularity)
    # What a weight asks for is set in both; what it has lost is taken away by hand.
    draw = torch.Generator().manual_seed(3)
    with torch.no_grad():
        few.coefficients.copy_(torch.randn(few.coefficients.shape, generator=draw))
    model = tiny.clip()
    state = model.state_dict()
    row = few.named_coefficients()
    for delta in deltas:
        for weight, update in tiny.dense_updates(delta, torch.float32).items():
            if delta.card.attribute not in chosen[weight]:
                continue
            if granularity == "rank":
                a, b = delta.factors[weight.removesuffix(".weight")]
                own = row[delta.card.attribute]
                c = torch.tensor([own[f"{weight}.rank.{j}"] for j in range(len(a))])
                state[weight].add_(delta.scale("") * (b * c) @ a)
                continue
            values = {k: torch.tensor(v) for k, v in row[delta.card.attribute].items()}
            field = tiny.coefficient_field(weight, update.shape, granularity, values)
            state[weight].add_(field * update)
    with torch.no_grad():
        assert torch.allclose(few.encode_image(x), model.encode_image(x), atol=2e-5)
    sizes = [sum(len(part.places) for part in each.parts) for each in (few, full)]
    assert sizes[0] < sizes[1]


def test_what_was_dropped_costs_nothing_and_nothing_is_copied_without_need():
    basis = Basis.from_deltas(tiny.loras(), tiny.clip())
    assert reduced(basis, {}) is basis
    every = reduced(basis, dict.fromkeys(basis.weights, basis.names))
    assert (every.names, every.partial) == (basis.names, frozenset())
    for name, stack in basis.factors.items():
        assert all(map(torch.equal, every.factors[name], stack))
    chosen = dict.fromkeys(basis.weights, ("size",))
    some = reduced(basis, chosen | {basis.weights[0]: ("color", "shape")})
    assert (some.names, some.partial) == (basis.names, set(basis.names))
    sizes = [len(stack.A_RI) for stack in some.factors.values()]
    assert sizes == [5] + [1] * (len(basis.factors) - 1)


@pytest.mark.parametrize("make", [tiny.loras, tiny.denses])
def test_a_reduced_basis_streams(make):
    found = []
    for stream in (False, True):
        basis = Basis.from_deltas(make(), tiny.clip())
        names = basis.names
        chosen = {w: (names[n % len(names)],) for n, w in enumerate(basis.weights)}
        composition = tiny.Composition(reduced(basis, chosen), stream=stream)
        composition.uniform(0.5)
        found.append(tiny.learned(composition, tiny.images()))
    for one, other in zip(*found, strict=True):
        assert tiny.relative(one, other) < 1e-5


def test_a_delta_in_parts_is_not_composed_alone():
    basis = Basis.from_deltas(tiny.loras(), tiny.clip())
    chosen = dict.fromkeys(basis.weights, ("size",)) | {basis.weights[0]: ("color", "shape")}
    composition = tiny.Composition(reduced(basis, chosen))
    assert message(composition.one_hot, "size") == (
        "size cannot be composed as trained: under a budget only some of the weights are kept. "
        "Compose again without --model.budget."
    )
    composition.sum_of(())


def test_chosen_deltas_that_do_not_fit_are_refused():
    basis = Basis.from_deltas(tiny.loras(), tiny.clip())
    assert message(reduced, basis, {basis.weights[0]: ("size", "taste")}) == (
        f"the chosen deltas do not fit: {len(basis.weights) - 1} weights are missing: "
        f"{', '.join(basis.weights[1:6])} and {len(basis.weights) - 6} more; deltas that are "
        "unknown or chosen nowhere: color, shape, taste. Expected those of every weight of the "
        "same deltas: compose again."
    )


# --- at random ------------------------------------------------------------------------------------


def test_a_random_choice_depends_on_seed_block_and_delta_not_on_order(world, data):
    def drawn(names, seed=0):
        backbone = open_backbone(world)
        seeded = open_data(world, seed=seed)
        deltas = [drawn_delta(backbone, name) for name in names]
        composer = prepared(world, seeded, deltas=deltas, budget=2, select="random",
                            granularity="block", objective="entropy")  # fmt: skip
        return {weight: set(names) for weight, names in composer.chosen.items()}

    first = drawn(NAMES)
    assert {len(names) for names in first.values()} == {2}
    assert len({tuple(sorted(names)) for names in first.values()}) > 1, "blocks differ"
    assert drawn(NAMES[::-1]) == first
    assert drawn(NAMES, seed=1) != first


# --- what is refused ------------------------------------------------------------------------------


def test_settings_that_do_not_fit_are_refused():
    assert message(Composer, budget=0) == "--model.budget is 0, expected at least 1 delta a block."
    assert message(Composer, budget=1, objective="entropy") == (
        "--model.select gradient needs labels, which --model.objective entropy does not look at. "
        "Choose --model.select random, or an objective with labels: supervised, negation."
    )
    for wrong in ({"budget": 1, "select": "random"}, {"leave_own_out": True}):
        assert message(Composer, objective="self-labels", **wrong) == (
            "--model.objective self-labels asks each task's own adapters as they were trained: "
            "leave out --model.leave_own_out and --model.budget, or choose another objective."
        )


def test_left_out_deltas_are_remembered(world):
    composer = prepared(world, open_data(world, ("color",)), names=NAMES, leave_own_out=True)
    assert composer.delta_names == ("shape", "size")
    assert composer.left_out == ["color"]
    assert list(composer.deltas) == [Path("shape"), Path("size")]
