"""The doctor: each finding says what is there and what to do."""

import argparse
import hashlib
import json
import re
import shutil
import subprocess
import sys
from collections import namedtuple
from pathlib import Path

import pytest
import torch

from datamodules import doctor

ROOT = Path(__file__).parents[1]
Usage = namedtuple("Usage", "total used free")
Gpu = namedtuple("Gpu", "name total_memory")


def base(folder, *, expected=None):
    (folder / "open_clip_model.safetensors").write_bytes(b"weights")
    if expected is not None:
        (folder / "recipe.json").write_text(json.dumps({"sha256": expected}))
    return doctor.check_base(folder)


@pytest.mark.parametrize("version", [(3, 10, 0), (3, 11, 7), (3, 12, 9)])
def test_supported_pythons_are_fine(version):
    finding = doctor.check_python(version)
    assert finding.status == "ok"
    assert finding.found.startswith(".".join(map(str, version)))


@pytest.mark.parametrize("version", [(3, 9, 18), (3, 13, 0)])
def test_another_python_is_to_be_replaced(version):
    finding = doctor.check_python(version)
    assert finding.status == "mend"
    assert finding.remedy == (
        "expected 3.10 to 3.12; run: make install VENV=.venv-aspectra PYTHON=python3.11"
    )


def test_a_name_another_distribution_owns_is_named_with_its_owner():
    finding = doctor.check_names({"interpret": ["aspectra", "interpret-core"], "torch": ["torch"]})
    assert finding.status == "mend"
    assert finding.found == "interpret is also provided by interpret-core"
    assert finding.remedy == "run: make install VENV=.venv-aspectra (a clean environment)"


def test_our_own_distribution_may_own_the_names():
    assert doctor.check_names({room: ["aspectra"] for room in doctor.ROOMS}).status == "ok"


def test_version_ranges_are_those_of_pyproject():
    text = (ROOT / "pyproject.toml").read_text()
    for name, specifier in doctor.RANGES.items():
        assert re.search(rf'"{name}(\[\w+\])?{re.escape(specifier)}"', text), name


def test_versions_outside_their_range_and_missing_ones_are_named():
    old, none, fine = doctor.check_versions(
        {"torch": "<0.1", "no-such-thing": ">=1", "numpy": ">1"}
    )
    assert (old.status, old.found) == ("mend", doctor.metadata.version("torch"))
    assert old.remedy.startswith("expected <0.1; run: make install")
    assert (none.status, none.found) == ("mend", "not installed")
    assert fine.status == "ok"


def test_a_torch_that_torchvision_was_not_made_for_is_named(monkeypatch):
    monkeypatch.setattr(doctor.metadata, "requires", lambda _: ["numpy", "torch==9.9.9"])
    finding = doctor.check_torchvision()
    assert finding.status == "mend"
    assert finding.found == (
        f"torch {doctor.metadata.version('torch')}, but torchvision wants torch==9.9.9"
    )


def test_packages_that_differ_from_the_lock_are_counted_and_named(tmp_path):
    lock = tmp_path / "requirements.lock"
    torch_version = doctor.metadata.version("torch")
    lock.write_text(
        f"# header\ntorch=={torch_version} \\\n    --hash=sha256:00\n"
        "numpy==0.1 ; sys_platform != 'win32' \\\n    --hash=sha256:00\n"
        "absent==1 ; sys_platform == 'win32' \\\n    --hash=sha256:00\n"
    )
    finding = doctor.check_lock(lock)
    assert finding.status == "note"
    assert finding.found == "1 of 2 packages are not as in requirements.lock: numpy"


def test_reinstalling_drops_the_stamp_where_there_is_one(tmp_path):
    assert doctor._reinstall(tmp_path) == "run: make install"
    (tmp_path / ".installed").touch()
    assert doctor._reinstall(tmp_path) == (
        f"run: rm {tmp_path}/.installed && make install VENV={tmp_path}"
    )


@pytest.mark.parametrize(
    ("free", "status"), [(0.5, "mend"), (0.99, "mend"), (1.5, "note"), (5.5, "ok")]
)
def test_free_disk_is_judged_in_gibibytes(monkeypatch, tmp_path, free, status):
    usage = Usage(0, 0, int(free * 2**30))
    monkeypatch.setattr(doctor.shutil, "disk_usage", lambda _: usage)
    finding = doctor.check_disk(tmp_path)
    assert finding.status == status
    assert finding.found == f"{free:.1f} GiB free in {tmp_path}"


def test_a_gpu_is_named_with_its_memory_and_its_precision(monkeypatch):
    gpu = Gpu("NVIDIA H200", 140 * 2**30)
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "device_count", lambda: 2)
    monkeypatch.setattr(torch.cuda, "get_device_properties", lambda _: gpu)
    for supported, precision in ((True, "bf16-mixed"), (False, "32 (this GPU has no bf16)")):
        monkeypatch.setattr(
            torch.cuda, "is_bf16_supported", lambda supported=supported, **_: supported
        )
        device, found = doctor.check_device()
        assert device.found.startswith("NVIDIA H200 140 GiB, NVIDIA H200 140 GiB; CUDA ")
        assert found.found == precision


def test_a_gpu_that_torch_does_not_see_is_a_note(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_available", lambda: False)
    monkeypatch.setattr(shutil, "which", lambda _: None)
    assert doctor.check_device()[0].status == "ok"
    monkeypatch.setattr(shutil, "which", lambda _: "/usr/bin/nvidia-smi")
    (finding,) = doctor.check_device()
    assert finding.status == "note"
    assert finding.remedy == (
        "nvidia-smi is here, but torch sees no GPU: update the driver or unset CUDA_VISIBLE_DEVICES"
    )


def test_base_weights_are_checked_against_their_recipe(tmp_path):
    missing = doctor.check_base(tmp_path)
    assert missing.status == "mend"
    assert missing.remedy == (
        "run: git checkout -- artifacts/base/glyph-clip, or train them again: make base"
    )
    assert base(tmp_path).found.endswith("but recipe.json names no sha256")
    right = hashlib.sha256(b"weights").hexdigest()
    assert base(tmp_path, expected=right).status == "ok"
    wrong = base(tmp_path, expected="0" * 64)
    assert wrong.status == "mend"
    assert wrong.found.endswith(f"has SHA-256 {right[:12]}, expected 000000000000")


@pytest.mark.parametrize("status", ["ok", "note", "mend"])
def test_exit_code_is_one_only_when_something_must_be_mended(monkeypatch, capsys, status):
    finding = doctor.Finding("thing", status, "found it", "do that")
    monkeypatch.setattr(doctor, "examine", lambda root: [finding])
    parser = argparse.ArgumentParser()
    doctor.add_parser(parser.add_subparsers())
    args = parser.parse_args(["doctor", "--json"])
    assert args.run(args) == (1 if status == "mend" else 0)
    *_, verdict, last = capsys.readouterr().out.splitlines()
    assert verdict == ("to mend: thing" if status == "mend" else "nothing to mend")
    assert json.loads(last) == {
        "ok": status != "mend",
        "findings": [{"name": "thing", "status": status, "found": "found it", "remedy": "do that"}],
    }


def test_the_table_lines_up_and_puts_each_remedy_below_its_finding():
    findings = [doctor.Finding("a", "ok", "x"), doctor.Finding("long", "mend", "y", "do that")]
    assert doctor.table(findings).splitlines() == [
        "ok    a     x",
        "mend  long  y",
        "            -> do that",
    ]


def test_the_doctor_comes_without_heavy_imports():
    code = "import sys, datamodules.doctor; print(sorted({'torch', 'numpy'} & set(sys.modules)))"
    done = subprocess.run(
        [sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True, check=True
    )
    assert done.stdout == "[]\n"
