"""`python -m benchmarks` runs each script alone and keeps what each measured."""

import importlib.util
import json
import re
from pathlib import Path

import pytest

SPEC = importlib.util.spec_from_file_location(
    "run_benchmarks", Path(__file__).parents[1] / "benchmarks/__main__.py"
)
benchmarks = importlib.util.module_from_spec(SPEC)
SPEC.loader.exec_module(benchmarks)

GOOD = """
import json, sys
assert sys.argv[1:] == ["--json"]
print("a table")
print(json.dumps({"images": 256, "forms": [{"form": "ours", "ms": 1.23456}, {"form": "a|b"}]}))
"""


@pytest.fixture
def folder(tmp_path):
    path = tmp_path / "scripts"
    path.mkdir()
    (path / "good.py").write_text(GOOD)
    (path / "_helper.py").write_text("raise SystemExit(1)")
    return path


def test_results_are_kept_as_json_and_as_a_table(folder, capfd):
    assert benchmarks.main(["--folder", str(folder), "--machine", "here"]) == 0
    assert "a table\n" in capfd.readouterr().out
    measured = json.loads((folder / "results/here.json").read_text())
    assert list(measured) == ["good"]
    assert measured["good"]["images"] == 256
    assert (folder / "results/here.md").read_text().splitlines()[2:] == [
        *("## good", "", "- images: 256", "", "**forms**", ""),
        *("| form | ms |", "| --- | --- |", "| ours | 1.235 |", "| a\\|b |  |"),
    ]


def test_a_benchmark_that_fails_keeps_its_earlier_result_and_is_named(folder, capfd):
    assert benchmarks.main(["--folder", str(folder), "--machine", "here"]) == 0
    (folder / "good.py").write_text("raise SystemExit(3)")
    (folder / "mute.py").write_text("print('no object')")
    assert benchmarks.main(["--folder", str(folder), "--machine", "here"]) == 1
    errors = capfd.readouterr().err.splitlines()
    assert errors == [
        "error: good ended with exit code 3.",
        "error: expected one JSON object as the last line of mute.",
        "error: no result from good, mute; see above.",
    ]
    assert "good" in json.loads((folder / "results/here.json").read_text())


def test_an_unknown_name_lists_the_known_ones(folder, capfd):
    assert benchmarks.main(["goood", "--folder", str(folder)]) == 2
    assert capfd.readouterr().err == "error: expected names of benchmarks (good), got goood.\n"


def test_without_a_gpu_nothing_is_measured_that_needs_one(folder, capfd, monkeypatch):
    monkeypatch.setattr("torch.cuda.is_available", lambda: False)
    assert benchmarks.main(["--gpu", "--folder", str(folder)]) == 2
    assert capfd.readouterr().err.startswith(
        "error: expected a GPU that torch can use, found none."
    )
    assert not (folder / "results").exists()


def test_the_name_of_this_machine_is_a_plain_file_name():
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*", benchmarks.machine_name())
