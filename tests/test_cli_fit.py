"""`python -m lightning_modules fit | test | evaluate | verify | export`, as a user runs them."""

import json
import math
import shutil
import subprocess
import sys
from pathlib import Path

import open_clip
import pytest
import torch
import yaml
from safetensors.torch import load_file
from tensorboard.backend.event_processing.event_accumulator import EventAccumulator
from torch import nn

from lightning_modules.backbone import load_backbone
from lightning_modules.delta import load_delta

ROOT = Path(__file__).parents[1]
LIBRARY_LINES = ("litlogger", "Warning", "GPU available", "Seed set", "deprecated", "v_num")


def last_json(done):
    return json.loads(done.out.splitlines()[-1])


@pytest.fixture
def delta(fitted, tmp_path):
    """A copy of the trained delta, to be tampered with."""
    return Path(shutil.copytree(fitted.delta, tmp_path / "color"))


@pytest.fixture
def again(world):
    return ("--root", world / "data", "--dictionary", world / "dictionary.json")


def test_help_lists_every_command_without_loading_torch():
    code = (
        "import sys; from lightning_modules.__main__ import main; main(['--help']); "
        "sys.exit('torch' in sys.modules)"
    )
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    for name in ("fit", "validate", "test", "evaluate", "verify", "export", "study", "base"):
        assert f"\n  {name} " in done.stdout


def test_fit_ends_with_the_table_the_paths_and_one_json_object(fitted):
    lines = fitted.done.out.splitlines()
    assert "color on glyphs, tiny" in lines
    assert "delta      artifacts/deltas/tiny/glyphs/color" in lines
    assert "run        runs/train/color/version_0" in lines
    result = last_json(fitted.done)
    assert result["delta"] == "artifacts/deltas/tiny/glyphs/color"
    cells = [(row["attribute"], row["split"]) for row in result["rows"]]
    assert cells == [
        (attribute, split)
        for attribute in ("color", "shape", "texture", "size")
        for split in ("validation", "test_seen", "test_unseen")
    ]


def test_fit_prints_only_what_a_user_can_use(fitted):
    notes = fitted.done.err.splitlines()
    assert len(notes) == 2
    assert notes[0].endswith("has RANDOM weights (seed 0): its scores mean nothing.")
    assert notes[1].startswith(
        "note: color (12 values, softmax) on 128 images of glyphs; tiny with"
    )
    assert not [word for word in LIBRARY_LINES if word in fitted.done.out]


def test_fit_leaves_no_half_written_file(fitted, world):
    assert not [path for path in world.rglob("*") if path.name.startswith((".partial", ".old"))]


def test_checkpoint_holds_the_trainable_tensors_only(fitted):
    checkpoint = torch.load(fitted.run / "checkpoints/last.ckpt", weights_only=True)
    names = checkpoint["state_dict"]
    assert names
    assert all(".lora_A." in name or ".lora_B." in name for name in names)
    assert checkpoint["aspectra"]["attribute"] == "color"


def test_last_checkpoint_is_of_the_last_epoch_and_best_of_the_best(fitted):
    epochs = {
        name: torch.load(fitted.run / f"checkpoints/{name}.ckpt", weights_only=True)["epoch"]
        for name in ("last", "best")
    }
    events = EventAccumulator(str(fitted.run)).Reload()
    scores = [each.value for each in events.Scalars("score/val")]
    assert epochs == {"last": len(scores) - 1, "best": scores.index(max(scores))}


def test_every_trainable_tensor_has_moved_and_the_base_has_not(fitted, world):
    factors = load_file(fitted.delta / "adapter_model.safetensors")
    checkpoint = torch.load(fitted.run / "checkpoints/last.ckpt", weights_only=True)
    ups = [value for name, value in checkpoint["state_dict"].items() if ".lora_B." in name]
    assert len(ups) == 2 * 6
    assert all(value.abs().max() > 0 for value in ups)
    moments = checkpoint["optimizer_states"][0]["state"]
    assert len(moments) == len(checkpoint["state_dict"])
    assert all(state["exp_avg_sq"].abs().max() > 0 for state in moments.values())
    assert len(factors) == len(checkpoint["state_dict"])
    card = json.loads((fitted.delta / "delta.json").read_text())
    assert card["fingerprint"] == load_backbone(str(world / "tiny"), "random").fingerprint


def test_delta_is_that_of_the_best_epoch(fitted):
    best = torch.load(fitted.run / "checkpoints/best.ckpt", weights_only=True)["state_dict"]
    factors = load_file(fitted.delta / "adapter_model.safetensors")
    assert {tuple(value.shape) for value in best.values()} == {
        tuple(value.shape) for value in factors.values()
    }
    sums = sorted(float(value.double().sum()) for value in best.values())
    assert sums == sorted(float(value.double().sum()) for value in factors.values())


def test_card_says_how_it_was_made(fitted):
    card = json.loads((fitted.delta / "delta.json").read_text())
    assert card["command"].startswith("python -m lightning_modules fit --config ")
    assert "--data.attribute=color" in card["command"]
    assert card["protocol"] == {
        "selected_on": "validation",
        "reported_on": ["test_seen", "test_unseen"],
        "information": "labelled training split",
        "objective": "softmax",
        "towers": "vision",
        "split": "official",
    }
    shown = {(row["split"], row["attribute"]): row for row in last_json(fitted.done)["rows"]}
    assert card["metrics"]["test_seen"]["base"]["accuracy"] == shown["test_seen", "color"]["base"]
    other = card["metrics"]["test_unseen"]["adapted"]["accuracy/shape"]
    assert other == shown["test_unseen", "shape"]["adapted"]


def test_saved_config_trains_again(fitted, world, run, tmp_path):
    config = yaml.safe_load((fitted.run / "config.yaml").read_text())
    assert config["trainer"]["plugins"] is None  # what we add by ourselves is not asked for again
    done = run(
        "fit", "--config", fitted.run / "config.yaml", "--trainer.fast_dev_run=true", cwd=tmp_path
    )
    assert done.code == 0, done.err
    assert "a few steps went through, nothing was saved" in done.err
    assert not (tmp_path / "artifacts").exists()


def test_test_scores_each_split_of_a_checkpoint(fitted, world, fit_words, run):
    words = ("test", *fit_words[1:], "--ckpt_path=best", "--json")
    done = run(*words, cwd=world)
    assert done.code == 0, done.err
    found = last_json(done)["metrics"]
    card = json.loads((fitted.delta / "delta.json").read_text())
    for split in ("test_seen", "test_unseen"):
        claimed = card["metrics"][split]["adapted"]["accuracy"]
        assert found[f"accuracy/{split}"] == pytest.approx(claimed, abs=1e-6)
    assert last_json(done)["run"] == "runs/test/color/version_0"


def test_evaluate_gives_the_numbers_of_the_fit(fitted, world, again, run):
    words = ("evaluate", "--attribute=color", "--backbone=tiny", "--pretrained=random", "--json")
    done = run(*words, *again, cwd=world)
    assert done.code == 0, done.err
    assert last_json(done)["rows"] == last_json(fitted.done)["rows"]


def test_evaluate_without_a_delta_scores_the_base_and_says_how_to_train(
    fitted, world, again, run, tmp_path
):
    words = ("evaluate", "--attribute=shape", "--backbone=tiny", "--pretrained=random", "--json")
    done = run(*words, *again, cwd=world)
    assert done.code == 0
    assert "train it with: make train ATTR=shape" in done.err
    first = last_json(done)["rows"][0]
    assert first["attribute"] == "shape"
    assert first["base"] >= 0
    assert first["adapted"] is None


def test_verify_passes_on_a_fresh_delta(delta, world, again, run):
    done = run("verify", delta, *again, "--json", cwd=world)
    assert done.code == 0, done.err
    assert "every claim holds within 0.005" in done.out
    assert last_json(done)["holds"] is True


def test_verify_fails_on_a_claim_that_is_too_good(delta, world, again, run):
    card = json.loads((delta / "delta.json").read_text())
    card["metrics"]["test_seen"]["adapted"]["accuracy"] += 0.2
    (delta / "delta.json").write_text(json.dumps(card))
    done = run("verify", delta, *again, "--json", cwd=world)
    assert done.code == 1
    assert "does not hold: test_seen adapted accuracy: claimed" in done.err
    assert last_json(done)["holds"] is False


def test_verify_fails_on_a_delta_without_claims(delta, world, again, run):
    card = json.loads((delta / "delta.json").read_text())
    card["metrics"] = {}
    (delta / "delta.json").write_text(json.dumps(card))
    done = run("verify", delta, *again, cwd=world)
    assert done.code == 1
    assert "the delta claims nothing: its card holds no metrics" in done.err


def test_export_loads_in_plain_open_clip_and_scores_like_the_delta(fitted, world, run, tmp_path):
    done = run("export", fitted.delta, f"--out={tmp_path / 'merged'}", cwd=world)
    assert done.code == 0, done.err
    assert done.out.splitlines()[-1] == f"model      {tmp_path / 'merged'}"
    plain = open_clip.create_model(f"local-dir:{tmp_path / 'merged'}").eval()
    state = load_file(tmp_path / "merged/open_clip_model.safetensors")
    plain.load_state_dict(state, strict=True)
    backbone = load_backbone(str(world / "tiny"), "random")
    adapted = load_delta(fitted.delta, backbone=backbone).attach(backbone.model).eval()
    image = torch.randn(3, 3, 64, 64, generator=torch.Generator().manual_seed(0))
    with torch.no_grad():
        expected = adapted.base_model.model.encode_image(image)
        torch.testing.assert_close(plain.encode_image(image), expected, atol=1e-5, rtol=0)


OPTIONS = {
    "both towers": ("--model.towers=both",),
    "sigmoid": ("--model.objective=sigmoid",),
    "contrastive": ("--model.objective=contrastive",),
    "balanced and dropout": ("--model.class_balanced=true", "--model.lora_dropout=0.1"),
    "no penalty": ("--model.keep_weight=0",),
    "last block, MLP": ("--model.blocks=last:1", "--model.target_modules=[c_fc,c_proj]"),
}


@pytest.mark.parametrize("options", OPTIONS.values(), ids=OPTIONS)
def test_every_option_trains_and_its_delta_holds(options, world, fit_words, again, run, tmp_path):
    words = (*fit_words, "--trainer.max_epochs=1", *options, "--json")
    done = run(*words, cwd=tmp_path)
    assert done.code == 0, done.err
    result = last_json(done)
    assert all(math.isfinite(row["adapted"]) for row in result["rows"])
    checked = run("verify", result["delta"], *again, f"--backbone={world / 'tiny'}", cwd=tmp_path)
    assert checked.code == 0, checked.err


def test_compiled_training_gives_the_same_adapter(world, fit_words, run, tmp_path, monkeypatch):
    # The "eager" backend traces like the default one but needs no C++ compiler, nor a minute.
    compiled = nn.Module.compile
    calls = []
    monkeypatch.setattr(
        nn.Module, "compile", lambda self: (calls.append(self), compiled(self, backend="eager"))
    )
    states = []
    for flag in ("false", "true"):
        folder = tmp_path / flag
        folder.mkdir()
        words = (*fit_words, "--trainer.max_epochs=1", f"--model.compile={flag}")
        done = run(*words, "--json", cwd=folder)
        assert done.code == 0, done.err
        delta = folder / last_json(done)["delta"]
        states.append(load_file(delta / "adapter_model.safetensors"))
    assert len(calls) == 1
    for name, value in states[0].items():
        torch.testing.assert_close(states[1][name], value, atol=1e-5, rtol=1e-4)
