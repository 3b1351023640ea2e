"""The benchmark of the seen-unseen curve runs alone, and its forms agree."""

import json

import pytest
import torch

from benchmarks import czsl_curve


def test_it_prints_a_table_and_one_object_as_its_last_line(tmp_path, capsys):
    path = tmp_path / "curve.json"
    small = ["--images", "300", "--pairs", "80", "--batch", "64", "--repeats", "1"]
    assert czsl_curve.main([*small, "--json", "--out", str(path)]) == 0
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    assert result == json.loads(path.read_text())
    assert (result["images"], result["pairs"], result["repeats"]) == (300, 80, 1)
    floor, exact, sweep, both, published = result["forms"]
    assert floor["form"] == "floor: read every score once"
    assert (floor["ratio"], floor["auc"]) == (1.0, None)
    assert exact["auc"] == pytest.approx(both["auc"], abs=1e-6)
    assert 0.05 < exact["auc"] < 0.95
    assert sweep["auc"] != exact["auc"]
    assert sweep["auc"] == pytest.approx(published["auc"], abs=1e-6)
    assert len(lines) == 7


def test_the_published_form_predicts_from_a_copy_for_every_bias():
    scores, target, seen = czsl_curve.simulated(40, 12)
    before = scores.clone()
    curve = czsl_curve.published_sweep(scores, target, seen)
    assert torch.equal(scores, before)
    assert (curve.seen_K[-1], curve.unseen_K[0]) == (0, 0)
