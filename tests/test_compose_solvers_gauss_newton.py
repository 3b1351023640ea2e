"""Second-order steps reach the optimum."""

import math

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from scipy.optimize import minimize

from composition import Basis, Composition
from composition.basis import StackedFactors
from composition.solvers.gauss_newton import gauss_newton
from composition.solvers.objective import Task
from datamodules.errors import InputError
from tests.compose_samples import clip, compose, images, loras

RANKS, INPUTS, CLASSES = 6, 8, 3


class Linear(torch.nn.Module):
    """The least that can be composed: one Linear module, so that logits are linear in c."""

    def __init__(self):
        super().__init__()
        self.visual = torch.nn.Linear(INPUTS, CLASSES, bias=False).double()
        self.text = torch.nn.Identity()

    def encode_image(self, x):
        return self.visual(x)


def drawn(*shape, seed):
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed)).double()


def linear(granularity="rank"):
    """A composition of three rank-2 deltas whose logits are linear in its coefficients."""
    model = Linear()
    model.visual.weight.data = drawn(CLASSES, INPUTS, seed=1)
    owner = torch.arange(3).repeat_interleave(2)
    stack = StackedFactors(drawn(RANKS, INPUTS, seed=2), drawn(CLASSES, RANKS, seed=3), owner)
    return Composition(Basis(model, ("a", "b", "c"), {"visual": stack}, {}), granularity)


def problem(composed, count=60, seed=4):
    draw = torch.Generator().manual_seed(seed)
    target = torch.randint(CLASSES, (count,), generator=draw)
    return Task(composed.encode_image, drawn(count, INPUTS, seed=seed + 1), target)


def solved_by_scipy(task, base, factors, ridge=0.0):
    """The optimum of the logistic problem, in NumPy's arithmetic; returns loss and point."""
    a, b, x, y = (each.numpy() for each in (*factors, task.images, task.target))

    def loss(c):
        logits = torch.tensor(x @ (base.numpy() + (b * c) @ a).T)
        return F.cross_entropy(logits, torch.tensor(y)).item() + ridge / 2 * (c**2).sum()

    found = minimize(loss, np.zeros(RANKS), method="BFGS", options={"gtol": 1e-9})
    return found.fun, torch.tensor(found.x)


@pytest.mark.parametrize("ridge", [0.0, 0.05])
def test_a_convex_problem_is_solved_to_its_optimum(ridge):
    composed = linear()
    task = problem(composed)
    factors = (drawn(RANKS, INPUTS, seed=2), drawn(CLASSES, RANKS, seed=3))
    best, point = solved_by_scipy(task, drawn(CLASSES, INPUTS, seed=1), factors, ridge)
    descent = gauss_newton(composed, [task], ridge=ridge, tolerance=1e-12, chunk_size=25)
    assert descent.steps[0].loss > best + 0.3, "a start far from the optimum"
    assert descent.loss == pytest.approx(best, abs=1e-6)
    assert torch.allclose(composed.coefficients.detach(), point, atol=1e-4)
    assert descent.reason == "gap"
    assert descent.gap < 1e-9
    assert len(descent.steps) < 12, "Newton's method converges quadratically"


def test_the_gap_foresees_how_much_is_left():
    composed = linear()
    task = problem(composed)
    best = gauss_newton(composed, [task], tolerance=1e-12).loss
    with torch.no_grad():
        composed.coefficients += 0.05 * drawn(RANKS, seed=9)
    start = gauss_newton(composed, [task], max_steps=0)
    assert start.reason == "steps"
    assert start.loss - best > 1e-4
    assert start.gap == pytest.approx(start.loss - best, rel=0.05)


@pytest.mark.parametrize("classes", [4, 24])
def test_known_coefficients_are_found_again_from_what_they_predict(classes):
    composed = compose(loras(), "layer", dtype=torch.float64)
    truth = composed.coefficients.detach().clone()
    text_VD = drawn(classes, 24, seed=7)

    def head(x):
        return composed.encode_image(x) @ text_VD.T

    x = images(8, torch.float64)
    with torch.no_grad():
        target = head(x).softmax(1)
    entropy = -(target * target.log()).sum(1).mean().item()
    composed.uniform(0.0)
    tasks = [Task(head, x[:4], target[:4]), Task(head, x[4:], target[4:])]
    descent = gauss_newton(composed, tasks, tolerance=1e-14, max_steps=50, chunk_size=3)
    losses = [step.loss for step in descent.steps]
    assert losses == sorted(losses, reverse=True)
    assert losses[0] > entropy + 0.01
    assert descent.loss == pytest.approx(entropy, abs=1e-10)
    assert torch.allclose(composed.coefficients.detach(), truth, atol=1e-4)


def test_chunks_and_the_order_of_tasks_do_not_matter():
    ends = []
    for chunk_size, reverse in ((64, False), (7, True)):
        composed = linear("global")
        tasks = [problem(composed, 60, seed=4), problem(composed, 30, seed=14)]
        gauss_newton(composed, tasks[:: -1 if reverse else 1], chunk_size=chunk_size)
        ends.append(composed.coefficients.detach().clone())
    assert torch.allclose(*ends, atol=1e-10)


def test_each_task_counts_the_same_however_many_images_it_has():
    composed = linear("global")
    few, many = problem(composed, 10), problem(composed, 60, seed=14)
    descent = gauss_newton(composed, [few, many], max_steps=0)
    each = [F.cross_entropy(task.logits(task.images), task.target) for task in (few, many)]
    assert descent.loss == pytest.approx(sum(each).item() / 2)


def test_a_larger_delta_gets_a_smaller_coefficient_in_every_step():
    ends = []
    for factor in (1.0, 8.0):
        composed = linear("global")
        with torch.no_grad():
            composed.terms[0].B_OR[:, :2] *= factor
        gauss_newton(composed, [problem(composed)], max_steps=2, tolerance=0)
        ends.append(composed.coefficients.detach().flatten() * torch.tensor([factor, 1, 1]))
    assert ends[0].norm() > 0.1
    assert torch.allclose(*ends, atol=1e-9)


def test_separable_images_need_a_ridge_to_stay_finite():
    norms = {}
    for ridge in (0.0, 0.1):
        composed = linear()
        few = problem(composed, 3)
        descent = gauss_newton(composed, [few], ridge=ridge, max_steps=15, tolerance=1e-9)
        assert descent.loss < descent.steps[0].loss
        norms[ridge] = composed.coefficients.norm().item()
    assert norms[0.1] < 5 < norms[0.0]


def test_a_ridge_pulls_to_where_the_coefficients_were():
    composed = linear()
    composed.uniform(1.0)
    gauss_newton(composed, [problem(composed)], ridge=1e6, tolerance=1e-12)
    assert torch.allclose(composed.coefficients, torch.ones(RANKS).double(), atol=1e-4)


def test_a_step_that_does_not_lower_the_loss_is_not_taken(monkeypatch):
    composed = linear()
    composed.uniform(0.5)
    task = problem(composed)
    calls = []

    def growing(x):
        calls.append(len(x))
        return composed.encode_image(x) - 1e3 * len(calls) * F.one_hot(task.target[:1], CLASSES)

    descent = gauss_newton(composed, [task._replace(logits=growing)], max_steps=5)
    assert descent.reason == "stalled"
    assert len(descent.steps) == 2
    assert descent.steps[0].trials == 12
    assert torch.equal(composed.coefficients.detach(), torch.full((RANKS,), 0.5).double())


def test_float32_ends_near_the_optimum_of_float64():
    ends = {}
    for dtype in (torch.float32, torch.float64):
        composed = compose(loras(), "block", model=clip(dtype))
        composed.uniform(0.0)
        task = Task(composed.encode_image, images(8, dtype), torch.arange(8))
        ends[dtype] = gauss_newton(composed, [task], ridge=0.1, max_steps=6)
        assert composed.coefficients.dtype == dtype
    assert ends[torch.float32].steps[0].loss > ends[torch.float64].loss + 0.1
    assert ends[torch.float32].loss == pytest.approx(ends[torch.float64].loss, abs=1e-3)
    assert math.isnan(ends[torch.float32].steps[-1].damping)


def test_what_cannot_be_solved_is_refused():
    composed = linear()
    task = problem(composed, 4)

    def refused(*tasks, **options):
        with pytest.raises(InputError) as error:
            gauss_newton(composed, tasks, **options)
        return str(error.value)

    assert "got tasks of [] images" in refused()
    assert "got tasks of [4, 0] images" in refused(task, task._replace(images=task.images[:0]))
    assert "-1 and 64" in refused(task, ridge=-1)
    wrong = "class numbers from 0 to 2, or probabilities"
    assert wrong in refused(task._replace(target=torch.tensor([0, 1, 2, 3])))
    assert wrong in refused(task._replace(target=torch.zeros(3).long()))
    assert wrong in refused(task._replace(target=torch.ones(4, 3)))
    stored = composed.encode_image(task.images).detach()
    by_number = task._replace(logits=lambda x: stored[: len(x)])
    assert "do not depend on the coefficients" in refused(by_number)
    endless = task._replace(images=task.images * math.inf)
    assert "the loss is nan where the coefficients start" in refused(endless)
