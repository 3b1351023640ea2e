"""`make doctor`: what this machine offers, what is in the way, and what to do about it.

Each check returns one `Finding`. Only the standard library is imported at the top: the doctor must
also run where the environment is half installed.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import shutil
import sys
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass
from importlib import metadata
from pathlib import Path
from typing import Literal

from datamodules.files import sha256_file

ROOMS = ("datamodules", "lightning_modules", "composition", "interpret")
# Versions that another major release would break; pyproject.toml says the same.
RANGES = {
    "torch": ">=2.6",
    "torchvision": ">=0.21",
    "lightning": ">=2.5",
    "open_clip_torch": ">=3.3,<4",
    "jsonargparse": ">=4.39,<5",
}
BASE = Path("artifacts/base/glyph-clip")
_GIB = 2**30
_CLEAN = "run: make install VENV=.venv-aspectra (a clean environment)"


@dataclass(frozen=True)
class Finding:
    """One line of the report.

    Args:
        name: what was looked at.
        status: `ok`; `note` (limits something, breaks nothing); `mend` (must be mended).
        found: what is there.
        remedy: what to do; empty when there is nothing to do.
    """

    name: str
    status: Literal["ok", "note", "mend"]
    found: str
    remedy: str = ""


def examine(root: Path) -> list[Finding]:
    """All findings for the repository at `root`, in the order of the report."""
    return [
        check_python(),
        *check_versions(),
        check_torchvision(),
        check_lock(root / "requirements.lock"),
        *check_device(),
        check_disk(root),
        check_names(metadata.packages_distributions()),
        check_base(root / BASE),
    ]


def check_python(version: tuple[int, ...] = tuple(sys.version_info[:3])) -> Finding:
    """Python is one of 3.10 to 3.12."""
    found = f"{'.'.join(map(str, version))} in {sys.prefix}"
    if (3, 10) <= version[:2] <= (3, 12):
        return Finding("python", "ok", found)
    remedy = "expected 3.10 to 3.12; run: make install VENV=.venv-aspectra PYTHON=python3.11"
    return Finding("python", "mend", found, remedy)


def check_versions(ranges: Mapping[str, str] = RANGES) -> list[Finding]:
    """Each library of `ranges` (name -> version specifier) is installed in a version inside it."""
    return [_check_version(name, specifier) for name, specifier in ranges.items()]


def _check_version(name: str, specifier: str) -> Finding:
    try:
        from packaging.specifiers import SpecifierSet

        version = metadata.version(name)
    except (ImportError, metadata.PackageNotFoundError):
        return Finding(name, "mend", "not installed", _reinstall())
    if SpecifierSet(specifier).contains(version, prereleases=True):
        return Finding(name, "ok", version)
    return Finding(name, "mend", version, f"expected {specifier}; {_CLEAN}")


def check_torchvision() -> Finding:
    """The installed torch is one that the installed torchvision was made for."""
    name = "torch for torchvision"
    try:
        from packaging.requirements import Requirement

        torch_version = metadata.version("torch")
        wanted = [Requirement(line) for line in metadata.requires("torchvision") or []]
    except (ImportError, metadata.PackageNotFoundError):
        return Finding(name, "mend", "one of them is not installed", _reinstall())
    for requirement in wanted:
        if requirement.name != "torch":
            continue
        if not requirement.specifier.contains(torch_version, prereleases=True):
            found = f"torch {torch_version}, but torchvision wants torch{requirement.specifier}"
            return Finding(name, "mend", found, _CLEAN)
    return Finding(name, "ok", f"{torch_version} for {metadata.version('torchvision')}")


def check_lock(lock: Path) -> Finding:
    """Every package of the lock that this system needs is installed in the locked version."""
    pins = [line.rstrip("\\ ") for line in lock.read_text().splitlines() if line[:1].isalnum()]
    try:
        from packaging.requirements import Requirement
    except ImportError:
        return Finding("lock", "mend", "packaging is not installed", _reinstall())
    here = [pin for pin in map(Requirement, pins) if pin.marker is None or pin.marker.evaluate()]
    differing = [pin.name for pin in here if not pin.specifier.contains(_version(pin.name))]
    if differing:
        names = ", ".join(differing[:5]) + (", ..." if len(differing) > 5 else "")
        found = f"{len(differing)} of {len(here)} packages are not as in {lock.name}: {names}"
        return Finding("lock", "note", found, _reinstall())
    return Finding("lock", "ok", f"{len(here)} packages as in {lock.name}")


def _version(name: str) -> str:
    try:
        return metadata.version(name)
    except metadata.PackageNotFoundError:
        return "0"


def check_device() -> list[Finding]:
    """The GPUs torch can use, and whether they compute in bf16; without one, the CPU threads."""
    try:
        import torch
    except (ImportError, OSError) as error:  # OSError: a shared library is missing or does not fit
        return [Finding("device", "mend", f"torch does not import: {error}", _CLEAN)]
    if not torch.cuda.is_available():
        found = f"CPU, {torch.get_num_threads()} of {os.cpu_count()} threads"
        return [_without_gpu(f"{found}; torch is built for CUDA {torch.version.cuda}")]
    gpus = [torch.cuda.get_device_properties(index) for index in range(torch.cuda.device_count())]
    found = ", ".join(f"{gpu.name} {gpu.total_memory / _GIB:.0f} GiB" for gpu in gpus)
    bf16 = torch.cuda.is_bf16_supported(including_emulation=False)
    return [
        Finding("device", "ok", f"{found}; CUDA {torch.version.cuda}"),
        Finding("precision", "ok", "bf16-mixed" if bf16 else "32 (this GPU has no bf16)"),
    ]


def _without_gpu(found: str) -> Finding:
    if not shutil.which("nvidia-smi"):
        return Finding("device", "ok", found)
    remedy = "nvidia-smi is here, but torch sees no GPU: update the driver or unset "
    return Finding("device", "note", found, f"{remedy}CUDA_VISIBLE_DEVICES")


def check_disk(root: Path) -> Finding:
    """At least 1 GiB is free where artifacts and runs are written; 5 are comfortable."""
    free = shutil.disk_usage(root).free
    found = f"{free / _GIB:.1f} GiB free in {root.resolve()}"
    if free < _GIB:
        return Finding("disk", "mend", found, "free 1 GiB: caches and checkpoints go there")
    if free < 5 * _GIB:
        return Finding("disk", "note", found, "free 5 GiB before caching a real data set")
    return Finding("disk", "ok", found)


def check_names(distributions: Mapping[str, Sequence[str]]) -> Finding:
    """No other distribution installs a package under one of our four names.

    Args:
        distributions: package name -> distributions that install it, as
            `importlib.metadata.packages_distributions` gives it.
    """
    claims = [
        f"{room} is also provided by {owner}"
        for room in ROOMS
        for owner in sorted(set(distributions.get(room, ())) - {"aspectra"})
    ]
    if claims:
        return Finding("names", "mend", "; ".join(claims), _CLEAN)
    return Finding("names", "ok", "no other distribution owns " + ", ".join(ROOMS))


def check_base(folder: Path) -> Finding:
    """The shipped base weights are there, and their SHA-256 is the one their recipe names."""
    weights, recipe = folder / "open_clip_model.safetensors", folder / "recipe.json"
    restore = f"run: git checkout -- {BASE}, or train them again: make base"
    if not weights.is_file():
        return Finding("base weights", "mend", f"none at {weights}", restore)
    try:
        expected = json.loads(recipe.read_text(encoding="utf-8")).get("sha256")
    except (OSError, ValueError, AttributeError):
        expected = None
    if not isinstance(expected, str):
        found = f"{weights}, but {recipe.name} names no sha256"
        return Finding("base weights", "note", found, restore)
    got = sha256_file(weights)
    if got != expected:
        found = f"{weights} has SHA-256 {got[:12]}, expected {expected[:12]}"
        return Finding("base weights", "mend", found, restore)
    return Finding("base weights", "ok", f"{weights}, SHA-256 {got[:12]}")


def _reinstall(prefix: Path | None = None) -> str:
    prefix = prefix or Path(sys.prefix)
    if not (prefix / ".installed").exists():
        return "run: make install"
    return f"run: rm {prefix}/.installed && make install VENV={prefix}"


def table(findings: Sequence[Finding]) -> str:
    """The findings as aligned text, each remedy on a line of its own below its finding."""
    width = max(len(finding.name) for finding in findings)
    lines = []
    for finding in findings:
        lines.append(f"{finding.status:<4}  {finding.name:<{width}}  {finding.found}")
        if finding.remedy:
            lines.append(f"{'':<4}  {'':<{width}}  -> {finding.remedy}")
    return "\n".join(lines)


def add_parser(subparsers: argparse._SubParsersAction[argparse.ArgumentParser]) -> None:
    """Add the subcommand `doctor`; its `run` is found in the parsed arguments."""
    parser = subparsers.add_parser(
        "doctor", help="name what this machine offers and what to mend", allow_abbrev=False
    )
    parser.add_argument("--json", action="store_true", help="end with one line of JSON")
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Print the report; exit code 1 if something must be mended."""
    print(f"Aspectra on {platform.platform()}")
    findings = examine(Path.cwd())
    print(table(findings))
    to_mend = [finding.name for finding in findings if finding.status == "mend"]
    print(f"to mend: {', '.join(to_mend)}" if to_mend else "nothing to mend")
    if args.json:
        print(json.dumps({"ok": not to_mend, "findings": [asdict(f) for f in findings]}))
    return 1 if to_mend else 0
