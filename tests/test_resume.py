"""A run that is killed and resumed ends like one that was left alone, to the last bit."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest
import torch
from safetensors.torch import load_file

ROOT = Path(__file__).parents[1]
PATIENCE = 300  # seconds


def checkpoint(run, name="last"):
    return torch.load(run / f"checkpoints/{name}.ckpt", weights_only=True)


def best_score(content):
    keepers = [each for name, each in content["callbacks"].items() if "score/val" in name]
    return float(keepers[0]["best_model_score"])


def kill_after_first_epoch(words, cwd):
    """Start the command, and kill it as soon as its second checkpoint is whole."""
    environment = os.environ | {
        "PYTHONPATH": str(ROOT),
        "OMP_NUM_THREADS": str(torch.get_num_threads()),
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "lightning_modules", *map(str, words)],
        cwd=cwd,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.PIPE,
    )
    last = cwd / "runs/train/color/version_0/checkpoints/last.ckpt"
    started = time.monotonic()
    while not last.exists():
        if process.poll() is not None or time.monotonic() - started > PATIENCE:
            process.kill()
            pytest.fail(f"no checkpoint: {process.communicate()[1].decode()[-2000:]}")
        time.sleep(0.005)
    process.send_signal(signal.SIGKILL)
    assert process.wait() == -signal.SIGKILL


@pytest.fixture(scope="module")
def resumed(fitted, fit_words, run, tmp_path_factory):
    """A run killed in the middle and resumed; `left_at` is the epoch it was left at."""
    folder = tmp_path_factory.mktemp("killed")
    kill_after_first_epoch(fit_words, folder)
    version = folder / "runs/train/color/version_0"
    left_at = checkpoint(version)["epoch"]
    # What a process that is killed while it writes leaves behind.
    (version / "checkpoints/.partial-last.ckpt").write_bytes(b"half")
    done = run(*fit_words, "--ckpt_path=last", cwd=folder)
    assert done.code == 0, done.err
    return folder, left_at


def test_the_run_was_killed_in_the_middle(resumed, fitted):
    assert resumed[1] < checkpoint(fitted.run)["epoch"]


def test_resumed_weights_and_optimizer_equal_those_of_an_uninterrupted_run(resumed, fitted):
    one, other = checkpoint(fitted.run), checkpoint(resumed[0] / "runs/train/color/version_0")
    assert one["global_step"] == other["global_step"]
    assert one["state_dict"].keys() == other["state_dict"].keys()
    for name, value in one["state_dict"].items():
        assert torch.equal(value, other["state_dict"][name]), name
    states = [each["optimizer_states"][0]["state"] for each in (one, other)]
    for number, moments in states[0].items():
        for name, value in moments.items():
            assert torch.equal(value, states[1][number][name]), (number, name)
    assert one["lr_schedulers"] == other["lr_schedulers"]


def test_resumed_delta_and_its_metrics_equal_those_of_an_uninterrupted_run(resumed, fitted):
    delta = resumed[0] / "artifacts/deltas/tiny/glyphs/color"
    one, other = (load_file(each / "adapter_model.safetensors") for each in (fitted.delta, delta))
    assert all(torch.equal(value, other[name]) for name, value in one.items())
    cards = [json.loads((each / "delta.json").read_text()) for each in (fitted.delta, delta)]
    assert cards[0]["metrics"] == cards[1]["metrics"]


def test_the_best_epoch_of_before_the_kill_still_counts(resumed, fitted):
    one, other = fitted.run, resumed[0] / "runs/train/color/version_0"
    scores = [best_score(checkpoint(each)) for each in (one, other)]
    assert scores[0] == scores[1]
    assert checkpoint(one, "best")["epoch"] == checkpoint(other, "best")["epoch"]


def test_a_resumed_run_goes_on_in_its_folder_and_leaves_nothing_half_written(resumed):
    versions = [path.name for path in (resumed[0] / "runs/train/color").iterdir()]
    assert versions == ["version_0"]
    assert not list(resumed[0].rglob(".partial*"))


def test_flags_that_the_checkpoint_overrules_are_named(fitted, world, fit_words, run):
    words = ("validate", *fit_words[1:], "--ckpt_path=best", "--model.r=16")
    done = run(*words, cwd=world)
    assert done.code == 0, done.err
    assert "--model.r is 4 (from --ckpt_path), not 16" in done.err
