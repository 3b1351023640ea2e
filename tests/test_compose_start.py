"""Fits without stochastic gradients: least squares on images, and second-order steps."""

import math

import numpy as np
import pytest
import torch
from lightning.pytorch.callbacks import ModelCheckpoint
from scipy.optimize import minimize

from composition.starts import FROM_DATA, labelled
from datamodules.errors import InputError
from tests.compose_runs import TASKS, drawn_delta, fit, open_backbone, open_data, prepared
from tests.test_compose_cli import run, words  # noqa: F401


@pytest.fixture(scope="module")
def data(world):
    return open_data(world, shots=2)


def training_images(task):
    return torch.from_numpy(task.pixels()[task.members("train")]).permute(0, 3, 1, 2)


@torch.no_grad()
def supervised_loss(composer, data):
    """Mean over tasks of the cross-entropy over the values that occur, in NumPy."""
    losses = []
    for head, task in zip(composer.task_heads, data.tasks.values(), strict=True):
        image = composer.encode_image(training_images(task))
        label = task.labels(task.attribute).label[task.members("train")]
        seen = label.any(axis=0)
        scores = (composer.scale * image @ head.text_VD.T).double().numpy()[:, seen]
        log_p = scores - np.log(np.exp(scores).sum(1, keepdims=True))
        losses.append(-log_p[label[:, seen] == 1].mean())
    return float(np.mean(losses))


def test_gauss_newton_ends_where_no_search_around_gets_lower(world, data, caplog):
    composer = prepared(world, data, start="gauss-newton", granularity="global")
    at_sum = supervised_loss(composer, data)
    with caplog.at_level("INFO"):
        fit(composer, data, epochs=0)
    reached, coefficients = supervised_loss(composer, data), composer.composition.coefficients

    end = coefficients.detach().double().numpy().flatten()

    def loss(c):
        with torch.no_grad():
            coefficients.copy_(torch.from_numpy(c).view(2, 1))
        return supervised_loss(composer, data)

    corners = end + 0.05 * np.array([[0, 0], [1, 0], [0, 1]])
    best = minimize(
        loss,
        end,
        method="Nelder-Mead",
        options={"initial_simplex": corners, "maxfev": 25},
    )
    assert reached < at_sum - 0.01
    assert best.fun > reached * (1 - 1e-3)
    (line,) = [each.message for each in caplog.records if "start gauss-newton" in each.message]
    assert f"loss {at_sum:.4f} -> {reached:.4f} in " in line
    assert "(ended by: " in line
    assert "optimality gap" in line


def test_a_large_ridge_holds_coefficients_at_the_sum(world, data):
    composer = prepared(world, data, start="gauss-newton", ridge=1e4)
    fit(composer, data, epochs=0)
    assert (composer.composition.coefficients - 1).abs().max() < 1e-3


def test_epochs_after_gauss_newton_begin_at_it(world, data):
    ends = []
    for epochs in (0, 1):
        composer = prepared(world, data, start="gauss-newton", granularity="global", lr=1e-4)
        fit(composer, data, epochs=epochs)
        ends.append(composer.composition.coefficients.detach())
    assert 0 < (ends[0] - ends[1]).abs().max() < 1e-3
    assert (ends[0] - 1).abs().max() > 0.05


def test_what_a_checkpoint_holds_is_not_fitted_again(world, data, tmp_path):
    keeper = ModelCheckpoint(tmp_path, filename="last", save_on_train_epoch_end=True)
    settings = {"start": "gauss-newton", "granularity": "global", "lr": 0.3}
    composer = prepared(world, data, **settings)
    fit(composer, data, epochs=1, callbacks=[keeper], enable_checkpointing=True)
    learned = composer.composition.coefficients.detach()
    resumed = prepared(world, data, **settings)
    fit(resumed, data, epochs=1, ckpt_path=str(tmp_path / "last.ckpt"))
    assert torch.equal(resumed.composition.coefficients, learned)


def test_least_squares_on_images_solves_the_system_of_their_activations(world, data):
    composer = prepared(world, data, start="images", granularity="global")
    fit(composer, data, epochs=0)
    # The same in NumPy: for each delta, what its own task's images are at each module behind it.
    backbone = open_backbone(world)
    dense = [
        {name: d.scale(name) * (b @ a).double().numpy() for name, (a, b) in d.factors.items()}
        for d in (drawn_delta(backbone, name) for name in TASKS)
    ]
    composition, system, right = composer.composition, np.zeros((2, 2)), np.zeros(2)
    solved = composition.coefficients.detach().flatten().double().numpy().copy()
    for t, task in enumerate(data.tasks.values()):
        inputs = {}
        hooks = [
            composition.model.get_submodule(name).register_forward_pre_hook(
                lambda module, x, name=name, inputs=inputs: inputs.update(
                    {name: x[0].flatten(0, -2)}
                )
            )
            for name in dense[0]
        ]
        composition.one_hot(TASKS[t])
        with torch.no_grad():
            composer.encode_image(training_images(task))
        for hook in hooks:
            hook.remove()
        for name, x in inputs.items():
            outputs = [x.double().numpy() @ each[name].T for each in dense]
            gram = np.array([[(p * q).sum() / len(x) for q in outputs] for p in outputs])
            system += gram
            right += gram[:, t]
    assert solved == pytest.approx(np.linalg.solve(system, right), rel=1e-4)
    assert abs(solved[0] - solved[1]) > 1e-3, "the tasks' images tell the deltas apart"


def test_one_delta_on_its_own_stays_as_it_was_trained(world, data):
    for ridge, expected in ((0.0, 1.0), (1.0, 0.5)):
        composer = prepared(world, data, names=("color",), start="images", ridge=ridge)
        fit(composer, data, epochs=0)
        assert torch.allclose(composer.composition.coefficients, torch.tensor(expected), atol=1e-5)


def test_second_order_steps_take_directions_too(world, data):
    composer = prepared(world, data, start="gauss-newton", granularity="spectral:2", last_blocks=1)
    before = composer.composition.coefficients.detach().clone()
    at_sum = supervised_loss(composer, data)
    fit(composer, data, epochs=0)
    assert supervised_loss(composer, data) < at_sum - 0.01
    kept = composer.composition.kept
    assert torch.equal(composer.composition.coefficients[kept], before[kept])
    assert math.isclose(float(kept.sum()), len(before) / 2)


@pytest.mark.parametrize(
    ("settings", "text"),
    [
        (
            {"start": "gauss-newton", "objective": "negation", "forget": ["glyphs/color"]},
            "--model.start gauss-newton does not apply: it needs --model.objective supervised. Or "
            "choose another --model.start.",
        ),
        (
            {"start": "gauss-newton", "objective": "entropy"},
            "--model.start gauss-newton does not apply: it needs --model.objective supervised. Or "
            "choose another --model.start.",
        ),
        (
            {"start": "gauss-newton", "granularity": "rank"},
            "--model.start gauss-newton does not apply: its equations would be of 48 coefficients, "
            "of 40 at most: choose a coarser --model.granularity. Or choose another --model.start.",
        ),
        (
            {"start": "images", "granularity": "spectral:2"},
            "granularity is spectral:2, expected one that scales each weight of a delta as a "
            "whole: global, layer, module, block, projection. Choose one of these, or learn finer "
            "coefficients.",
        ),
        ({"start": "images", "ridge": -1.0}, "--model.ridge is -1.0, expected 0 or more."),
        (
            {"start": "mean", "ridge": 1.0},
            "--model.ridge needs --model.start images or gauss-newton, got mean. Set it, or leave "
            "--model.ridge out.",
        ),
    ],
)
def test_starts_that_do_not_apply_are_refused_before_any_work(
    world, data, monkeypatch, settings, text
):
    monkeypatch.setattr(labelled, "MAX_COEFFICIENTS", 40)
    with pytest.raises(InputError) as error:
        prepared(world, data, **settings)
    assert str(error.value) == text


@pytest.mark.parametrize("start", FROM_DATA)
def test_a_start_alone_is_a_whole_fit_by_command(world, words, start):  # noqa: F811
    options = (f"--model.start={start}", "--trainer.max_epochs=0", f"--name={start[:5]}")
    done = run(*words, *options, "--model.granularity=layer", cwd=world)
    assert done.code == 0, done.err
    assert "learned - it" in done.out
    folder = world / "artifacts/compositions" / start[:5]
    assert (folder / "coefficients.safetensors").is_file()
