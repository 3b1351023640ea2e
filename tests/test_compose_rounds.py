"""Rounds: scaling a composition's own difference again is scaling its deltas' coefficients."""

import json
import math

import pytest
import torch

from composition.__main__ import main
from composition.export import composed_delta, load_composition
from composition.rounds import Round, Rounds, check_rounds, folded
from lightning_modules.backbone import load_backbone
from lightning_modules.delta import save_delta
from tests import compose_samples as tiny
from tests.compose_export_samples import message
from tests.compose_runs import drawn_delta, open_backbone
from tests.conftest import ROOT, call


@pytest.mark.parametrize("granularity", [each for each in tiny.LORA if each != "rank"])
@pytest.mark.parametrize("make", [tiny.loras, tiny.denses])
def test_two_rounds_are_one_composition_of_the_first_deltas(make, granularity):
    deltas, x = make(), tiny.images()
    first = tiny.compose(deltas, granularity)
    with torch.no_grad():
        first.coefficients[0].mul_(0)  # a delta, and with it whole blocks, may have gone
    own = first.named_coefficients()
    second = tiny.compose([composed_delta(first, tiny.card("round 1"))], granularity)
    scales = second.named_coefficients()
    with torch.no_grad():
        twice = second.encode_image(x)
        once = first.encode_image(x)
        first.assign(folded(own, scales))
        assert torch.allclose(first.encode_image(x), twice, atol=1e-5)
    assert (twice - once).abs().max() > 0.01
    (row,) = scales.values()
    for delta, values in first.named_coefficients().items():
        for block, value in values.items():
            expected = own[delta][block] * row.get(block, 1)
            assert value == pytest.approx(expected, rel=1e-6)


def done(*scores, uses_labels=True):
    return Rounds(
        tuple(Round(n + 1, score, {}, f"runs/{n}") for n, score in enumerate(scores)), uses_labels
    )


def test_the_best_validation_score_decides_and_without_labels_the_last_round():
    assert done(0.5, 0.75, 0.75).used.number == 2
    assert done(0.5, 0.75, 0.25, uses_labels=False).used.number == 3
    rounds = done(-math.inf, 0.75)
    assert rounds.title == "2 of 2"
    assert rounds.to_json() == {
        "used": 2,
        "done": [{"score/val": None, "run": "runs/0"}, {"score/val": 0.75, "run": "runs/1"}],
    }
    assert done(0.5, 0.75).to_text().splitlines() == [
        "round     score/val  run",
        "1         0.5000     runs/0",
        "2 (used)  0.7500     runs/1",
    ]


def test_rounds_that_cannot_be_are_refused():
    fine = {"granularity": "block", "objective": "supervised", "resumes": False, "world": 1}
    check_rounds(3, **fine)
    check_rounds(1, granularity="rank", objective="self-labels", resumes=True, world=4)
    assert message(check_rounds, 0, **fine) == "--rounds is 0, expected at least 1."
    assert message(check_rounds, 2, **fine | {"granularity": "spectral:8"}) == (
        "--rounds 2 scales the sum of all deltas block by block, but granularity spectral:8 scales "
        "single directions, which one fit can scale freely already. Choose another granularity, or "
        "leave out --rounds."
    )
    assert message(check_rounds, 2, **fine | {"objective": "self-labels"}) == (
        "--rounds 2 goes on with one composition, but --model.objective self-labels asks each "
        "task's own adapters in every round. Choose another objective."
    )
    assert message(check_rounds, 2, **fine | {"resumes": True}) == (
        "--rounds 2 starts anew: leave --ckpt_path out."
    )
    assert message(check_rounds, 2, **fine | {"world": 4}) == (
        "--rounds 2 runs in one process, got 4. Set --trainer.devices=1 and --trainer.num_nodes=1."
    )


# --- from the command line ------------------------------------------------------------------------


def run(*words, cwd):
    done = call(main, *words, cwd=cwd)
    return done.code, done.out, done.err


@pytest.fixture(scope="module")
def words(world, tmp_path_factory):
    shelf = tmp_path_factory.mktemp("shelf")
    for name in ("shape", "size", "color"):
        save_delta(shelf / name, drawn_delta(open_backbone(world), name))
    task = {
        "attribute": "color", "root": str(world / "data"), "name": "hue",
        "dictionary": str(world / "dictionary.json"),
    }  # fmt: skip
    return (
        "fit", "--config", ROOT / "configs/compose.yaml", "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false", "--trainer.max_epochs=1",
        "--trainer.num_sanity_val_steps=0", "--data.batch_size=64", "--model.lr=0.1",
        f"--model.backbone={world / 'tiny'}", "--model.pretrained=random",
        f"--model.deltas=[{shelf / 'shape'},{shelf / 'size'},{shelf / 'color'}]",
        f"--data.tasks={json.dumps([task])}",
    )  # fmt: skip


def coefficients(path):
    content = torch.load(path / "checkpoints/best.ckpt", weights_only=True)
    return content["state_dict"]["composition.coefficients"]


def test_rounds_are_runs_and_end_in_a_composition_of_the_first_deltas(world, words):
    more = ("--rounds=2", "--name=again", "--model.leave_own_out=true", "--json")
    code, out, err = run(*words, *more, cwd=world)
    assert code == 0, err
    rounds = json.loads(out.splitlines()[-1])["rounds"]
    first, second = (coefficients(world / each["run"]) for each in rounds["done"])
    assert (first.shape[0], second.shape[0]) == (2, 1)
    used = rounds["used"]
    best = max(each["score/val"] for each in rounds["done"])
    assert rounds["done"][used - 1]["score/val"] == best
    assert f"again, round {used} of 2" in out
    folder = world / "artifacts/compositions/again"
    card = json.loads((folder / "composition.json").read_text())
    assert card["protocol"]["round"] == f"{used} of 2"
    assert card["protocol"]["left_out"] == ["color"]
    backbone = load_backbone(str(world / "tiny"), "random")
    loaded = load_composition(folder, backbone=backbone)
    assert loaded.composition.delta_names == ("shape", "size")
    expected = first * second if used == 2 else first
    torch.testing.assert_close(loaded.composition.coefficients.detach(), expected)


def test_a_composition_is_not_written_over_what_it_is_made_of(world, words):
    folder = world / "artifacts/compositions/again"
    code, _, err = run(*words, f"--model.deltas=[{folder}]", "--name=again", cwd=world)
    assert code == 2
    assert err.endswith(
        "error: artifacts/compositions/again is one of the deltas or part of one, so it cannot be "
        "written over. Give the new composition another --name.\n"
    )
