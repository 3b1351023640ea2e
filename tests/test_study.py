"""The study's table: error removed, worst other attribute, mean and deviation over seeds."""

from __future__ import annotations

import pytest

from datamodules.errors import InputError
from lightning_modules.study import Run, settle, table


def a_run(seed: int, adapted: float, other: float) -> Run:
    of_test = {
        "base": {"accuracy": 0.6, "accuracy/shape": 0.7},
        "adapted": {"accuracy": adapted, "accuracy/shape": other},
    }
    validation = {
        "base": {"accuracy": 0.5, "accuracy/shape": 0.9},
        "adapted": {"accuracy": 0.5, "accuracy/shape": 0.0},
    }
    return Run("color", seed, {"validation": validation, "test_seen": of_test})


def test_error_removed_is_the_share_of_the_bases_errors() -> None:
    assert a_run(0, 0.8, 0.7).error_removed("test_seen") == pytest.approx(0.5)
    assert a_run(0, 0.5, 0.7).error_removed("test_seen") == pytest.approx(-0.25)


def test_the_worst_other_attribute_is_taken_from_the_test_splits_alone() -> None:
    assert a_run(0, 0.8, 0.69).worst_other() == pytest.approx(-0.01)


def test_the_table_gives_mean_and_sample_deviation_over_seeds() -> None:
    text = table([a_run(0, 0.8, 0.7), a_run(1, 0.9, 0.68)])
    # Mean and deviation by hand: 0.85 and 0.1 / sqrt(2); errors removed 50 % and 75 %, mean 62.5.
    assert (
        "| color | test_seen | 0.600 | 0.850 ± 0.071 | 63 ± 18 % | -1.0 ± 1.4 points | 2 |" in text
    )


def test_one_seed_has_no_deviation() -> None:
    assert "0.800 ± 0.000" in table([a_run(0, 0.8, 0.7)])


def test_runs_of_other_settings_are_not_mixed_into_a_table(tmp_path) -> None:
    path = tmp_path / "study/settings.json"
    settle(path, {"source": "glyphs", "config": "1"})
    settle(path, {"source": "glyphs", "config": "1"})
    before = path.read_bytes()
    with pytest.raises(InputError) as error:
        settle(path, {"source": "glyphs", "config": "2"})
    assert str(error.value) == (
        f"expected the settings of the runs already in {path.parent}, got another config. "
        "Remove that folder, or choose another with --out."
    )
    assert path.read_bytes() == before
