"""The benchmark of heat maps compares forms that give the same map."""

import json

import pytest
import torch

from benchmarks import interpret_heatmap


@pytest.fixture(autouse=True)
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_all_forms_find_the_same_map_and_the_table_says_how_fast(tmp_path, capsys):
    path = tmp_path / "out.json"
    words = ["--model", "ViT-B-32", "--layers", "2", "--width", "64", "--rounds", "1"]
    more = ["--images", "2", "--texts", "3", "--device", "cpu", "--json", "--out", str(path)]
    assert interpret_heatmap.main([*words, *more]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert [line.split()[0] for line in lines[:4]] == [
        "pull-back", "materialized", "folded", "pass",
    ]  # fmt: skip
    found = json.loads(lines[-1])
    assert found == json.loads(path.read_text())
    assert found["deviation"] < 1e-5
    assert (found["tokens"], found["layers"], found["heads"]) == (50, 2, 1)
    assert found["bytes"] == 4 * 2 * 50 * 1 * 64
    assert found["met"] is (found["forms"][1]["ratio"] >= 50)
