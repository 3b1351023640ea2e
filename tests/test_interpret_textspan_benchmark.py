"""The benchmark of TextSpan compares forms that choose the same, and judges by what it measured."""

import json

import pytest
import torch

from benchmarks import interpret_textspan as benchmark


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_it_prints_a_table_and_one_object_as_its_last_line(tmp_path, capsys):
    path = tmp_path / "textspan.json"
    sizes = {"layers": 1, "heads": 2, "width": 6, "embedding": 20, "pool": 90, "texts": 5}
    words = [f"--{name}={size}" for name, size in sizes.items()]
    words += ["--rounds", "1", "--images", "50", "300", "--json", "--out", str(path)]
    assert benchmark.main(words) == 0
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    assert result == json.loads(path.read_text())
    assert (result["heads"], result["pool"], result["texts"], result["rounds"]) == (2, 90, 5, 1)
    assert [row["images"] for row in result["cells"]] == [50, 300]
    for row in result["cells"]:
        assert row["same_texts"]
        assert min(value for name, value in row.items() if name != "same_texts") > 0
    assert lines[1].split()[-2:] == ["same", "texts"]
    assert [row["met"] is None for row in result["targets"]] == [False, False]


def test_targets_are_judged_by_the_slowest_and_by_growth():
    rows = [{"ours_s": 20.0}, {"ours_s": 31.0}]
    found = [(row["measured"], row["met"]) for row in benchmark.targets(rows)]
    assert found == [(31.0, False), (1.55, False)]
    found = [(row["measured"], row["met"]) for row in benchmark.targets(rows[:1])]
    assert found == [(20.0, True), (None, None)]
