"""The optimality gap of learned coefficients."""

import numpy as np
import pytest
import torch

from composition.evaluation.gap import Gap, optimality_gap
from tests.compose_runs import fit, open_data, prepared


@pytest.fixture(scope="module")
def data(world):
    return open_data(world, shots=2)


@torch.no_grad()
def scores(composer, task, number, c):
    """Scores of the training images for the values that occur, at coefficients c."""
    coefficients = composer.composition.coefficients
    kept = coefficients.clone()
    coefficients.copy_(torch.from_numpy(c).view(2, 1))
    image = torch.from_numpy(task.pixels()[task.members("train")]).permute(0, 3, 1, 2)
    head = composer.task_heads[number]
    found = head(composer.encode_image(image), composer.scale)[:, head.seen_V].double().numpy()
    coefficients.copy_(kept)
    return found


def test_it_is_that_of_the_linearization_by_differences(world, data):
    composer = prepared(world, data, granularity="global", start="mean")
    before = composer.composition.coefficients.detach().clone()
    found = optimality_gap(composer)
    assert torch.equal(composer.composition.coefficients, before)
    loss, slope, curvature = 0.0, np.zeros(2), np.zeros((2, 2))
    point, step = before.double().numpy().flatten(), 0.01
    for number, task in enumerate(data.tasks.values()):
        seen = composer.task_heads[number].seen_V.numpy()
        target = task.labels(task.attribute).label[task.members("train")][:, seen]
        z = scores(composer, task, number, point)
        p = np.exp(z) / np.exp(z).sum(1, keepdims=True)
        jacobian = np.stack(
            [
                (
                    scores(composer, task, number, point + move)
                    - scores(composer, task, number, point - move)
                )
                / (2 * step)
                for move in step * np.eye(2)
            ],
            axis=2,
        )
        for image in range(len(z)):
            share, j = 1 / (2 * len(z)), jacobian[image]
            loss -= share * float(np.log(p[image][target[image] == 1]).sum())
            slope += share * j.T @ (p[image] - target[image])
            fisher = np.diag(p[image]) - np.outer(p[image], p[image])
            curvature += share * j.T @ fisher @ j
    assert found.loss == pytest.approx(loss, rel=1e-5)
    assert found.gap == pytest.approx(slope @ np.linalg.solve(curvature, slope) / 2, rel=0.02)
    assert found.share == pytest.approx(found.gap / loss, rel=0.02)


def test_it_vanishes_where_the_loss_is_least(world, data):
    composer = prepared(world, data, granularity="global", start="gauss-newton")
    before = optimality_gap(composer)
    fit(composer, data, epochs=0)
    after = optimality_gap(composer)
    assert before.share > 5e-3
    assert after.share < 1e-3
    assert after.loss < before.loss


def test_it_says_why_it_was_not_worked_out(world, data):
    composer = prepared(world, data, objective="entropy")
    found = optimality_gap(composer)
    assert found == Gap(None, None, "it needs --model.objective supervised")
    assert found.to_json() == {"loss": None, "gap": None, "reason": found.reason, "share": None}
    assert found.to_text() == f"optimality gap: not worked out: {found.reason}."


def test_it_is_told_in_one_line():
    assert Gap(2.0, 0.01).to_text() == (
        "optimality gap on the training images: 0.01 of a loss of 2 nats (0.5 %)."
    )
    assert Gap(0.0, 0.0).share == 0.0
