"""Real data sets in their official layouts, from the front door to the delta."""

import os
from pathlib import Path

import pytest

from datamodules.files import read_json

DATA = os.environ.get("ASPECTRA_DATA", "")
pytestmark = pytest.mark.skipif(
    not DATA, reason="ASPECTRA_DATA does not name a folder of real data sets"
)


@pytest.fixture
def train(run, world, tmp_path):
    """`fit` of a tiny random backbone for one epoch, in an empty folder."""

    def fit(source, root, attribute, *words):
        return run(
            "fit", f"--data.source={source}", f"--data.root={root}",
            f"--data.attribute={attribute}", "--data.image_size=64", "--data.batch_size=64",
            f"--model.backbone={world / 'tiny'}", "--model.pretrained=random", "--model.r=2",
            "--trainer.accelerator=cpu", "--trainer.max_epochs=1",
            "--trainer.enable_progress_bar=false", *words, cwd=tmp_path,
        )  # fmt: skip

    return fit


def lfw(tmp_path):
    """The test copy with its derived attributes under the official name."""
    root = tmp_path / "lfw-root"
    root.mkdir()
    for path in (Path(DATA) / "lfw").iterdir():
        (root / path.name).symlink_to(path)
    (root / "lfw_attributes.txt").symlink_to(Path(DATA) / "lfw/lfw_attributes_derived.txt")
    return root


@pytest.mark.parametrize(
    ("source", "place", "asked", "attribute"),
    [
        ("cub", "CUB_200_2011", "color", "color"),
        ("cars", "stanford_cars", "make", "make"),
        ("nlvr", "nlvr", "color", "color"),
        ("caltech101", "caltech101", "category", "category"),
        ("lfw", "", "color", "hair color"),
    ],
)
def test_training_runs_from_the_official_layout(train, tmp_path, source, place, asked, attribute):
    root = Path(DATA) / place if place else lfw(tmp_path)
    done = train(source, root, asked)
    assert done.code == 0, done.err
    (card,) = (tmp_path / "artifacts/deltas/tiny" / source).glob("*/delta.json")
    found = read_json(card)
    assert found["attribute"] == attribute
    assert len(found["values"]) > 1
    assert f"{attribute} on {source}, tiny" in done.out


def test_cars_have_no_color_and_say_what_they_have(train):
    done = train("cars", Path(DATA) / "stanford_cars", "color")
    assert done.code == 2
    assert done.errors[0].startswith(
        "expected an attribute of the cars dictionary, got 'color'. Known attributes: car model, "
        "make, body type,"
    )


def test_visual_genome_without_images_says_so(train):
    root = Path(DATA) / "visual_genome/derived"
    done = train("visual_genome", root, "color")
    assert done.code == 2
    assert done.errors[0].startswith(
        f"expected 600 images of Visual Genome below {root}, 600 are missing, such as VG_100K/"
    )
