"""Nearest images by a head are those that NumPy finds among whole contributions."""

import numpy as np
import pytest
import torch

from datamodules.errors import InputError
from interpret import retrieval
from interpret.retrieval import head_features, nearest_images
from tests.moment_samples import draw, moments_of

LAYERS, HEADS, WIDTH, EMBEDDING, IMAGES = 2, 3, 6, 20, 90


@pytest.fixture
def maps():
    return draw(LAYERS, HEADS, WIDTH, EMBEDDING, seed=1)


@pytest.fixture
def codes():
    return draw(IMAGES, LAYERS, HEADS, WIDTH) * torch.arange(1, WIDTH + 1) + 2


def cosines(one, other):
    one = one / np.linalg.norm(one, axis=1, keepdims=True)
    return one @ (other / np.linalg.norm(other, axis=1, keepdims=True)).T


def whole_likeness(likeness, query, images):
    """Of contributions (B, E) and (N, E)."""
    if likeness == "raw":
        return query @ images.T
    mean = images.mean(0)
    query, images = query - mean, images - mean
    if likeness == "whitened":
        _, value, right = np.linalg.svd(images / len(images) ** 0.5, full_matrices=False)
        scale = right[value > 1e-8].T / value[value > 1e-8]
        query, images = query @ scale, images @ scale
    return cosines(query, images)


@pytest.mark.parametrize("likeness", ["raw", "centered", "whitened"])
@pytest.mark.parametrize("block", [7, 16384])
def test_images_and_scores_are_those_of_whole_contributions(
    codes, maps, likeness, block, monkeypatch
):
    monkeypatch.setattr(retrieval, "_BLOCK", block)
    query = draw(4, LAYERS, HEADS, WIDTH, seed=5)
    for layer, head in ((0, 0), (1, 2)):
        features = head_features(moments_of(codes), maps, layer, head, likeness)
        found = nearest_images(query[:, layer, head], codes[:, layer, head], features, 5)
        contributions = [
            (each[:, layer, head] @ maps[layer, head]).numpy() for each in (query, codes)
        ]
        expected = whole_likeness(likeness, *contributions)
        order = np.argsort(-expected, axis=1)[:, :5]
        np.testing.assert_array_equal(found.index_BS, order)
        best = np.take_along_axis(expected, order, 1)
        np.testing.assert_allclose(found.score_BS, best, atol=1e-10)


def test_layers_count_from_the_last_and_each_image_finds_itself(codes, maps):
    features = head_features(moments_of(codes), maps, -1, 1)
    found = nearest_images(codes[:, -1, 1], codes[:, 1, 1], features, 1)
    assert found.index_BS[:, 0].tolist() == list(range(IMAGES))
    np.testing.assert_allclose(found.score_BS, 1)


def test_codes_are_read_from_a_mapped_file_in_half_precision(codes, maps, tmp_path):
    path = tmp_path / "codes.npy"
    np.save(path, codes[:, 0, 1].half().numpy())
    features = head_features(moments_of(codes.half()), maps, 0, 1, "whitened")
    mapped = np.load(path, mmap_mode="r")
    found = nearest_images(mapped[:3], mapped, features, 200)
    assert found.index_BS.shape == (3, IMAGES)
    plain = nearest_images(codes[:3, 0, 1].half(), codes[:, 0, 1].half(), features, 200)
    assert torch.equal(found.index_BS, plain.index_BS)


def test_components_that_are_rounding_are_left_out_of_whitening(codes, maps):
    codes[:, 0, 0, 3:] = codes[:, 0, 0, :3]  # three components
    features = head_features(moments_of(codes.float()), maps, 0, 0, "whitened")
    assert features.features_CR.shape == (WIDTH, 3)
    covariance = np.cov(
        (codes.float()[:, 0, 0].double() - features.shift_C).numpy() @ features.features_CR.numpy(),
        rowvar=False, ddof=0,
    )  # fmt: skip
    np.testing.assert_allclose(covariance, np.eye(3), atol=1e-9)


def test_a_head_that_is_the_same_for_all_images_has_no_neighbors(codes, maps):
    codes[:, 1, 1] = 0.1
    moments = moments_of(codes.float())
    for likeness in ("centered", "whitened"):
        with pytest.raises(InputError) as error:
            head_features(moments, maps, -1, 1, likeness)
        assert str(error.value) == (
            "head 1 of layer 1 contributes the same to all images, so none is nearer than another. "
            "Choose another head, or --likeness raw."
        )
    head_features(moments, maps, -1, 1, "raw")


def test_what_does_not_fit_is_refused(codes, maps):
    moments = moments_of(codes)
    with pytest.raises(InputError) as error:
        head_features(moments, maps, 2, 0)
    assert str(error.value) == (
        "expected a head of 2 layers with 3 heads, counted from 0, got layer 2, head 0."
    )
    with pytest.raises(InputError) as error:
        head_features(moments, maps, 0, 0, "best")
    assert str(error.value) == ("--likeness is 'best', expected one of raw, centered, whitened.")
    features = head_features(moments, maps, 0, 0)
    with pytest.raises(InputError) as error:
        nearest_images(codes[:, 0, 0], codes[:, 0], features)
    assert str(error.value) == (
        "expected codes of shape (images, 6), got (90, 3, 6). Take those of one head of the "
        "decomposition that the moments are of."
    )
    with pytest.raises(InputError, match=r"expected codes of shape \(queries, 6\), got \(0, 6\)"):
        nearest_images(codes[:0, 0, 0], codes[:, 0, 0], features)
    with pytest.raises(InputError, match="--most is 0, expected at least 1 image"):
        nearest_images(codes[:, 0, 0], codes[:, 0, 0], features, 0)
