"""The Makefile and `.ci/setup`: what a person types, and what they are told when it is wrong."""

import os
import re
import shutil
import stat
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
pytestmark = pytest.mark.skipif(shutil.which("make") is None, reason="make is not installed")

TARGETS = {
    "help", "install", "doctor", "lock", "base", "dictionary", "train", "train-all", "evaluate",
    "verify", "test", "test-gpu", "test-ddp", "lint", "format", "types", "layers", "check", "bench",
    "bench-gpu", "prepare", "split", "tensorboard", "clean", "experiment", "compose",
    "interpret",
}  # fmt: skip


def run(*command, cwd=ROOT, path=None, **environment):
    """A command outside the `make` that may be running these tests."""
    clean = {key: value for key, value in os.environ.items() if not key.startswith("MAKE")}
    clean.pop("MFLAGS", None)
    clean.update(environment)
    if path is not None:
        clean["PATH"] = f"{path}:/usr/bin:/bin"
    return subprocess.run(
        [str(word) for word in command], cwd=cwd, env=clean, capture_output=True, text=True
    )


def script(path, text):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("#!/bin/sh\n" + text)
    path.chmod(path.stat().st_mode | stat.S_IXUSR)


@pytest.fixture
def venv(tmp_path):
    """An environment that counts as installed, whose Python prints its arguments, one a line."""
    folder = tmp_path / "venv"
    script(folder / "bin/python", "printf '[%s]\\n' \"$@\"\n")
    shutil.copy(ROOT / "requirements.lock", folder / ".installed")
    return folder


def words(output):
    return re.findall(r"^\[(.*)\]$", output, re.MULTILINE)


def test_make_alone_lists_every_target():
    done = run("make")
    assert done.returncode == 0
    assert set(re.findall(r"^  ([a-z-]+)  +\S", done.stdout, re.MULTILINE)) == TARGETS


def test_every_target_is_phony_and_explained():
    text = (ROOT / "Makefile").read_text()
    assert set(re.findall(r"^\.PHONY: ([a-z-]+)$", text, re.MULTILINE)) == TARGETS
    assert set(re.findall(r"^([a-z-]+):.*## \S", text, re.MULTILINE)) == TARGETS


def test_train_without_an_attribute_says_so_before_anything_is_installed(tmp_path):
    done = run("make", "train", f"VENV={tmp_path / 'none'}")
    assert done.returncode == 2
    assert (
        "ATTR is not set: expected the name of an attribute, got nothing. "
        "Example: make train ATTR=color." in done.stderr
    )
    assert not (tmp_path / "none").exists()


def test_evaluate_and_verify_name_what_they_need():
    assert "Example: make evaluate ATTR=color." in run("make", "-n", "evaluate").stderr
    stderr = run("make", "-n", "verify").stderr
    assert "DELTA is not set: expected the folder of a delta, got nothing." in stderr


def test_a_mistyped_variable_is_refused():
    done = run("make", "-n", "train", "ATTR=color", "DEVICE=4")
    assert done.returncode == 2
    assert "DEVICE is not a variable here: expected one of ATTR ATTRS DATA ROOT" in done.stderr


def test_dry_run_shows_one_command_a_person_could_type(venv):
    done = run("make", "-n", "train", "ATTR=../x", f"VENV={venv}")
    assert done.returncode == 0
    assert done.stdout.count("-m lightning_modules fit") == 1
    assert ".ci/setup" not in done.stdout
    assert "--data.attribute='../x'" in done.stdout


@pytest.mark.parametrize(
    "name", ["color", "../x", "wing color", "it's", "a;exit 9", "$HOME", "`id`", "-x", "#1", "a,b"]
)
def test_an_attribute_reaches_the_command_as_it_was_typed(venv, name):
    done = run("make", "train", f"ATTR={name}", f"VENV={venv}")
    assert done.returncode == 0, done.stderr
    assert f"--data.attribute={name}" in words(done.stdout)


def test_train_passes_each_variable_on_and_leaves_out_the_unset(venv):
    plain = words(run("make", "train", "ATTR=color", f"VENV={venv}").stdout)
    assert plain == [
        *("-m", "lightning_modules", "fit", "--config", "configs/train.yaml"),
        *("--data.attribute=color", "--data.source=glyphs", "--model.backbone=glyph-clip"),
        "--trainer.devices=auto",
    ]
    variables = ["DATA=cub", "ROOT=/my data", "BACKBONE=ViT-B-32", "PRETRAINED=tag", "DEVICES=4"]
    arguments = "ARGS=--trainer.max_epochs 5"
    full = run("make", "train", "ATTR=color", *variables, arguments, f"VENV={venv}").stdout
    assert words(full)[6:] == [
        *("--data.source=cub", "--data.root=/my data", "--model.backbone=ViT-B-32"),
        *("--model.pretrained=tag", "--trainer.devices=4", "--trainer.max_epochs", "5"),
    ]


def test_variables_of_the_shell_do_not_leak_into_a_run(venv):
    done = run("make", "train", "ATTR=color", f"VENV={venv}", ROOT="/", DATA="elsewhere", ARGS="-x")
    assert words(done.stdout)[6:] == [
        *("--data.source=glyphs", "--model.backbone=glyph-clip", "--trainer.devices=auto")
    ]


def test_train_all_trains_every_name_and_names_those_that_failed(venv):
    script(
        venv / "bin/python",
        'case "$*" in *names*) printf "color\\nwing color\\nsize\\n";;\n'
        '*"wing color"*) exit 3;; *) printf "[%s]\\n" "$@";; esac\n',
    )
    shutil.copy(ROOT / "requirements.lock", venv / ".installed")
    done = run("make", "train-all", f"VENV={venv}")
    assert done.returncode == 2
    attributes = [word for word in words(done.stdout) if word.startswith("--data.attribute")]
    assert attributes == ["--data.attribute=color", "--data.attribute=size"]
    assert "error: not trained: wing color" in done.stderr


def test_train_all_fails_when_the_dictionary_cannot_be_read(venv):
    script(venv / "bin/python", "exit 2\n")
    shutil.copy(ROOT / "requirements.lock", venv / ".installed")
    assert run("make", "train-all", f"VENV={venv}").returncode == 2


def test_clean_leaves_artifacts_and_runs(tmp_path):
    shutil.copy(ROOT / "Makefile", tmp_path)
    for folder in ("artifacts/base", "runs/fit", "tests/__pycache__", ".mypy_cache", "interpret"):
        (tmp_path / folder).mkdir(parents=True)
    for room in ("datamodules", "lightning_modules", "composition", "benchmarks"):
        (tmp_path / room).mkdir()
    assert run("make", "clean", cwd=tmp_path).returncode == 0
    assert (tmp_path / "artifacts/base").is_dir()
    assert (tmp_path / "runs/fit").is_dir()
    assert not (tmp_path / "tests/__pycache__").exists()
    assert not (tmp_path / ".mypy_cache").exists()


@pytest.fixture
def workplace(tmp_path):
    """A folder with a lock, and a `uv` that links this Python and fails while told to."""
    (tmp_path / "requirements.lock").write_text("one==1\n")
    script(
        tmp_path / "bin/uv",
        f'case "$1" in venv) for last; do :; done; mkdir -p "$last/bin";\n'
        f'  ln -s {sys.executable} "$last/bin/python";;\n'
        "pip) [ ! -e fails ] || exit 1; echo install >> log;; esac\n",
    )
    return tmp_path


def setup(workplace, *arguments):
    command = ("sh", ROOT / ".ci/setup", *arguments)
    return run(*command, cwd=workplace, path=workplace / "bin")


def installs(workplace):
    log = workplace / "log"
    return log.read_text().count("install") if log.exists() else 0


def test_setup_installs_once_and_again_when_the_lock_changed(workplace):
    for lock, expected in (("one==1\n", 1), ("one==1\n", 1), ("one==2\n", 2)):
        (workplace / "requirements.lock").write_text(lock)
        done = setup(workplace, "venv")
        assert done.returncode == 0, done.stderr
        assert installs(workplace) == expected
        assert (workplace / "venv/.installed").read_text() == lock


def test_an_interrupted_install_leaves_no_stamp(workplace):
    assert setup(workplace, "venv").returncode == 0
    (workplace / "requirements.lock").write_text("one==2\n")
    (workplace / "fails").touch()
    assert setup(workplace, "venv").returncode != 0
    assert not (workplace / "venv/.installed").exists()
    (workplace / "requirements.lock").write_text("one==1\n")  # back to what was whole before
    (workplace / "fails").unlink()
    assert setup(workplace, "venv").returncode == 0
    assert installs(workplace) == 2


def test_setup_mends_an_environment_whose_python_is_gone(workplace):
    assert setup(workplace, "venv").returncode == 0
    (workplace / "venv/bin/python").unlink()
    assert setup(workplace, "venv").returncode == 0
    assert installs(workplace) == 2


def test_setup_refuses_an_environment_of_another_python(workplace):
    script(workplace / "venv/bin/python", '[ "$1" = --version ] || { echo 3.13; exit 1; }\n')
    done = setup(workplace, "venv")
    assert done.returncode == 2
    assert done.stderr == (
        "error: expected Python 3.10 to 3.12 in venv, got 3.13. Remove venv, or set up another "
        "folder: make install VENV=.venv-aspectra PYTHON=python3.11\n"
    )


def test_setup_refuses_a_python_that_does_not_run(workplace):
    done = setup(workplace, "venv", "python9")
    assert done.returncode == 2
    assert done.stderr == (
        "error: expected PYTHON to run a Python of 3.10 to 3.12, got python9. "
        "Example: make install PYTHON=/usr/bin/python3.11\n"
    )


def test_setup_without_uv_and_without_a_fitting_python_says_what_to_install(workplace):
    for name in ("uv", "python3.12", "python3.11", "python3.10", "python3"):
        script(workplace / "bin" / name, "exit 127\n")  # as a version manager's shim does
    done = setup(workplace, "venv")
    assert done.returncode == 2
    assert done.stderr == (
        "error: expected Python 3.10 to 3.12 with its venv module under one of these names: "
        "python3.12 python3.11 python3.10 python3; found none. "
        "Install one (or uv), or name it: make install PYTHON=/path/to/python3.11\n"
    )


def test_ci_runs_check_and_names_the_data_only_where_it_is():
    text = (ROOT / ".ci/run").read_text()
    assert text.startswith("#!/usr/bin/env bash\n")
    assert "set -euo pipefail" in text
    assert text.rstrip().endswith("exec make check")
    assert os.access(ROOT / ".ci/run", os.X_OK)
