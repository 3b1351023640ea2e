"""The base CLIP that ships with the project: whole, small, and as good as its recipe says."""

import json
from pathlib import Path

import numpy as np
import pytest
import torch

from datamodules.files import sha256_file
from datamodules.prompts import ADJECTIVE, NOUN, prompts
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.world import ATTRIBUTES, sample
from lightning_modules.adapted import AdaptedClip
from lightning_modules.backbone import load_backbone

FOLDER = Path(__file__).parents[1] / "artifacts/base/glyph-clip"

pytestmark = pytest.mark.skipif(
    not (FOLDER / "recipe.json").is_file(), reason=f"{FOLDER} is not there yet: run `make base`"
)


@pytest.fixture(scope="module")
def recipe():
    return json.loads((FOLDER / "recipe.json").read_text())


@pytest.fixture(scope="module")
def accuracy(recipe):
    """Zero-shot accuracy of each attribute on the recipe's images and on unseen pairs."""
    count = recipe["settings"]["data"]["num_validation"]
    backbone = load_backbone(str(FOLDER))
    clip = AdaptedClip(backbone, backbone.model)
    found = {}
    for split in ("validation", "test_unseen"):
        scenes = sample(0, split, np.arange(count), unseen=split == "test_unseen")
        images = torch.from_numpy(draw(scenes)).permute(0, 3, 1, 2)
        with torch.no_grad():
            embedding = torch.cat([clip.encode_image(part) for part in images.split(100)])
        for column, (attribute, values) in enumerate(ATTRIBUTES.items()):
            templates = NOUN if attribute == "shape" else ADJECTIVE
            text = clip.encode_values([prompts(value, templates) for value in values])
            guess = (embedding @ text.T).argmax(1).numpy()
            found[split, attribute] = float((guess == scenes.labels()[:, column]).mean())
    return found


def test_files_are_those_of_the_recipe(recipe):
    assert sha256_file(FOLDER / "open_clip_model.safetensors") == recipe["sha256"]
    assert sha256_file(FOLDER / "open_clip_config.json") == recipe["sha256_config"]


def test_weights_are_small_enough_to_ship():
    assert sum(path.stat().st_size for path in FOLDER.iterdir()) < 10e6


def test_weights_load_and_have_the_fingerprint_of_the_recipe(recipe):
    assert load_backbone(str(FOLDER)).fingerprint == recipe["fingerprint"]


def test_token_rows_that_no_caption_uses_are_zero():
    rows = load_backbone(str(FOLDER)).model.state_dict()["token_embedding.weight"]
    assert (rows.abs().amax(1) > 0).sum() < 2000


@pytest.mark.parametrize("attribute", ATTRIBUTES)
def test_accuracy_is_what_the_recipe_claims(attribute, accuracy, recipe):
    claimed = recipe["validation_accuracy"][attribute]
    # The same images, but the weights are rounded to fp16.
    assert accuracy["validation", attribute] == pytest.approx(claimed, abs=0.02)


@pytest.mark.parametrize("attribute", ATTRIBUTES)
@pytest.mark.parametrize("split", ["validation", "test_unseen"])
def test_base_is_good_but_leaves_something_to_gain(split, attribute, accuracy):
    assert 0.5 <= accuracy[split, attribute] <= 0.9


def test_log_ends_with_the_claimed_accuracies(recipe):
    lines = (FOLDER / "log.csv").read_text().splitlines()
    names, last = lines[0].split(","), lines[-1].split(",")
    found = {
        name.removeprefix("accuracy/val/"): round(float(value), 4)
        for name, value in zip(names, last, strict=True)
        if name != "step"
    }
    assert found == recipe["validation_accuracy"]
