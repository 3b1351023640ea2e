"""The spectral basis is orthonormal, shared, and made from factors as from dense updates."""

import pytest
import torch

from composition.basis import StackedFactors
from composition.spectral import spectral_basis
from datamodules.errors import InputError
from tests.compose_samples import clip, compose, images, learned, lora, loras, loss_of, relative

INPUTS, OUTPUTS = 20, 28


def stacked(*ranks, seed=0):
    draw = torch.Generator().manual_seed(seed)
    total = sum(ranks)
    owner = torch.arange(len(ranks)).repeat_interleave(torch.tensor(ranks))
    a = torch.randn(total, INPUTS, generator=draw, dtype=torch.float64)
    return StackedFactors(a, torch.randn(OUTPUTS, total, generator=draw, dtype=a.dtype), owner)


def updates(factors):
    owners = factors.owner_R.unique()
    masks = [factors.owner_R == owner for owner in owners]
    return [factors.B_OR[:, mask] @ factors.A_RI[mask] for mask in masks]


def test_the_basis_is_the_one_from_dense_singular_vectors():
    factors = stacked(3, 5, 4)
    shared, start = spectral_basis(factors, 9, "layer")
    tops = [torch.linalg.svd(update) for update in updates(factors)]
    sides = []
    for vectors in (
        torch.cat([left[:, :3] for left, _, _ in tops], dim=1),
        torch.cat([right[:3].T for _, _, right in tops], dim=1),
    ):
        p, _, q = torch.linalg.svd(vectors, full_matrices=False)
        sides.append(p @ q)
    dense_start = torch.stack([(sides[0].T @ u @ sides[1]).diag() for u in updates(factors)])
    signs = (sides[0] * shared.B_OR).sum(0).sign()  # singular vectors come in pairs up to a sign
    torch.testing.assert_close(shared.B_OR * signs, sides[0])
    torch.testing.assert_close(shared.A_RI.T * signs, sides[1])
    torch.testing.assert_close(start, dense_start.mean(0))


def test_the_basis_is_orthonormal_and_belongs_to_nobody():
    shared, start = spectral_basis(stacked(3, 5, 4), 9, "layer")
    unit = torch.eye(9, dtype=torch.float64)
    torch.testing.assert_close(shared.B_OR.T @ shared.B_OR, unit)
    torch.testing.assert_close(shared.A_RI @ shared.A_RI.T, unit)
    assert shared.owner_R.tolist() == [-1] * 9
    assert start.shape == (9,)


def test_one_delta_starts_as_itself_cut_to_its_strongest_directions():
    factors = stacked(6)
    (update,) = updates(factors)
    left, values, right = torch.linalg.svd(update)
    for count in (2, 6):
        shared, start = spectral_basis(factors, count, "layer")
        best = left[:, :count] @ values[:count].diag() @ right[:count]
        torch.testing.assert_close(shared.B_OR @ start.diag() @ shared.A_RI, best)


@pytest.mark.parametrize(("count", "made"), [(9, 9), (8, 6), (90, 10), (12, 10)])
def test_deltas_share_equally_and_give_no_more_than_their_rank(count, made):
    """Ranks 2, 4, 4: the first delta gives at most 2; a module 20 wide has room for 6 of each."""
    shared, _ = spectral_basis(stacked(2, 4, 4), count, "layer")
    shares = {9: 2 + 3 + 3, 8: 2 + 2 + 2, 90: 2 + 4 + 4, 12: 2 + 4 + 4}
    assert len(shared.A_RI) == shares[count] <= made


def test_deltas_that_read_the_same_share_directions_that_no_rounding_decides():
    factors = stacked(3, 3)
    factors.A_RI[3:] = factors.A_RI[:3]
    nudged = factors._replace(A_RI=factors.A_RI * (1 + 1e-7 * torch.randn_like(factors.A_RI)))
    shared, start = spectral_basis(factors, 6, "layer")
    again, start_again = spectral_basis(nudged, 6, "layer")
    unit = torch.eye(3, dtype=torch.float64)  # both read the same three
    torch.testing.assert_close(shared.A_RI @ shared.A_RI.T, unit)
    torch.testing.assert_close(shared.B_OR.T @ shared.B_OR, unit)
    update = (shared.B_OR * start) @ shared.A_RI
    torch.testing.assert_close(
        (again.B_OR * start_again) @ again.A_RI, update, rtol=1e-4, atol=1e-5
    )


def test_a_module_without_room_is_refused():
    with pytest.raises(InputError) as error:
        spectral_basis(stacked(2, 2, 2), 2, "visual.layer")
    assert str(error.value) == (
        "granularity spectral:2 has not one direction for each of the 3 deltas in visual.layer (20 "
        "inputs, 28 outputs). Choose a k of at least 3, or fewer deltas."
    )


def test_a_single_delta_of_full_rank_starts_at_that_delta_and_learns():
    delta = lora("color", 3)
    composed = compose([delta], "spectral:3", fill=False)
    with torch.no_grad():
        expected = delta.attach(clip()).encode_image(images())
        assert relative(composed.encode_image(images()), expected) < 1e-5
    optimizer = torch.optim.Adam(composed.parameters(), lr=2.0)
    losses = []
    for _ in range(5):
        optimizer.zero_grad()
        losses.append(loss_of(composed.encode_image(images())))
        losses[-1].backward()
        optimizer.step()
    assert losses[-1] < 0.9 * losses[0]


def test_gradients_are_those_of_the_singular_values():
    composed = compose(loras(), "spectral:6", dtype=torch.float64)
    x = images(dtype=torch.float64)
    _, gradient = learned(composed, x)
    step = 1e-6
    for number in (0, 7, len(gradient) - 1):
        losses = []
        for sign in (1, -1):
            with torch.no_grad():
                composed.coefficients[number] += sign * step
                losses.append(loss_of(composed.encode_image(x)))
                composed.coefficients[number] -= sign * step
        slope = (losses[0] - losses[1]) / (2 * step)
        torch.testing.assert_close(slope, gradient[number], rtol=1e-5, atol=1e-6)


def test_shared_directions_have_no_single_delta():
    composed = compose(loras(), "spectral:6")
    assert set(composed.named_coefficients()) == {"shared"}
    with pytest.raises(InputError) as error:
        composed.one_hot("color")
    assert str(error.value) == (
        "granularity spectral:6 has no coefficients of single deltas: its directions are shared. "
        "Choose another granularity to compose chosen deltas."
    )
