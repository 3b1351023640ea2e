"""Two processes do together what one does alone, write once, and end together."""

import json
import os
import subprocess
import sys
import time
from pathlib import Path
from subprocess import Popen
from types import SimpleNamespace

import pytest
import torch
from safetensors.torch import load_file

from datamodules.errors import InputError
from lightning_modules.callbacks import end_together
from lightning_modules.callbacks.end_together import EndTogether, farewell

ROOT = Path(__file__).parents[1]
TWO = ("--trainer.devices=2", "--trainer.strategy=ddp")


def two_processes(words, cwd):
    environment = os.environ | {"PYTHONPATH": str(ROOT), "OMP_NUM_THREADS": "1"}
    for name in ("LOCAL_RANK", "RANK", "WORLD_SIZE", "MASTER_PORT", "NODE_RANK"):
        environment.pop(name, None)
    return subprocess.run(
        [sys.executable, "-m", "lightning_modules", *map(str, words), *TWO],
        cwd=cwd,
        env=environment,
        capture_output=True,
        text=True,
        timeout=300,
    )


@pytest.mark.ddp
def test_two_processes_do_together_what_one_does_alone(fit_words, fitted, tmp_path):
    """One test, so that the run is never made twice by two test processes."""
    done = two_processes((*fit_words, "--json"), tmp_path)
    assert done.returncode == 0, done.stderr[-3000:]
    _learned_the_same(fitted, done, tmp_path)
    _validated_every_image_once(fitted, tmp_path)
    _wrote_and_spoke_once(done, tmp_path)


def _learned_the_same(fitted, done, folder):
    delta = folder / "artifacts/deltas/tiny/glyphs/color"
    one, other = (load_file(each / "adapter_model.safetensors") for each in (fitted.delta, delta))
    for name, value in one.items():
        torch.testing.assert_close(other[name], value, atol=1e-5, rtol=0)
    rows = [json.loads(out.splitlines()[-1])["rows"] for out in (fitted.done.out, done.stdout)]
    for mine, theirs in zip(*rows, strict=True):
        assert mine["adapted"] == pytest.approx(theirs["adapted"], abs=0.026)  # one image of 40
        assert mine["base"] == theirs["base"]


def _validated_every_image_once(fitted, folder):
    scores = [
        torch.load(each / "checkpoints/last.ckpt", weights_only=True)["callbacks"]
        for each in (fitted.run, folder / "runs/train/color/version_0")
    ]
    best = [
        next(float(v["best_model_score"]) for k, v in each.items() if "score/val" in k)
        for each in scores
    ]
    assert best[0] == pytest.approx(best[1], abs=1e-5)


def _wrote_and_spoke_once(done, folder):
    version = folder / "runs/train/color"
    assert [path.name for path in version.iterdir()] == ["version_0"]
    assert len(list(version.rglob("events.out.tfevents.*"))) == 1
    assert len(list(folder.rglob("delta.json"))) == 1
    assert done.stdout.count("color on glyphs, tiny\n") == 1
    notes = done.stderr.splitlines()
    assert [line for line in notes if not line.startswith("note: ")] == []
    assert len(notes) == 2
    assert notes[1].endswith("on cpu x 2")


@pytest.mark.ddp
def test_an_error_in_both_processes_is_said_once_and_ends_both(fit_words, tmp_path):
    done = two_processes((*fit_words, "--model.lr=1e30", "--model.warmup_steps=0"), tmp_path)
    assert done.returncode == 2, done.stderr[-3000:]
    errors = [line for line in done.stderr.splitlines() if line.startswith("error: ")]
    assert len(errors) == 1, done.stderr[-3000:]
    assert errors[0].startswith("error: expected a finite training loss, got nan or inf at step")
    assert "Traceback" not in done.stderr


def sleeper(code=None):
    """A process that ends with `code`, or never."""
    text = "import time; time.sleep(600)" if code is None else f"raise SystemExit({code})"
    return Popen([sys.executable, "-c", text])


def fake_trainer(*processes):
    launcher = SimpleNamespace(procs=list(processes))
    return SimpleNamespace(strategy=SimpleNamespace(launcher=launcher))


def test_an_error_of_the_first_process_ends_the_others():
    other = sleeper()
    trainer = fake_trainer(other)
    callback = EndTogether()
    callback.setup(trainer, None, "fit")
    started = time.monotonic()
    callback.on_exception(trainer, None, InputError("full disk"))
    assert other.wait(timeout=10) == -9
    assert time.monotonic() - started < end_together.GRACE


def test_the_first_process_ends_when_another_one_does(monkeypatch, capfd):
    ended = []

    def leave(code):
        ended.append(code)
        raise SystemExit  # ends the thread that watches

    monkeypatch.setattr(end_together.os, "_exit", leave)
    lost, healthy = sleeper(7), sleeper()
    EndTogether().setup(fake_trainer(lost, healthy), None, "fit")
    assert healthy.wait(timeout=20) == -9
    deadline = time.monotonic() + 10
    while not ended and time.monotonic() < deadline:
        time.sleep(0.02)
    assert ended == [2]
    assert "error: process 1 ended with exit code 7" in capfd.readouterr().err


def test_a_process_that_has_explained_itself_is_not_explained_again():
    assert farewell(1, 2) == ""
    assert farewell(3, -9).startswith(
        "process 3 was ended by signal 9 (9 is often a lack of memory)"
    )


def test_nothing_is_watched_where_one_process_is_alone():
    callback = EndTogether()
    callback.setup(SimpleNamespace(strategy=SimpleNamespace(launcher=None)), None, "fit")
    assert not callback._armed.is_set()
