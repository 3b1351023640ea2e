"""Principal angles agree with SciPy, and random deltas differ from given ones in nothing else."""

import numpy as np
import pytest
import torch
from scipy.linalg import subspace_angles

from composition import Basis
from composition.basis import StackedFactors
from composition.interference.angles import angles, singular
from composition.interference.control import joint, random_like
from tests.compose_samples import clip, dense, loras

INPUTS, OUTPUTS = 30, 20


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def stacked(*pairs):
    """Factors of deltas given as (B, A)."""
    owners = torch.cat([torch.full((len(a),), k) for k, (_, a) in enumerate(pairs)])
    return StackedFactors(
        torch.cat([a for _, a in pairs]), torch.cat([b for b, _ in pairs], dim=1), owners
    )


def pair(rank, seed):
    return drawn(OUTPUTS, rank, seed=seed), drawn(rank, INPUTS, seed=seed + 1)


@pytest.mark.parametrize(("first", "second"), [(4, 4), (2, 5), (1, 1), (20, 3)])
def test_angles_are_those_of_scipy(first, second):
    one, other = pair(first, 1), pair(second, 11)
    found = angles(stacked(one, other))[0, 1]
    (b_k, a_k), (b_l, a_l) = one, other
    for side, (x, y) in {"columns": (b_k, b_l), "rows": (a_k.T, a_l.T)}.items():
        expected = np.rad2deg(subspace_angles(x.double().numpy(), y.double().numpy()))
        np.testing.assert_allclose(getattr(found, side), expected[::-1], atol=2e-5)
        assert len(getattr(found, side)) == min(first, second)


def test_the_overlap_is_the_mean_squared_cosine_between_spaces_of_matrices():
    (b_k, a_k), (b_l, a_l) = pair(2, 1), pair(3, 11)

    def matrices(b, a):
        """An orthonormal basis of all B M A, flattened."""
        every = [torch.outer(b[:, i], a[j]).flatten() for i in range(len(a)) for j in range(len(a))]
        return torch.linalg.qr(torch.stack(every, dim=1).double())[0]

    cosines = torch.linalg.svdvals(matrices(b_k, a_k).T @ matrices(b_l, a_l))
    assert len(cosines) == 4
    overlap = angles(stacked((b_k, a_k), (b_l, a_l)))[0, 1].overlap
    assert overlap == pytest.approx(cosines.square().mean().item(), rel=1e-6)
    assert 0.001 < overlap < 0.2


def test_orthogonal_deltas_meet_at_90_degrees_and_equal_spaces_at_0():
    b, a = (torch.linalg.qr(drawn(size, 8, seed=3))[0] for size in (OUTPUTS, INPUTS))
    mix = drawn(4, 4, seed=5)
    left, right = (b[:, :4], a[:, :4].T), (b[:, 4:], a[:, 4:].T)
    same_spaces = (b[:, :4] @ mix, mix.T @ a[:, :4].T)
    same_rows = (b[:, 4:], mix @ a[:, :4].T)
    found = angles(stacked(left, right, same_spaces, same_rows))
    assert found[0, 1].columns == pytest.approx([90.0] * 4, abs=1e-4)
    assert found[0, 1].rows == pytest.approx([90.0] * 4, abs=1e-4)
    assert found[0, 1].overlap == pytest.approx(0.0, abs=1e-10)
    assert found[0, 2].columns == pytest.approx([0.0] * 4, abs=1e-3)
    assert found[0, 2].rows == pytest.approx([0.0] * 4, abs=1e-3)
    assert found[0, 2].overlap == pytest.approx(1.0, abs=1e-6)
    assert found[0, 3].rows == pytest.approx([0.0] * 4, abs=1e-3)
    assert found[0, 3].overlap == pytest.approx(0.0, abs=1e-10), "they write elsewhere"


def test_the_order_of_two_deltas_does_not_matter():
    one, other = pair(2, 1), pair(5, 11)
    forth, back = (angles(stacked(*each))[0, 1] for each in ((one, other), (other, one)))
    for side in ("columns", "rows"):
        assert getattr(forth, side) == pytest.approx(getattr(back, side), abs=1e-9)
    assert forth.overlap == pytest.approx(back.overlap, abs=1e-12)


def test_directions_that_a_delta_does_not_use_are_no_part_of_its_spaces():
    b, a = pair(4, 1)
    padded_b, padded_a = torch.cat([b, torch.zeros(OUTPUTS, 2)], dim=1), torch.cat([a, a[:2]])
    other, nothing = pair(3, 11), (torch.zeros(OUTPUTS, 2), drawn(2, INPUTS, seed=9))
    plain = angles(stacked((b, a), other))[0, 1]
    found = angles(stacked((padded_b, padded_a), other, nothing))
    assert list(found) == [(0, 1)], "a delta that is zero has no spaces"
    assert found[0, 1].columns == pytest.approx(plain.columns, abs=1e-5)
    assert found[0, 1].rows == pytest.approx(plain.rows, abs=1e-5)


def test_random_deltas_have_the_singular_values_of_given_ones_and_other_spaces():
    basis = Basis.from_deltas([*loras()[:2], dense("size")], clip())
    random = random_like(basis, seed=0)
    for name, stack in basis.factors.items():
        assert torch.equal(random.factors[name].owner_R, stack.owner_R)
        for owner in set(stack.owner_R.tolist()):
            values = singular(stack, owner).values
            assert torch.allclose(singular(random.factors[name], owner).values, values, rtol=1e-5)
        assert not torch.allclose(random.factors[name].A_RI, stack.A_RI, atol=0.01)
    for name, (owner, tensors) in basis.differences.items():
        assert random.differences[name].owner == owner
        noise = random.differences[name].tensors[0]
        assert noise.norm().item() == pytest.approx(tensors[0].norm().item(), rel=1e-5)
        assert not torch.allclose(noise, tensors[0], atol=0.01)


def test_random_spaces_overlap_as_chance_has_it():
    basis = Basis.from_deltas(loras(), clip())
    found = []
    for seed in range(60):
        stacks = random_like(basis, seed).factors
        found += [angles(stacks[name])[0, 1] for name in stacks if "q_proj" in name]
    squares = [np.cos(np.deg2rad(each.columns)) ** 2 for each in found]
    assert len(found) == 120
    assert np.mean(squares) == pytest.approx(3 / 32, abs=0.012), "larger rank over width"


def test_random_deltas_depend_on_the_seed_and_on_names_alone():
    deltas = loras()
    basis, turned = (Basis.from_deltas(each, clip()) for each in (deltas, deltas[::-1]))
    one, again, other = (random_like(basis, seed) for seed in (0, 0, 1))
    name = "visual.transformer.resblocks.0.attn.q_proj"
    assert torch.equal(one.factors[name].A_RI, again.factors[name].A_RI)
    assert not torch.allclose(one.factors[name].A_RI, other.factors[name].A_RI, atol=0.01)
    assert torch.equal(one.factors[name].A_RI[:2], random_like(turned, 0).factors[name].A_RI[4:])


def test_deltas_of_two_bases_stand_in_one():
    basis = Basis.from_deltas([loras()[0], dense("size")], clip())
    both = joint([basis, random_like(basis, 0)], ["a", "b", "c", "d"])
    name = "visual.transformer.resblocks.0.attn.q_proj"
    assert both.factors[name].owner_R.tolist() == [0, 0, 2, 2]
    assert both.factors[name].B_OR.shape == (32, 4)
    assert both.differences["visual.proj"].owner == (1, 3)
    assert both.weights == basis.weights
