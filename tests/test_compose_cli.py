"""`python -m composition`: one fit from the command line to a folder that opens again."""

import json
from functools import partial

import pytest

from composition.__main__ import main
from composition.export import load_composition
from lightning_modules.backbone import load_backbone
from tests.conftest import ROOT, call

run = partial(call, main)


@pytest.fixture(scope="module")
def words(world, fitted):
    task = {
        "attribute": "color+shape", "root": str(world / "data"),
        "dictionary": str(world / "dictionary.json"),
    }  # fmt: skip
    return (
        "fit", "--config", ROOT / "configs/compose.yaml", "--trainer.accelerator=cpu",
        "--trainer.enable_progress_bar=false", "--trainer.max_epochs=1",
        "--trainer.num_sanity_val_steps=0", "--data.shots=1", "--data.batch_size=32",
        f"--model.backbone={world / 'tiny'}", "--model.pretrained=random",
        f"--model.deltas=[{fitted.delta}]", f"--data.tasks={json.dumps([task])}",
    )  # fmt: skip


def test_a_fit_saves_a_composition_that_opens_with_the_scores_it_printed(world, words):
    done = run(*words, "--json", "--name=pairs", "--merged", cwd=world)
    assert done.code == 0, done.err
    folder = world / "artifacts/compositions/pairs"
    names = {path.name for path in folder.iterdir()}
    assert names == {
        "README.md", "adapter_config.json", "adapter_model.safetensors", "coefficients.png",
        "coefficients.safetensors", "composition.json", "open_clip", "scores.json",
    }  # fmt: skip
    card = json.loads((folder / "composition.json").read_text())
    assert card["targets"] == ["glyphs/color+shape"]
    assert card["protocol"]["information"] == "labelled training images"
    last = json.loads(done.out.splitlines()[-1])
    backbone = load_backbone(str(world / "tiny"), "random")
    loaded = load_composition(folder, backbone=backbone)
    assert loaded.composition.delta_names == ("color",)
    learned = card["metrics"]["test_unseen"]["composed"]["accuracy/glyphs/color+shape"]
    wanted = {"model": "learned", "split": "test_unseen", "metric": "accuracy"}
    found = [score["value"] for score in last["scores"] if wanted.items() <= score.items()]
    assert found == [learned]


def test_a_delta_that_is_not_there_is_named_with_what_makes_it(world, words):
    done = run(*words, "--model.deltas=[taste]", cwd=world)
    assert done.code == 2
    assert done.err.splitlines()[-1].startswith("error: --model.deltas: expected the folder of a ")
    assert done.err.endswith("got 'taste'. Train it with: make train ATTR=taste\n")


def test_interference_of_one_delta_is_refused(world, fitted):
    tiny = ("--backbone", world / "tiny", "--pretrained", "random")
    done = run("interference", fitted.delta, *tiny, cwd=world)
    assert done.code == 2
    assert "two deltas" in done.err


def test_an_unknown_command_is_named(world):
    assert run("compose", cwd=world).err == (
        "error: expected a command among fit, validate, study, interference, got 'compose'.\n"
    )
