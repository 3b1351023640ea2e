"""The study of compositions: tables against numbers by hand, runs from adapters to files."""

import json
import math
import shutil

import numpy as np
import pytest
import yaml

from composition.__main__ import main
from composition.evaluation.seeds import Run, interval, seeds_table, short_spread
from composition.export import composition_folder
from lightning_modules.delta import delta_folder
from lightning_modules.delta.store import save_delta
from tests.compose_runs import drawn_delta, open_backbone
from tests.conftest import call

PAIR = composition_folder("color+shape").name
T_OF_2 = 4.302652729911275  # Student's t with 2 degrees of freedom, 97.5 %


def a_run(seed, *, base, learned, auc=0.5, task="color+shape"):
    def score(model, split, metric, value):
        return {"model": model, "task": task, "split": split, "metric": metric, "value": value}

    scores = [
        score(model, split, metric, value)
        for model, seen in (("base", base), ("learned", learned))
        for split, metric, value in (
            ("validation", "accuracy", 0.0), ("test_seen", "accuracy", seen),
            ("test_seen + test_unseen", "seen", 0.0), ("test_seen + test_unseen", "auc", auc),
            ("test_unseen", "accuracy", None),
        )
    ]  # fmt: skip
    protocol = {"reported_on": ["test_seen", "test_unseen"]}
    return Run("pair", seed, {"scores": scores, "protocol": protocol})


def test_the_tables_give_deviations_over_seeds_and_intervals_of_paired_gains():
    base, learned = [0.6, 0.7, 0.65], [0.8, 0.91, 0.85]
    runs = [a_run(n, base=b, learned=x) for n, (b, x) in enumerate(zip(base, learned, strict=True))]
    gains = np.subtract(learned, base)
    half = T_OF_2 * gains.std(ddof=1) / math.sqrt(3)
    mean, deviation, gain, low, high = (
        f"{number:.3f}".removeprefix("0")
        for number in (
            np.mean(learned), np.std(learned, ddof=1), gains.mean(), gains.mean() - half,
            gains.mean() + half,
        )
    )  # fmt: skip
    assert seeds_table(runs).splitlines() == [
        "**pair** (3 seeds)",
        "",
        "| model | test_seen | AUC |",
        "| --- | ---: | ---: |",
        "| base | .650 ± .050 | .500 ± .000 |",
        f"| learned | {mean} ± {deviation} | .500 ± .000 |",
        "",
        "| pair: learned - | test_seen | AUC |",
        "| --- | ---: | ---: |",
        f"| base | * +{gain} (+{low} to +{high}) | +.000 (+.000 to +.000) |",
    ]


def test_one_seed_has_neither_deviation_nor_interval():
    assert short_spread([0.25]) == ".250 ± .000"
    assert interval([-0.25]) == "-.250"
    assert short_spread([1.0, 1.0]) == "1.000 ± .000"


def study(world, folder, *words):
    """Run it in a folder of its own on the world's images."""
    command = [
        "study", "--seeds", "0", "1", "--combine", "color+shape", "--forget", "color",
        "--attributes", "color", "shape", f"--root={world / 'data'}",
        f"--backbone={world / 'tiny'}", "--config=compose.yaml", *words,
    ]  # fmt: skip
    done = call(main, *command, cwd=folder)
    return done.code, done.out, done.err


@pytest.fixture(scope="module")
def place(world, tmp_path_factory):
    """Adapters of two seeds, a short config, the dictionary where it is looked for."""
    folder = tmp_path_factory.mktemp("study")
    (folder / "artifacts/dictionary").mkdir(parents=True)
    shutil.copy(world / "dictionary.json", folder / "artifacts/dictionary/glyphs.json")
    adapters, backbone = folder / "artifacts/reports/adapters", open_backbone(world)
    for seed in (0, 1):
        for name in ("color", "shape"):
            delta = drawn_delta(backbone, name, size=0.1 + 0.1 * seed)
            save_delta(delta_folder("tiny", "glyphs", name, adapters / f"seed-{seed}"), delta)
    (adapters / "settings.json").write_text('{"source": "glyphs"}')
    trainer = {
        "max_epochs": 1, "accelerator": "cpu", "enable_progress_bar": False,
        "num_sanity_val_steps": 0,
    }  # fmt: skip
    config = {
        "trainer": trainer, "model": {"pretrained": "random", "granularity": "layer"},
        "data": {"shots": 1, "batch_size": 32, "image_size": 64},
    }  # fmt: skip
    (folder / "compose.yaml").write_text(yaml.safe_dump(config))
    return folder


def test_a_study_fits_what_is_missing_and_tabulates_what_its_runs_wrote(world, place):
    code, out, err = study(world, place)
    assert code == 0, err
    report = place / "artifacts/reports/compositions"
    text = (report / "table.md").read_text()
    assert text in out
    found = [
        json.loads((report / f"seed-{seed}/{PAIR}/scores.json").read_text()) for seed in (0, 1)
    ]
    values = [
        score["value"]
        for each in found
        for score in each["scores"]
        if (score["model"], score["split"], score["metric"]) == ("sum", "test_unseen", "accuracy")
    ]
    assert len(values) == 2
    row = next(line for line in text.splitlines() if line.startswith("| sum |"))
    assert short_spread(values) in row
    assert "**without color** (2 seeds)" in text
    assert "| negated |" in text
    before = (report / f"seed-0/{PAIR}/scores.json").stat().st_mtime_ns
    code, again, err = study(world, place)
    assert code == 0, err
    assert (report / f"seed-0/{PAIR}/scores.json").stat().st_mtime_ns == before
    assert text in again


def test_a_missing_adapter_is_named(world, place):
    code, _, err = study(world, place, "--seeds", "2", "--out", "other")
    assert code == 2
    assert "seed-2/tiny/glyphs/color/delta.json, an adapter of the study, found nothing" in err


def test_what_is_forgotten_must_be_among_the_attributes(world, place):
    code, _, err = study(world, place, "--forget", "size")
    assert code == 2
    assert err == "error: --forget size: expected one of --attributes, color, shape.\n"
