"""Every command of the README works: it is taken from the page, shrunk, and run in a copy."""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from datamodules.__main__ import main as data_main
from datamodules.sources.glyphs.source import write
from interpret.__main__ import main as interpret_main
from lightning_modules.__main__ import main as training_main

REPOSITORY = Path(__file__).parents[1]
SMALL = {"train": 96, "validation": 48, "test_seen": 40, "test_unseen": 40}
SHRINK = ["--trainer.max_epochs=1", "--trainer.enable_progress_bar=false"]
# Servers, whole suites and long studies are only looked at, not run; nor is composing, which needs
# two deltas and has tests of its own.
ONLY_LISTED = {"test", "tensorboard", "bench", "experiment", "train-all", "compose"}
MAINS = {
    "datamodules": data_main,
    "lightning_modules": training_main,
    "interpret": interpret_main,
}
# Not an error: the checkpoint, the folder and the weights are the reader's own.
PLACEHOLDERS = ("last.ckpt", "path/to")


def commands() -> list[str]:
    blocks = re.findall(r"```bash\n(.*?)```", (REPOSITORY / "README.md").read_text(), re.DOTALL)
    lines = [line.split("#")[0].strip() for block in blocks for line in block.splitlines()]
    return [line for line in lines if line]


@pytest.fixture(scope="module")
def copy(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The project without what it made, with a small drawn data set."""
    target = tmp_path_factory.mktemp("project")
    for name in ("configs", "datamodules", "lightning_modules", "Makefile", "requirements.lock"):
        source = REPOSITORY / name
        (shutil.copytree if source.is_dir() else shutil.copy)(source, target / name)
    shutil.copytree(REPOSITORY / "artifacts/base", target / "artifacts/base")
    write(target / "artifacts/data/glyphs", SMALL)
    return target


def python_commands(line: str, directory: Path) -> list[list[str]]:
    """The `python -m ...` commands that a line runs; of a make line, by `make -n`."""
    if line.startswith(".venv/bin/python -m "):
        return [shlex.split(line)]
    target = [*shlex.split(line), "VENV=none"]
    # Not the variables of the `make` that may be running these tests.
    clean = {key: value for key, value in os.environ.items() if not key.startswith(("MAKE", "MFL"))}
    shown = subprocess.run(
        [target[0], "-n", *target[1:]], cwd=directory, env=clean, capture_output=True, text=True,
        check=True,
    )  # fmt: skip
    text = shown.stdout.replace("\\\n", " ")
    found = [each for each in text.splitlines() if "none/bin/python -m" in each]
    return [shlex.split(each.strip().lstrip("@")) for each in found if " -m pip" not in each]


def test_the_page_opens_with_train_and_test() -> None:
    assert commands()[:2] == ["make train ATTR=color", "make test"]


@pytest.mark.parametrize("line", commands())
def test_make_knows_every_command(line: str, copy: Path) -> None:
    assert python_commands(line, copy), "the target runs a Python command"


def test_the_commands_run_in_the_order_of_the_page(
    copy: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.chdir(copy)
    ran = []
    for line in commands():
        target = line.split()[1]
        if target in ONLY_LISTED or "devices 2" in line or any(p in line for p in PLACEHOLDERS):
            continue
        (command,) = python_commands(line, copy)
        room, arguments = command[2], command[3:]
        if arguments[:1] == ["fit"]:
            shrunk = [*arguments, *SHRINK]
            monkeypatch.setattr(sys, "argv", ["lightning_modules", *shrunk])
            code = training_main(shrunk)
        else:
            code = MAINS[room](arguments)
        out = capsys.readouterr()
        assert code == 0, f"{line}: {out.err[-500:]}"
        ran.append(target if line.startswith("make ") else arguments[1])
    assert ran == [
        "train", "evaluate", "verify", "dictionary", "interpret", "doctor", "train",
        "dictionary", "show", "review", "review", "edit", "export",
    ]  # fmt: skip
