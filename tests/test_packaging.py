"""What is packaged, under which names, and what an installation pins."""

import re
import shutil
import subprocess
import sys
import zipfile
from importlib import metadata
from pathlib import Path

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from datamodules.doctor import ROOMS, check_names

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).parents[1]
LOCK = (ROOT / "requirements.lock").read_text()
PROJECT = tomllib.loads((ROOT / "pyproject.toml").read_text())
PINS = [Requirement(line.rstrip("\\ ")) for line in LOCK.splitlines() if line[:1].isalnum()]
PYTHONS = ("3.10", "3.11", "3.12")


def pins_for(python, system="linux", machine="x86_64"):
    """Canonical name -> pins of the lock that hold for that machine."""
    place = {
        "python_version": python,
        "python_full_version": f"{python}.5",
        "sys_platform": system,
        "platform_system": system.capitalize(),
        "platform_machine": machine,
    }
    pins = {}
    for pin in PINS:
        if pin.marker is None or pin.marker.evaluate(place):
            pins.setdefault(canonicalize_name(pin.name), []).append(pin)
    return pins


def test_no_other_distribution_here_owns_a_name_of_ours():
    finding = check_names(metadata.packages_distributions())
    assert finding.status == "ok", f"{finding.found}: {finding.remedy}"


def test_the_four_rooms_are_listed_by_name_and_never_published():
    project = PROJECT["project"]
    assert PROJECT["tool"]["setuptools"]["packages"]["find"]["include"] == [
        *("lightning_modules*", "datamodules*", "composition*", "interpret*")
    ]
    assert "Private :: Do Not Upload" in project["classifiers"]
    assert project["requires-python"] == ">=3.10,<3.13"
    assert "scripts" not in project


@pytest.fixture(scope="module")
def wheel(tmp_path_factory):
    """The wheel built, without network, from a copy of the sources."""
    tree = tmp_path_factory.mktemp("tree")
    folders = [*ROOMS, "tests", "configs", "benchmarks", "docs"]
    for folder in filter(lambda name: (ROOT / name).is_dir(), folders):
        shutil.copytree(ROOT / folder, tree / folder, ignore=shutil.ignore_patterns("__pycache__"))
    for file in ("pyproject.toml", "LICENSE", "README.md"):
        shutil.copy(ROOT / file, tree)
    build = "from setuptools.build_meta import build_wheel; build_wheel('wheels')"
    subprocess.run([sys.executable, "-c", build], cwd=tree, check=True, capture_output=True)
    (path,) = (tree / "wheels").glob("*.whl")
    with zipfile.ZipFile(path) as archive:
        return archive.namelist()


def test_the_wheel_holds_exactly_the_four_rooms(wheel):
    top = {name.split("/")[0] for name in wheel if ".dist-info/" not in name}
    assert top == set(ROOMS)


def test_the_wheel_holds_every_file_of_the_rooms(wheel):
    files = {
        path.relative_to(ROOT).as_posix()
        for room in ROOMS
        for path in (ROOT / room).rglob("*")
        if path.is_file() and "__pycache__" not in path.parts and not path.name.startswith(".")
    }
    assert files == {name for name in wheel if ".dist-info/" not in name}


def test_the_lock_names_no_host_no_index_and_no_path():
    for line in LOCK.splitlines():
        pin = re.fullmatch(r"[a-z0-9-]+==[0-9][^ ]*( ; [^@\\]+)? \\", line)
        digest = re.fullmatch(r"    --hash=sha256:[0-9a-f]{64}( \\)?", line)
        assert pin or digest or line.startswith("# "), line
    assert "://" not in LOCK
    assert "/" not in LOCK


def test_every_requirement_of_the_lock_has_a_hash():
    blocks = re.split(r"^(?=[a-z0-9])", LOCK, flags=re.MULTILINE)[1:]
    assert len(blocks) == len(PINS) > 100
    assert all("--hash=sha256:" in block for block in blocks)


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_pins_each_package_once_for_each_python(python):
    pins = pins_for(python)
    assert {name: len(found) for name, found in pins.items() if len(found) != 1} == {}


@pytest.mark.parametrize("python", PYTHONS)
def test_the_lock_covers_what_pyproject_asks_for(python):
    pins = pins_for(python)
    project = PROJECT["project"]
    for text in project["dependencies"] + project["optional-dependencies"]["dev"]:
        wanted = Requirement(text)
        if wanted.marker is not None and not wanted.marker.evaluate({"python_version": python}):
            continue
        (pin,) = pins[canonicalize_name(wanted.name)]
        (version,) = pin.specifier
        assert wanted.specifier.contains(version.version), f"{text}: {pin}. Run: make lock"


@pytest.mark.parametrize("python", PYTHONS)
def test_torch_and_torchvision_are_ordinary_releases(python):
    pins = pins_for(python)
    for name in ("torch", "torchvision"):
        (specifier,) = pins[name][0].specifier
        assert re.fullmatch(r"\d+\.\d+\.\d+", specifier.version)  # no local "+cpu" or "+cu..."
