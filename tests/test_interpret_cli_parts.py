"""`python -m interpret` on a tiny world: ablation, head roles and heat maps by command."""

import json

import numpy as np
import pytest
from PIL import Image

from datamodules.sources import load_source
from datamodules.sources.glyphs.world import ATTRIBUTES
from interpret.__main__ import main
from tests.conftest import call


@pytest.fixture
def interpret(world, tmp_path):
    words = (
        "--backbone", world / "tiny", "--pretrained", "random", "--root", world / "data",
        "--dictionary", world / "dictionary.json", "--out", tmp_path / "out",
    )  # fmt: skip

    def run(command, *more, code=0):
        done = call(main, command, *words, *more, cwd=tmp_path)
        assert done.code == code, done.err
        return done

    return run


def _metrics(folder):
    return json.loads((folder / "out/metrics.json").read_text())


def test_ablate_takes_parts_away(interpret, tmp_path):
    done = interpret("ablate", "--parts", "layer 0 head 1", "layer 1 head 0", "--num_means", 50)
    found = _metrics(tmp_path)
    assert "accuracy without layer 0 head 1, layer 1 head 0" in done.out
    heads, mlps = found["curves"]
    for name in ATTRIBUTES:
        whole = found["accuracy"][name]
        assert heads["whole"][name] == mlps["whole"][name] == whole
        together = found["together"][name]
        assert together["whole"] == whole
        assert 0 <= together["direct"] <= 1
        assert 0 <= together["total"] <= 1
        # with the first layer's heads gone one by one, or all at once
        lost = found["losses"]["layer 0 head 0"][name]
        assert -1 <= lost <= 1
    assert set(found["losses"]) == {
        *(f"layer {layer} head {head}" for layer in (0, 1) for head in (0, 1)),
        "mlp 0", "mlp 1", "embedding", "constant",
    }  # fmt: skip
    for name in ("layers.png", "heads.png"):
        assert (tmp_path / "out" / name).read_bytes().startswith(b"\x89PNG")


def test_ablating_everything_by_its_mean_answers_the_same_for_all(interpret, tmp_path, world):
    parts = ["layer 0 head 0", "layer 0 head 1", "layer 1 head 0", "layer 1 head 1"]
    parts += ["mlp 0", "mlp 1", "embedding", "constant"]
    interpret("ablate", "--attributes", "size", "--means_from", "self", "--parts", *parts)
    found = _metrics(tmp_path)["together"]["size"]
    assert set(found) == {"whole", "direct"}  # an MLP is not run again
    annotations = load_source("glyphs", world / "data").annotations
    label_NV = annotations.labels("size", ATTRIBUTES["size"], exclusive=True).label
    shares = label_NV[annotations.members("validation")].mean(axis=0)
    assert np.abs(shares - found["direct"]).min() < 1e-9


def test_heads_are_found_on_one_split_and_judged_on_another(interpret, tmp_path):
    done = interpret("heads", "--num_images", 40)
    found = _metrics(tmp_path)
    assert found["protocol"]["selected"] == "validation"
    assert found["protocol"]["reported"] == "test_seen"
    study = found["roles"]
    assert [each["attribute"] for each in study["roles"]] == list(ATTRIBUTES)
    for name in ("direct", "total"):
        matrix = np.array(study[name]["matrix"])
        assert matrix.shape == (4, 4)
        assert 1 / 24 - 1e-9 <= study[name]["p_permutation"] <= 1
    assert "diagonal dominance" in done.out
    (error,) = interpret("heads", "--judged_on", "validation", code=2).errors
    assert "expected a split other than 'validation', on which roles are found" in error
    (error,) = interpret("heads", "--attributes", "color", code=2).errors
    assert "expected two or more attributes that images of both splits show, got color" in error
    (error,) = interpret("heads", "--attributes", "smell", code=2).errors
    assert error.startswith("--attributes: expected some of color, shape, texture, size")


def test_segment_scores_drawn_objects_and_draws_them(interpret, tmp_path):
    done = interpret(
        "segment", "--attribute", "color", "--num_images", 10, "--methods", "decomposition",
        "rollout", "--pictures", 3,
    )  # fmt: skip
    rows = _metrics(tmp_path)["localization"]
    assert [row["method"] for row in rows] == ["decomposition", "rollout"]
    assert all(row["images"] == 10 and 0 <= row["scores"]["iou"] <= 1 for row in rows)
    assert "decomposition" in done.out
    assert (tmp_path / "out/heat.png").read_bytes().startswith(b"\x89PNG")


@pytest.fixture
def photographs(tmp_path):
    draw = np.random.default_rng(0)
    for kind in ("images", "masks"):
        (tmp_path / kind).mkdir()
    for number in range(3):
        size = (48 + 8 * number, 64)
        image = draw.integers(0, 256, (*size, 3), dtype=np.uint8)
        mask = np.zeros(size, np.uint8)
        mask[10:30, 20:40] = 255
        Image.fromarray(image).save(tmp_path / f"images/{number}.jpg")
        Image.fromarray(mask).save(tmp_path / f"masks/{number}.png")
    return tmp_path / "images", tmp_path / "masks"


def test_segment_scores_photographs_by_both_protocols(interpret, tmp_path, photographs):
    images, masks = photographs
    words = ("--images", images, "--masks", masks, "--texts", "a cat", "a dog")
    interpret("segment", *words, "--methods", "decomposition", "--pictures", 2)
    rows = _metrics(tmp_path)["segmentation"]
    assert [row["protocol"] for row in rows] == ["aligned", "paper"]
    assert all(row["images"] == 3 for row in rows)
    Image.fromarray(np.ones((5, 5), np.uint8)).save(masks / "1.png")
    (error,) = interpret("segment", *words, code=2).errors
    assert "1.jpg" in error
    (error,) = interpret("segment", "--images", images, code=2).errors
    assert error == "expected --images and --masks together, got one of them."
