"""Run every benchmark, each in its own process, and write what they measured.

    python -m benchmarks [NAME ...] [--machine NAME] [--gpu]

A benchmark is a script `benchmarks/<name>.py` that runs alone (`python -m benchmarks.<name>`) and,
with `--json`, prints one JSON object as its last line. The objects go to `results/<machine>.json`,
beside those of benchmarks not run this time, and their tables to `results/<machine>.md`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

from datamodules.errors import InputError
from datamodules.files import read_json, write_json, write_text

FOLDER = Path(__file__).parent


def main(argv: list[str] | None = None) -> int:
    """Run the benchmarks asked for; exit code 1 if one failed, 2 for a user's mistake."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks", allow_abbrev=False)
    parser.add_argument("names", nargs="*", metavar="NAME", help="benchmarks to run (default: all)")
    parser.add_argument("--machine", default=machine_name(), help="name of the result files")
    parser.add_argument("--gpu", action="store_true", help="stop where there is no GPU to measure")
    parser.add_argument("--folder", type=Path, default=FOLDER, help="where the scripts are")
    args = parser.parse_args(argv)
    try:
        if args.gpu:
            _check_gpu()
        return _run_all(args.names, args.machine, args.folder)
    except InputError as error:
        print(f"error: {error}", file=sys.stderr)
        return 2


def _run_all(names: list[str], machine: str, folder: Path) -> int:
    known = sorted(path.stem for path in folder.glob("*.py") if not path.stem.startswith("_"))
    if unknown := [name for name in names if name not in known]:
        raise InputError(
            f"expected names of benchmarks ({', '.join(known)}), got {', '.join(unknown)}."
        )
    path = folder / "results" / f"{machine}.json"
    results: dict[str, Any] = read_json(path) if path.exists() else {}
    failed = []
    for name in names or known:
        print(f"== {name}", flush=True)
        measured = run_benchmark(folder / f"{name}.py")
        if measured is None:
            failed.append(name)
        else:
            results[name] = measured
            write_json(path, results)
    write_text(path.with_suffix(".md"), markdown(machine, results))
    print(f"wrote {path} and {path.with_suffix('.md')}")
    if failed:
        print(f"error: no result from {', '.join(failed)}; see above.", file=sys.stderr)
    return 1 if failed else 0


def run_benchmark(script: Path) -> dict[str, Any] | None:
    """Run one script with `--json`, echo what it prints, return its last line's object.

    None if the script failed, or if its last line is no JSON object.
    """
    command = [sys.executable, "-m", f"{script.parent.name}.{script.stem}", "--json"]
    root = script.resolve().parent.parent
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True, cwd=root) as process:
        assert process.stdout is not None
        last = ""
        for line in process.stdout:
            print(line, end="", flush=True)
            last = line if line.strip() else last
    if process.returncode != 0:
        print(f"error: {script.stem} ended with exit code {process.returncode}.", file=sys.stderr)
        return None
    try:
        measured = json.loads(last)
    except json.JSONDecodeError:
        measured = None
    if not isinstance(measured, dict):
        print(
            f"error: expected one JSON object as the last line of {script.stem}.", file=sys.stderr
        )
        return None
    return measured


def markdown(machine: str, results: dict[str, Any]) -> str:
    """One section a benchmark: its lists of objects as tables, the rest as a list."""
    lines = [f"# Benchmarks on {machine}"]
    for name, measured in sorted(results.items()):
        lines += ["", f"## {name}", ""]
        tables = {key: value for key, value in measured.items() if _is_table(value)}
        facts = {key: value for key, value in measured.items() if key not in tables}
        lines += [f"- {key}: {_cell(value)}" for key, value in facts.items()]
        for key, rows in tables.items():
            lines += ["", f"**{key}**", "", *_table(rows)]
    return "\n".join(lines) + "\n"


def _is_table(value: object) -> bool:
    return isinstance(value, list) and bool(value) and all(isinstance(row, dict) for row in value)


def _table(rows: list[dict[str, Any]]) -> list[str]:
    columns = list(dict.fromkeys(column for row in rows for column in row))
    body = [[_cell(row.get(column, "")) for column in columns] for row in rows]
    return ["| " + " | ".join(cells) + " |" for cells in (columns, ["---"] * len(columns), *body)]


def _cell(value: object) -> str:
    text = f"{value:.4g}" if isinstance(value, float) else str(value)
    return text.replace("|", "\\|").replace("\n", " ")


def _check_gpu() -> None:
    import torch

    if not torch.cuda.is_available():
        raise InputError(
            "expected a GPU that torch can use, found none. See what is missing with: make doctor"
        )


def machine_name() -> str:
    """The GPU, or the processor and its threads, as a file name such as `nvidia-h200`."""
    gpu = ""
    if shutil.which("nvidia-smi"):
        query = ["nvidia-smi", "--query-gpu=name", "--format=csv,noheader"]
        gpu = subprocess.run(query, capture_output=True, text=True, check=False).stdout.strip()
    name = gpu.splitlines()[0] if gpu else f"{_processor()} {os.cpu_count()} threads"
    return re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")


def _processor() -> str:
    info = Path("/proc/cpuinfo")
    found = re.search(r"^model name\s*:\s*(.+)$", info.read_text(), re.M) if info.exists() else None
    return found[1] if found else platform.machine()


if __name__ == "__main__":
    sys.exit(main())
