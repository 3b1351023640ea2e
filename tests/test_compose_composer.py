"""`Composer`: coefficients move and nothing else, runs resume, processes agree."""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from lightning.pytorch.callbacks import ModelCheckpoint

from composition.composer import Composer
from datamodules.errors import InputError
from lightning_modules.value_text import value_embeddings
from tests.compose_runs import drawn_delta, fit, open_backbone, open_data, prepared

ROOT = Path(__file__).parents[1]


@pytest.fixture(scope="module")
def data(world):
    return open_data(world)


def test_coefficients_move_the_loss_falls_and_all_else_stays(world, data):
    composer = prepared(world, data)
    before = {name: value.clone() for name, value in composer.named_parameters()}
    buffers = {name: value.clone() for name, value in composer.named_buffers()}
    seen = fit(composer, data, epochs=8)
    first, last = np.mean(seen.losses[:2]), np.mean(seen.losses[-2:])
    assert last < first - 0.03
    after = dict(composer.named_parameters())
    moved = {name for name, value in before.items() if not torch.equal(value, after[name])}
    assert moved == {"composition.coefficients"}
    assert (composer.composition.coefficients != 0.5).all(), "every coefficient has learned"
    kept = dict(composer.named_buffers())
    assert all(torch.equal(value, kept[name]) for name, value in buffers.items())
    composer.composition.detach()
    plain, mine = open_backbone(world).model.state_dict(), composer.backbone.model.state_dict()
    assert all(torch.equal(value, mine[name]) for name, value in plain.items())


def test_the_loss_is_the_mean_cross_entropy_of_the_tasks(world, data):
    composer = prepared(world, data, penalty=0.5, penalty_norm=2)
    batch = next(iter(data.train_dataloader()))
    loss = float(composer.training_step(batch, 0).detach())
    backbone, expected, start = open_backbone(world), [], 0
    for name, part in zip(data.tasks, batch["parts"], strict=True):
        task, stop = data.tasks[name], start + len(part["index"])
        with torch.no_grad():
            prompts = task.prompts(task.attribute)
            text = value_embeddings(backbone.model, backbone.tokenizer, prompts)
            image = composer.encode_image(batch["image"][start:stop])
        scores = (image @ text.T).double().numpy() * float(backbone.model.logit_scale.exp())
        shown = task.labels(task.attribute).label[task.members("train")].any(axis=0)
        log_p = scores - np.log(np.exp(scores[:, shown]).sum(1, keepdims=True))
        expected.append(-log_p[np.arange(len(scores)), part["label"].argmax(1)].mean())
        start = stop
    assert loss == pytest.approx(np.mean(expected) + 0.5 * 0.5**2, abs=1e-4)


def test_validation_scores_are_those_of_the_composition(world, data):
    composer = prepared(world, data)
    seen = fit(composer, data, epochs=1)
    scores = {}
    for name, task in data.tasks.items():
        members = task.members("validation")
        image = torch.from_numpy(task.source.pixels(64)[members]).permute(0, 3, 1, 2)
        with torch.no_grad():
            head = next(head for head in composer.task_heads if head.name == name)
            guess = (composer.encode_image(image) @ head.text_VD.T).argmax(1).numpy()
        truth = task.labels(task.attribute).label[members].argmax(1)
        scores[name] = (guess == truth).mean()
        assert seen.scores[-1][f"accuracy/val/{name}"] == pytest.approx(scores[name], abs=1e-6)
    mean = np.mean(list(scores.values()))
    assert seen.scores[-1]["score/val"] == pytest.approx(mean, abs=1e-6)


def test_a_penalty_draws_coefficients_to_zero(world, data):
    sizes = []
    for penalty in (0.0, 5.0):
        composer = prepared(world, data, penalty=penalty)
        fit(composer, data, epochs=4)
        sizes.append(float(composer.composition.coefficients.detach().abs().mean()))
    assert sizes[1] < 0.5 * sizes[0]


def test_a_resumed_run_ends_like_an_uninterrupted_one(world, data, tmp_path):
    def run(**options):
        composer = prepared(world, open_data(world), objective="fixmatch", start="sum")
        torch.manual_seed(len(options))  # what the process drew before must not matter
        keeper = ModelCheckpoint(
            tmp_path, "{epoch}", save_top_k=-1, monitor=None, save_on_train_epoch_end=True
        )
        fit(composer, composer.data, 4, callbacks=[keeper], enable_checkpointing=True, **options)
        return composer

    whole = run()
    path = tmp_path / "epoch=1.ckpt"
    content = torch.load(path, weights_only=True)
    assert set(content["state_dict"]) == {"composition.coefficients"}
    saved = content["state_dict"]["composition.coefficients"]
    final = whole.composition.coefficients
    assert not torch.equal(saved, final)
    assert torch.equal(run(ckpt_path=path).composition.coefficients, final)


def test_a_checkpoint_of_other_deltas_is_refused(world, data, tmp_path):
    composer = prepared(world, data)
    keeper = ModelCheckpoint(tmp_path, "one")
    fit(composer, data, 1, callbacks=[keeper], enable_checkpointing=True)
    other = prepared(world, data, names=("shape", "color"))
    with pytest.raises(InputError) as error:
        fit(other, data, 2, ckpt_path=tmp_path / "one.ckpt")
    assert str(error.value) == (
        "--ckpt_path: expected a checkpoint of the deltas shape, color, got one of color, shape. "
        "Resume with the settings it was started with, or start anew without --ckpt_path."
    )


# --- starts ---------------------------------------------------------------------------------------


@pytest.mark.parametrize("granularity", ["block", "head", "rank", "partition:2", "global"])
def test_a_start_is_the_base_the_mean_or_the_sum(world, data, granularity):
    for kind, number in (("zero", 0), ("mean", 0.5), ("sum", 1)):
        composer = prepared(world, data, granularity=granularity, start=kind)
        assert (composer.composition.coefficients == number).all()


def image_of(composer, data):
    task = data.tasks["glyphs/color"]
    pixels = np.array(task.source.pixels(64)[task.members("validation")[:8]])
    with torch.no_grad():
        return composer.encode_image(torch.from_numpy(pixels).permute(0, 3, 1, 2))


def test_shared_directions_start_at_what_they_hold_of_mean_and_sum(world, data):
    # k = all ranks of both deltas: the directions hold nearly all of both.
    for kind in ("zero", "mean", "sum"):
        whole = prepared(world, data, start=kind)
        shared = prepared(world, data, granularity="spectral:4", start=kind)
        near = F.cosine_similarity(image_of(whole, data), image_of(shared, data)).min()
        base = F.cosine_similarity(
            image_of(whole, data), image_of(prepared(world, data, start="zero"), data)
        ).min()
        assert near > (0.999 if kind == "zero" else base + 0.5 * (1 - base)), (kind, near, base)


def test_shared_directions_count_the_deltas_that_change_a_module(world, data):
    backbone = open_backbone(world)
    one, two = (drawn_delta(backbone, name) for name in ("color", "shape"))
    first = next(iter(two.factors))
    del two.factors[first]
    composed = [
        prepared(world, data, granularity="spectral:4", deltas=[one, two], start=kind)
        for kind in ("mean", "sum")
    ]
    mean, total = (each.composition.coefficients.detach() for each in composed)
    torch.testing.assert_close(total, 2 * mean)
    from composition.granularity import Granularity
    from composition.plan import Plan

    plan = Plan.of(composed[0].basis, Granularity.parse("spectral:4"))
    alone = torch.zeros(len(total), dtype=torch.bool)
    alone[plan.directions[first].flatten()] = True
    torch.testing.assert_close(total[alone], plan.start[alone])
    torch.testing.assert_close(total[~alone], 2 * plan.start[~alone])


def test_the_solved_start_is_the_closed_form(world, data):
    from composition.basis import Basis
    from composition.solvers import delta_moments, least_squares

    composer = prepared(world, data, start="solved")
    backbone = open_backbone(world)
    basis = Basis.from_deltas(
        [drawn_delta(backbone, name) for name in ("color", "shape")], backbone
    )
    expected = least_squares(basis, "layer", moments=delta_moments(basis)).coefficients
    found = composer.composition.named_coefficients()
    for delta, row in expected.items():
        assert found[delta] == pytest.approx(row, rel=1e-6)


def test_backbone_and_deltas_are_loaded_by_the_settings(world, fitted):
    data = open_data(world)
    composer = Composer(
        deltas=[str(fitted.delta)], backbone=str(world / "tiny"), pretrained="random", start="sum"
    )
    fit(composer, data, epochs=1)
    assert list(composer.deltas) == [fitted.delta]
    assert composer.delta_names == ("color",)
    composer.composition.one_hot("color")
    row = json.loads(fitted.done.out.splitlines()[-1])["rows"][0]
    assert (row["split"], row["attribute"]) == ("validation", "color")
    assert composer.trainer.validate(composer, data, verbose=False)[0][
        "accuracy/val/glyphs/color"
    ] == pytest.approx(row["adapted"], abs=1e-6)


# --- what is refused ------------------------------------------------------------------------------


def message(call, *args, **options):
    with pytest.raises(InputError) as caught:
        call(*args, **options)
    return str(caught.value)


def test_settings_that_do_not_fit_are_refused(world, data):
    assert message(Composer, penalty=-1) == "--model.penalty is -1, expected 0 or more."
    assert message(Composer, forget=["glyphs/color"]) == (
        "--model.forget needs --model.objective negation, got supervised. Set it, or leave "
        "--model.forget out."
    )
    assert message(prepared, world, data, granularity="head", start="solved").startswith(
        "granularity is head, expected one that scales each weight of a delta as a whole: global"
    )


def test_deltas_of_the_text_tower_are_refused_before_the_model_is_touched(world, data):
    backbone = open_backbone(world)
    color = {Path("color"): drawn_delta(backbone, "color")}
    shape = drawn_delta(backbone, "shape", towers=("visual.", "transformer."))
    composer = Composer()
    assert message(composer.prepare, data, backbone, color | {Path("shape"): shape}) == (
        "expected deltas of the image tower alone, got 1 that change others: shape. Train them "
        "with --model.towers vision: the values' embeddings are fixed while coefficients are "
        "fitted."
    )
    composer.prepare(data, backbone, color)


def test_no_delta_is_refused(world, data):
    assert message(Composer().prepare, data, open_backbone(world), {}) == (
        "expected at least one delta to compose, got none. Train one first."
    )


# --- two processes --------------------------------------------------------------------------------

WORKER = """
import sys
from pathlib import Path
import torch
from tests.compose_runs import fit, open_data, prepared

if __name__ == "__main__":
    world, out, devices = Path(sys.argv[1]), Path(sys.argv[2]), int(sys.argv[3])
    composer = prepared(world, open_data(world, batch_size=32), granularity="block")
    seen = fit(composer, composer.data, 2, devices=devices, strategy="ddp")
    if composer.global_rank == 0:
        torch.save([composer.composition.coefficients.detach(), seen.losses, seen.scores], out)
"""


@pytest.mark.ddp
def test_two_processes_learn_what_one_learns(world, tmp_path):
    script = tmp_path / "worker.py"
    script.write_text(WORKER)
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_PORT", "NODE_RANK"):
        environment.pop(name, None)
    done = subprocess.run(
        [sys.executable, script, world, tmp_path / "two.pt", "2"],
        cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300,
    )  # fmt: skip
    assert done.returncode == 0, done.stderr[-3000:]
    alone = prepared(world, open_data(world, batch_size=32), granularity="block")
    seen = fit(alone, alone.data, 2)
    coefficients, losses, scores = torch.load(tmp_path / "two.pt", weights_only=True)
    torch.testing.assert_close(
        coefficients, alone.composition.coefficients.detach(), atol=1e-4, rtol=0
    )
    assert losses == pytest.approx(seen.losses, abs=1e-4)
    assert scores[-1] == pytest.approx(seen.scores[-1], abs=1e-4)
