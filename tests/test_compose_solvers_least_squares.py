"""Closed-form coefficients solve the least-squares problem that they claim to solve."""

from dataclasses import replace

import numpy as np
import pytest
import torch

from composition import Basis, Composition
from composition.solvers.least_squares import least_squares
from composition.solvers.moments import delta_moments, input_moments
from datamodules.errors import InputError
from tests.compose_samples import clip, coefficient_field, dense, denses, images, lora, loras
from tests.test_compose_solvers_gram import inputs_of, matrices

WHOLE = ("global", "layer", "module", "block", "projection")
DELTAS = {"low-rank": loras, "dense": denses}


def exact(deltas):
    """A basis in float64."""
    return Basis.from_deltas(deltas, clip(torch.float64))


def batch(task, count=5):
    """Images of a task: some channels are brighter than others."""
    draw = torch.Generator().manual_seed(20 + task)
    shift = 2 * torch.randn(3, 1, 1, generator=draw)
    return (torch.randn(count, 3, 16, 16, generator=draw) + shift).double()


def moments_of(basis, names=None):
    encode = basis.model.encode_image
    names = basis.names if names is None else names
    return {name: input_moments(basis, encode, [batch(t)]) for t, name in enumerate(names)}


def rows(basis, deltas, weight, targets):
    """Design (rows, K) and right-hand side of one weight: all its outputs on all tasks' inputs."""
    dense = matrices(deltas, weight)
    design, wanted = [], []
    for task, (name, number) in enumerate(targets.items()):
        if weight.endswith(".weight") and weight.removesuffix(".weight") in linears(basis):
            x = inputs_of(basis.model, weight, batch(task))
            changes = [x @ update.T / np.sqrt(len(x)) for update in dense]
        else:
            changes = dense
        columns = np.stack([each.ravel() for each in changes], axis=1)
        design.append(columns)
        wanted.append(number * columns[:, basis.names.index(name)])
    return np.concatenate(design), np.concatenate(wanted)


def linears(basis):
    return {n for n, m in basis.model.named_modules() if isinstance(m, torch.nn.Linear)}


def solved_by_numpy(basis, deltas, granularity, targets):
    """{delta: {block: number}} from one dense least-squares problem for each block."""
    parts = {}
    for weight in basis.weights:
        block = coefficient_field(weight, (), granularity, Names())
        parts.setdefault(block, []).append(rows(basis, deltas, weight, targets))
    named = {name: {} for name in basis.names}
    for block, found in parts.items():
        design, wanted = (np.concatenate(each) for each in zip(*found, strict=True))
        solution = np.linalg.lstsq(design, wanted, rcond=1e-10)[0]
        for name, value in zip(basis.names, solution, strict=True):
            named[name][block] = value
    return named


class Names(dict):
    """Stands in for a row of coefficients: each block is its own name."""

    def __missing__(self, block):
        return block


def assert_close(named, expected, bound=1e-8):
    assert named.keys() == expected.keys()
    for name, row in expected.items():
        assert named[name].keys() == row.keys()
        for block, value in row.items():
            assert named[name][block] == pytest.approx(value, abs=bound), (name, block)


@pytest.mark.parametrize("kind", DELTAS)
@pytest.mark.parametrize("granularity", WHOLE)
def test_the_solution_is_that_of_dense_least_squares(kind, granularity):
    deltas = DELTAS[kind]()
    basis = exact(deltas)
    targets = dict.fromkeys(basis.names, 1.0)
    found = least_squares(basis, granularity, moments=moments_of(basis))
    expected = solved_by_numpy(basis, deltas, granularity, targets)
    assert_close(found.coefficients, expected)
    spread = [value for row in found.coefficients.values() for value in row.values()]
    assert max(spread) - min(spread) > 5e-4, "a problem whose solution is no constant"


def test_one_target_may_be_undone_while_another_holds_and_a_third_helps():
    deltas, targets = loras(), {"shape": 1.0, "color": -1.0}
    basis = exact(deltas)
    moments = moments_of(basis, targets)
    found = least_squares(basis, "projection", moments=moments, targets=targets)
    assert_close(found.coefficients, solved_by_numpy(basis, deltas, "projection", targets))
    assert (
        least_squares(basis, "global", moments=moments, targets=targets).coefficients["color"][
            "all"
        ]
        < -0.1
    )


def test_errors_are_those_of_the_outputs_and_stand_in_their_order():
    deltas = loras()
    basis = exact(deltas)
    targets = dict.fromkeys(basis.names, 1.0)
    found = least_squares(basis, "projection", moments=moments_of(basis))
    everything = [rows(basis, deltas, weight, targets) for weight in basis.weights]
    uniform = np.linalg.lstsq(
        np.concatenate([design.sum(1) for design, _ in everything])[:, None],
        np.concatenate([wanted for _, wanted in everything]),
        rcond=None,
    )[0].item()
    assert found.uniform == pytest.approx(uniform, abs=1e-9)
    for block, (design, wanted) in zip(found.blocks, everything, strict=True):
        c = np.array([found.coefficients[name][block.block] for name in basis.names])
        ones = np.ones(3)
        for value, at in [
            (block.zero, 0 * ones), (block.one, ones), (block.uniform, uniform * ones),
            (block.solved, c),
        ]:  # fmt: skip
            assert value == pytest.approx(((design @ at - wanted) ** 2).sum(), rel=1e-8)
        assert block.floor <= block.solved <= min(block.zero, block.one, block.uniform)
    total = found.total
    assert total.solved == pytest.approx(sum(block.solved for block in found.blocks))
    assert total.gain == pytest.approx((total.one - total.solved) / total.zero)
    assert total.gap == pytest.approx((total.solved - total.floor) / total.zero)


@pytest.mark.parametrize("kind", DELTAS)
def test_the_floor_is_what_the_best_update_of_the_same_directions_leaves(kind):
    deltas = DELTAS[kind]()
    basis = exact(deltas)
    found = least_squares(basis, "projection", moments=moments_of(basis))
    checked = 0
    for block in found.blocks:
        weight = block.block
        dense = matrices(deltas, weight)
        if weight.removesuffix(".weight") not in linears(basis):
            mean = sum(dense) / len(dense)
            left = sum(((update - mean) ** 2).sum() for update in dense)
            assert block.floor == pytest.approx(left)
            continue
        stack = basis.factors.get(weight.removesuffix(".weight"))
        inputs = [inputs_of(basis.model, weight, batch(t)) for t in range(len(deltas))]
        inputs = [x / np.sqrt(len(x)) for x in inputs]
        design = np.concatenate(inputs)
        if stack is not None:
            design = design @ stack.A_RI.double().numpy().T
        wanted = np.concatenate([x @ d.T for x, d in zip(inputs, dense, strict=True)])
        left = wanted - design @ np.linalg.lstsq(design, wanted, rcond=1e-12)[0]
        assert block.floor == pytest.approx((left**2).sum(), rel=1e-4, abs=1e-9 * block.zero)
        checked += 1
    assert checked >= 12
    assert found.total.floor < 0.9 * found.total.solved


def test_deltas_that_read_different_inputs_keep_coefficient_one_and_no_error():
    near, far = (lora(name, 2, ("q_proj",), seed=3) for name in ("color", "shape"))
    for factor in near.factors.values():
        factor.A[:, 16:] = 0
    for factor in far.factors.values():
        factor.A[:, :16] = 0
    basis = exact([near, far])
    moments = {}
    for name, half in (("color", slice(0, 16)), ("shape", slice(16, 32))):
        x = torch.zeros(50, 32, dtype=torch.float64)
        x[:, half] = torch.randn(50, 16, generator=torch.Generator().manual_seed(2)).double()
        moments[name] = {
            f"{module}.weight": (x @ each.A_RI.T.double()).T @ (x @ each.A_RI.T.double())
            for module, each in basis.factors.items()
        }
    for given in (moments, delta_moments(basis)):
        found = least_squares(basis, "block", moments=given)
        assert_close(found.coefficients, {name: dict.fromkeys(row, 1.0) for name, row in
                                          found.coefficients.items()}, 1e-9)  # fmt: skip
        assert found.total.solved < 1e-9 * found.total.zero
        assert found.total.one < 1e-9 * found.total.zero


@pytest.mark.parametrize("shared", ["images", "nothing"])
def test_equal_inputs_of_all_tasks_give_every_delta_one_part_in_three(shared):
    basis = exact([lora("color"), lora("shape"), lora("size")])
    given = input_moments(basis, basis.model.encode_image, [batch(0)])
    given = given if shared == "images" else None
    found = least_squares(basis, "layer", moments=dict.fromkeys(basis.names, given))
    thirds = {name: dict.fromkeys(row, 1 / 3) for name, row in found.coefficients.items()}
    assert_close(found.coefficients, thirds, 1e-9)
    assert found.uniform == pytest.approx(1 / 3)
    assert found.total.floor == pytest.approx(found.total.solved, rel=1e-6)


@pytest.mark.parametrize("without_data", [True, False])
def test_the_order_of_deltas_does_not_matter(without_data):
    deltas = loras()
    one, other = exact(deltas), exact([deltas[2], deltas[0], deltas[1]])
    found = []
    for basis in (one, other):
        moments = delta_moments(basis) if without_data else moments_of(basis, one.names)
        found.append(least_squares(basis, "module", moments=moments))
    assert_close(found[1].coefficients, {n: found[0].coefficients[n] for n in other.names}, 1e-10)
    assert found[0].total.floor == pytest.approx(found[1].total.floor, rel=1e-9)


@pytest.mark.parametrize("ridge", [0.0, 0.3])
def test_scaling_a_delta_scales_its_coefficient_inversely(ridge):
    deltas = loras()
    larger = replace(deltas[1], card=replace(deltas[1].card, scale=5 * deltas[1].card.scale))
    one, other = exact(deltas), exact([deltas[0], larger, deltas[2]])
    targets = {"color": 1.0, "shape": 1.0}
    first = least_squares(
        one, "block", moments=moments_of(one, targets), targets=targets, ridge=ridge
    )
    second = least_squares(
        other, "block", moments=moments_of(other, targets), targets=targets | {"shape": 0.2},
        ridge=ridge,
    )  # fmt: skip
    expected = dict(first.coefficients)
    expected["shape"] = {block: value / 5 for block, value in expected["shape"].items()}
    assert_close(second.coefficients, expected, 1e-9)


def test_a_ridge_pulls_to_the_base_and_an_endless_one_ends_there():
    basis = exact(loras())
    moments = moments_of(basis)
    sizes = []
    for ridge in (0.0, 0.1, 1.0, 1e9):
        found = least_squares(basis, "projection", moments=moments, ridge=ridge)
        values = [value for row in found.coefficients.values() for value in row.values()]
        sizes.append(float(np.linalg.norm(values)))
    assert sizes == sorted(sizes, reverse=True)
    assert sizes[0] > 1
    assert sizes[-1] < 1e-8


def test_copies_in_a_block_share_its_coefficient_and_absent_deltas_get_none():
    first = lora("color", 2, ("q_proj", "c_fc"))
    factors = {n: (f if "q_proj" in n else f._replace(B=2 * f.B)) for n, f in first.factors.items()}
    twin = replace(first, card=replace(first.card, attribute="shape"), factors=factors)
    basis = exact([first, twin, lora("size", 2, ("c_fc",))])
    found = least_squares(basis, "projection", moments=moments_of(basis)).coefficients
    query = "visual.transformer.resblocks.0.attn.q_proj.weight"
    assert found["color"][query] == pytest.approx(found["shape"][query], abs=1e-9)
    assert found["color"][query] + found["shape"][query] == pytest.approx(1, abs=0.5)
    assert found["size"][query] == 0


def test_a_composition_takes_the_solution():
    deltas = [lora("color"), dense("shape")]
    basis = Basis.from_deltas(deltas, clip())
    found = least_squares(basis, "layer", moments=delta_moments(basis))
    composed = Composition(basis, "layer")
    composed.assign(found.coefficients)
    assert composed.named_coefficients()["shape"] == pytest.approx(found.coefficients["shape"])
    again = least_squares(basis, "layer", moments=delta_moments(basis))
    assert_close(again.coefficients, found.coefficients, 0), "also while the model is composed"
    assert composed.encode_image(images()).isfinite().all()


def test_what_cannot_be_solved_is_refused():
    basis = exact(loras())
    given = delta_moments(basis)

    def refused(granularity="block", **options):
        with pytest.raises(InputError) as error:
            least_squares(basis, granularity, **({"moments": given} | options))
        return str(error.value)

    for granularity in ("head", "partition:2", "rank", "spectral:6"):
        assert "global, layer, module, block, projection" in refused(granularity)
    assert "targets hue are no deltas; there are color, shape, size" in refused(targets={"hue": 1})
    assert "at least one target, got none" in refused(targets={})
    assert "none of shape" in refused(moments={"color": None, "size": None})
    assert "ridge is -1" in refused(ridge=-1)
    other = delta_moments(exact(loras()[:2]))
    assert "moments of 'color' are those of another basis" in refused(moments=given | other)
