"""The benchmark of one training step runs alone and compares forms that do the same."""

import json

import pytest
import torch

from benchmarks import train_step

CPU = torch.device("cpu")


@pytest.fixture
def threads():
    before = torch.get_num_threads()
    yield
    torch.set_num_threads(before)


def test_it_prints_a_table_and_one_object_as_its_last_line(tmp_path, capsys, threads):
    path = tmp_path / "step.json"
    small = ["--width", "64", "--images", "1", "--repeats", "2", "--device", "cpu"]
    assert train_step.main([*small, "--json", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    assert result == json.loads(path.read_text())
    forms = {row["form"]: row for row in result["forms"]}
    assert list(forms) == ["floor", "floor_all_tokens", "ours", "ours_all_tokens", "peft", "full"]
    assert forms["floor"]["over_floor"] == forms["ours"]["over_ours"] == 1.0
    assert forms["ours"]["trainable"] == 12 * 3 * 2 * 8 * 64
    assert [claim["claim"] for claim in result["claims"]] == [
        "ours / floor <= 1.15",
        "ours / floor_all_tokens <= 1.15",
        "peft / ours >= 1.25",
    ]
    assert lines[1].split() == ["form", "ms", "/", "floor", "/", "ours", "trainable"]


def test_all_forms_start_from_the_same_outputs():
    torch.manual_seed(1)
    images = torch.randn(2, 3, 224, 224)
    embeddings = []
    for build in train_step.forms().values():
        torch.manual_seed(0)
        tower, _ = build(64, CPU)
        embeddings.append(tower(images).detach())
    for embedding in embeddings[1:]:
        assert torch.allclose(embedding, embeddings[0], atol=1e-5)
