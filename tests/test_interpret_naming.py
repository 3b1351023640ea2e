"""Both ends of directions are named with the texts nearest to them."""

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from sklearn.decomposition import PCA

from interpret.pools import TextPool
from interpret.textspan import mean_shift, nearest_texts, principal_directions
from tests.moment_samples import draw, moments_of

LAYERS, HEADS, WIDTH, EMBEDDING = 2, 2, 5, 12


@pytest.fixture
def maps():
    return draw(LAYERS, HEADS, WIDTH, EMBEDDING, seed=1)


@pytest.fixture
def codes():
    return draw(80, LAYERS, HEADS, WIDTH) * torch.arange(1, WIDTH + 1) + 1


def test_principal_directions_are_those_of_scikit_learn(codes, maps):
    found = principal_directions(moments_of(codes), maps, 3)
    for layer, head in np.ndindex(LAYERS, HEADS):
        expected = PCA(3, svd_solver="full").fit(codes[:, layer, head] @ maps[layer, head])
        direction = found.direction_LHSE[layer, head].numpy()
        agreement = (direction * expected.components_).sum(1)
        np.testing.assert_allclose(np.abs(agreement), 1, atol=1e-10)
        assert (direction[np.arange(3), np.abs(direction).argmax(1)] > 0).all()
        share = expected.explained_variance_ratio_
        np.testing.assert_allclose(found.share_LHS[layer, head], share, atol=1e-12)


def test_a_head_without_variance_has_no_shares(codes, maps):
    codes[:, 0, 0] = 3
    found = principal_directions(moments_of(codes), maps)
    assert (found.share_LHS[0, 0] == 0).all()
    assert found.direction_LHSE.isfinite().all()
    shift = mean_shift(moments_of(codes), maps)
    assert shift.share_LH[0, 0] == 1
    assert mean_shift(moments_of(0 * codes), maps).share_LH.tolist() == [[0, 0], [0, 0]]


def test_the_mean_has_its_share_of_the_mean_square(codes, maps):
    found = mean_shift(moments_of(codes), maps)
    contributions = np.einsum("nlhk,lhkd->nlhd", codes, maps)
    mean = contributions.mean(0)
    np.testing.assert_allclose(found.direction_LHE, mean, atol=1e-12)
    share = (mean**2).sum(-1) / (contributions**2).sum(-1).mean(0)
    np.testing.assert_allclose(found.share_LH, share, atol=1e-12)


def test_texts_at_either_end_are_those_of_largest_cosine_about_the_mean_text():
    text_TE = F.normalize(draw(30, EMBEDDING, seed=3) + 2, dim=-1)
    pool = TextPool("pool", tuple(map(str, range(30))))
    direction = draw(2, EMBEDDING, seed=4)
    centered = (text_TE - text_TE.mean(0)).numpy()
    for row, ends in enumerate(nearest_texts(direction, pool, text_TE, 3)):
        one = direction[row].numpy()
        cosine = centered @ one / np.linalg.norm(centered, axis=1) / np.linalg.norm(one)
        order = np.argsort(cosine)
        assert [each.text for each in ends.positive] == [str(n) for n in order[::-1][:3]]
        assert [each.text for each in ends.negative] == [str(n) for n in order[:3]]
        scores = [each.score for each in (*ends.positive, *ends.negative)]
        np.testing.assert_allclose(scores, cosine[[*order[::-1][:3], *order[:3]]], atol=1e-12)


def test_an_end_without_texts_towards_it_and_a_direction_of_zeros_are_empty():
    text_TE = torch.eye(3).double()
    pool = TextPool("pool", ("red", "round", "small"))
    towards, zero = nearest_texts(torch.tensor([[1.0, 0, 0], [0, 0, 0]]).double(), pool, text_TE)
    assert [each.text for each in towards.positive] == ["red"]
    assert {each.text for each in towards.negative} == {"round", "small"}
    assert zero == ((), ())
