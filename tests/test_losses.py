"""The training losses against plain loops over images and values."""

import math

import pytest
import torch
from torch.nn import functional as F

from lightning_modules.losses import (
    choose_objective,
    class_weights,
    contrastive_loss,
    keep_loss,
    sigmoid_loss,
    softmax_loss,
)


@pytest.fixture
def batch():
    """Logits, labels (some images with two values, one with none), known and weights."""
    generator = torch.Generator().manual_seed(0)
    logits = 3 * torch.randn(6, 4, generator=generator)
    label = torch.tensor(
        [[1, 0, 0, 0], [0, 1, 0, 0], [1, 1, 0, 0], [0, 0, 0, 0], [0, 0, 0, 1], [0, 1, 0, 0]]
    ).to(torch.int8)
    known = torch.ones(6, 4, dtype=torch.bool)
    known[0, 2] = known[5, 0] = False
    weight = torch.tensor([1.0, 2.0, 0.5, 1.0, 1.0, 0.0])
    return logits, label, known, weight


def test_softmax_loss_of_one_value_an_image_is_cross_entropy(batch):
    logits, label, _, weight = batch
    rows = [0, 1, 4]
    expected = F.cross_entropy(logits[rows], label[rows].argmax(1), reduction="none")
    expected = (expected * weight[rows]).sum() / weight[rows].sum()
    torch.testing.assert_close(softmax_loss(logits[rows], label[rows], weight[rows]), expected)


def test_softmax_loss_weighs_images_and_values_and_shares_several_values(batch):
    logits, label, _, weight = batch
    class_weight = torch.tensor([1.0, 2.0, 3.0, 0.5])
    total = mass = 0.0
    for image in range(6):
        true = [value for value in range(4) if label[image, value]]
        for value in true:
            share = float(class_weight[value] * weight[image]) / len(true)
            total -= share * float(logits[image].log_softmax(0)[value])
            mass += share
    loss = softmax_loss(logits, label, weight, class_weight)
    assert float(loss) == pytest.approx(total / mass, rel=1e-5)


def test_sigmoid_loss_counts_known_labels_only(batch):
    logits, label, known, weight = batch
    total = mass = 0.0
    for image in range(6):
        for value in range(4):
            if known[image, value]:
                probability = 1 / (1 + math.exp(-float(logits[image, value])))
                right = probability if label[image, value] else 1 - probability
                total -= float(weight[image]) * math.log(right)
                mass += float(weight[image])
    assert float(sigmoid_loss(logits, label, known, weight)) == pytest.approx(
        total / mass, rel=1e-5
    )


def test_sigmoid_loss_has_no_gradient_where_nothing_is_known(batch):
    logits, label, known, weight = batch
    logits.requires_grad_()
    sigmoid_loss(logits, label, known, weight).backward()
    assert (logits.grad[~known] == 0).all()
    assert (logits.grad[known & (weight[:, None] > 0)] != 0).all()


def test_contrastive_loss_is_symmetric_cross_entropy_over_present_values():
    logits = torch.randn(3, 5, generator=torch.Generator().manual_seed(1))
    label = torch.zeros(3, 5, dtype=torch.int8)
    values = torch.tensor([4, 0, 2])
    label[torch.arange(3), values] = 1
    present = logits[:, [0, 2, 4]]
    place = torch.tensor([2, 0, 1])  # of 4, 0, 2 among the present ones
    expected = (F.cross_entropy(present, place) + F.cross_entropy(present.T, place.argsort())) / 2
    torch.testing.assert_close(contrastive_loss(logits, label, torch.ones(3)), expected)


def test_contrastive_loss_ignores_values_that_no_image_shows():
    label = torch.tensor([[1, 0, 0], [0, 1, 0]], dtype=torch.int8)
    logits = torch.randn(2, 3, generator=torch.Generator().manual_seed(2))
    changed = logits.clone()
    changed[:, 2] += 100
    weight = torch.ones(2)
    assert contrastive_loss(logits, label, weight) == contrastive_loss(changed, label, weight)


@pytest.mark.parametrize("loss", [softmax_loss, contrastive_loss])
def test_a_batch_without_labels_costs_nothing_and_is_finite(loss):
    logits = torch.randn(2, 3, requires_grad=True)
    value = loss(logits, torch.zeros(2, 3, dtype=torch.int8), torch.ones(2))
    value.backward()
    assert value == 0
    assert (logits.grad == 0).all()


def test_keep_loss_is_the_mean_divergence_from_the_base():
    generator = torch.Generator().manual_seed(3)
    image, base = (F.normalize(torch.randn(5, 8, generator=generator), dim=1) for _ in range(2))
    texts = [F.normalize(torch.randn(v, 8, generator=generator), dim=1) for v in (3, 6)]
    scale = torch.tensor(20.0)
    terms = []
    for text in texts:
        p, q = ((scale * each @ text.T).softmax(1).double() for each in (base, image))
        terms.append(float((p * (p / q).log()).sum(1).mean()))
    assert float(keep_loss(image, base, texts, scale)) == pytest.approx(sum(terms) / 2, rel=1e-4)


def test_keep_loss_of_the_base_itself_is_zero():
    image = F.normalize(torch.randn(4, 8, generator=torch.Generator().manual_seed(4)), dim=1)
    text = F.normalize(torch.eye(3, 8), dim=1)
    scale = torch.tensor(50.0)
    assert float(keep_loss(image, image, [text], scale)) == pytest.approx(0, abs=1e-6)
    assert float(keep_loss(image, image, [], scale)) == pytest.approx(0, abs=1e-6)
    assert float(keep_loss(image, -image, [], scale)) == pytest.approx(2, abs=1e-6)


def test_class_weights_make_every_value_count_the_same():
    label = torch.tensor([[1, 0, 0]] * 6 + [[0, 1, 0]] * 2, dtype=torch.int8)
    weight = class_weights(label)
    assert weight[2] == 0
    assert float(weight[0]) * 6 == pytest.approx(float(weight[1]) * 2)
    assert float((weight * label.sum(0)).sum()) == pytest.approx(8)


def test_the_labels_choose_the_objective():
    label = torch.zeros(4, 60, dtype=torch.int8)
    label[:, 0] = 1
    all_known = torch.ones(4, 60, dtype=torch.bool)
    only_shown = label.bool()
    assert choose_objective(label, all_known, exclusive=True) == "softmax"
    assert choose_objective(label, all_known, exclusive=False) == "sigmoid"
    assert choose_objective(label, only_shown, exclusive=False) == "contrastive"
    few = choose_objective(label[:, :10], only_shown[:, :10], exclusive=False)
    assert few == "sigmoid"
