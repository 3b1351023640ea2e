"""The benchmark of the main job trains for real and reports what it measured."""

import json

import pytest
from lightning import seed_everything

from benchmarks import main_job


def test_it_trains_and_prints_one_object_as_its_last_line(tmp_path, capsys):
    seed_everything(0)
    words = ["--steps", "12", "--batch", "4", "--images", "24", "--json"]
    assert main_job.main([*words, "--out", str(tmp_path / "job.json")]) == 0
    lines = capsys.readouterr().out.splitlines()
    result = json.loads(lines[-1])
    assert result == json.loads((tmp_path / "job.json").read_text())
    assert (result["batch"], result["steps"]) == (4, 2)
    assert result["jobs"][0]["backbone"] == "small"
    for row in result["jobs"]:
        assert row["images_per_second"] > 0
        assert row["over_floor"] > 0


def test_too_few_steps_are_refused(capsys):
    with pytest.raises(SystemExit) as leave:
        main_job.main(["--steps", "10"])
    assert leave.value.code == 2
    assert "--steps is 10, expected more than the 10 of the warm-up" in capsys.readouterr().err
