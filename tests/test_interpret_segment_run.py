"""Photographs with masks through a model, and the drawn objects that heat maps must find."""

import re
from pathlib import Path

import numpy as np
import pytest
import torch
import torch.nn.functional as F
from PIL import Image

from datamodules.errors import InputError
from datamodules.images import masked_files
from datamodules.sources.imagenet_segmentation import Record
from interpret.heatmap import METHODS, heat_map
from interpret.segment import (
    Case,
    SegmentationScores,
    cases_of_files,
    cases_of_records,
    localization_table,
    localize_glyphs,
    prepare,
    segment,
)
from interpret.towers import image_tower
from lightning_modules.backbone import load_backbone
from lightning_modules.pixels import Pixels
from tests.interpret_towers import clip

PREPROCESS = Pixels(32, (0.5, 0.4, 0.3), (0.2, 0.3, 0.4))


@pytest.fixture(scope="module")
def tower():
    return image_tower(clip())


@pytest.fixture(scope="module")
def texts():
    return torch.randn(4, 24, generator=torch.Generator().manual_seed(0))


@pytest.fixture(scope="module")
def cases():
    random = np.random.default_rng(0)
    found = []
    for number, (height, width) in enumerate([(40, 60), (32, 32), (70, 33), (50, 50), (33, 80)]):
        mask = np.zeros((height, width), dtype=bool)
        mask[5 : height // 2, 8 : width - 9] = True
        image = random.integers(0, 256, (height, width, 3), np.uint8)
        found.append(Case(image, mask, number % 4))
    return found


def by_hand(tower, cases, texts, protocol, method, relative):
    """One image after the other, every map, then the paper's steps on it."""
    scores = SegmentationScores()
    for image, mask, number in cases:
        pixels, square = prepare(image, mask, 32, protocol)
        x = PREPROCESS(torch.from_numpy(pixels.copy()).permute(2, 0, 1)[None])
        unit = F.normalize(texts, dim=-1)
        if number is None:
            number = (F.normalize(tower.run(x), dim=-1) @ unit.T)[0].argmax().item()
        maps = heat_map(tower, x, unit, method=method)[0]
        own = maps[number] - maps.mean(0) if relative else maps[number % len(maps)]
        large = F.interpolate(own[None, None], size=(32, 32), mode="bilinear")[0, 0].clamp(min=0)
        large = (large - large.min()) / (large.max() - large.min())
        scores.update(large[None].detach(), torch.from_numpy(square)[None])
    return {name: value.item() for name, value in scores.compute().items()}


@pytest.mark.parametrize("protocol", ["paper", "aligned"])
@pytest.mark.parametrize(
    ("method", "relative"), [("decomposition", True), ("chefer", False), ("rollout", False)]
)
def test_scores_are_those_of_one_image_after_the_other(
    tower, cases, texts, protocol, method, relative
):
    expected = by_hand(tower, cases, texts, protocol, method, relative)
    for size in (1, 3):
        found = segment(
            tower, PREPROCESS, iter(cases), texts, method=method, relative=relative,
            protocol=protocol, batch_size=size,
        )  # fmt: skip
        assert found.pop("images") == 5
        # Maps of random weights are almost flat: stretching them magnifies rounding.
        assert found == pytest.approx(expected, abs=5e-4)


def test_the_protocols_differ_where_images_are_no_squares(tower, cases, texts):
    found = [
        segment(tower, PREPROCESS, cases, texts, protocol=each)["pix_acc"]
        for each in ("paper", "aligned")
    ]
    assert abs(found[0] - found[1]) > 1e-3


def test_without_a_text_the_one_the_model_likes_best_is_explained(tower, cases, texts):
    open_cases = [each._replace(text=None) for each in cases]
    expected = by_hand(tower, open_cases, texts, "aligned", "decomposition", True)
    found = segment(tower, PREPROCESS, open_cases, texts)
    assert {name: found[name] for name in expected} == pytest.approx(expected, abs=1e-4)


@pytest.mark.parametrize(
    ("change", "options", "message"),
    [
        ({"mask": np.ones((4, 4), bool)}, {}, "to be 60 x 40 pixels as the image is, got 4 x 4."),
        ({"text": 4}, {}, "expected the number of one of 4 texts, from 0 on, got 4."),
        ({}, {"batch_size": 0}, "expected batch_size of at least 1, got 0."),
        ({}, {"protocol": "exact"}, "among paper, aligned, got 'exact'."),
        ({}, {"threshold": "otsu"}, 'expected a threshold of "mean" or a number'),
        ({}, {"method": "chefer", "first": 1}, "expected options of chefer among start, got"),
    ],
)
def test_wrong_cases_and_options_are_refused(tower, cases, texts, change, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        segment(tower, PREPROCESS, [cases[0]._replace(**change)], texts, **options)


def test_no_case_is_refused(tower, texts):
    with pytest.raises(InputError, match="expected images with masks, got none"):
        segment(tower, PREPROCESS, [], texts)


# --- where cases come from ------------------------------------------------------------------------


def test_cases_come_from_two_folders(tower, cases, texts, tmp_path):
    for name in ("images", "masks"):
        (tmp_path / name).mkdir()
    for number, (image, mask, _) in enumerate(cases):
        Image.fromarray(image).save(tmp_path / "images" / f"{number}.png")
        Image.fromarray(mask).save(tmp_path / "masks" / f"{number}.png")
    found = list(cases_of_files(masked_files(tmp_path / "images", tmp_path / "masks")))
    for one, other in zip(found, cases, strict=True):
        assert np.array_equal(one.image, other.image)
        assert np.array_equal(one.mask, other.mask)
        assert one.text is None


def test_cases_come_from_imagenet_segmentation_with_the_first_mask_and_the_class(cases):
    class Source:
        annotations = range(len(cases))

        def record(self, index):
            image, mask, text = cases[index]
            return Record(image, np.stack([mask, ~mask]), "abcd"[text])

    found = list(cases_of_records(Source(), ["a", "b", "c", "d"], most=3))
    assert [each.text for each in found] == [0, 1, 2]
    assert all(np.array_equal(x.mask, y.mask) for x, y in zip(found, cases[:3], strict=True))
    assert [each.text for each in cases_of_records(Source())] == [None] * 5
    with pytest.raises(InputError, match="a text for every class, got none for 'c'"):
        list(cases_of_records(Source(), ["a", "b"]))


# --- drawn objects --------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def glyph_clip():
    folder = Path(__file__).parents[1] / "artifacts" / "base"
    return load_backbone("glyph-clip", folder=folder)


def test_maps_of_colors_lie_on_the_drawn_object_beside_all_baselines(glyph_clip):
    found = localize_glyphs(glyph_clip, count=40, prompts=[("color",)])
    scores = {each.method: each.scores for each in found}
    assert list(scores) == list(METHODS)
    ours = scores["decomposition"]
    assert ours["pointing"] > 0.9
    assert ours["near"] > 0.97
    assert ours["iou"] > 0.45
    assert ours["energy"] > 4 * ours["chance"]
    for method in METHODS:
        if method != "decomposition":
            assert ours["iou"] > scores[method]["iou"] + 0.05, method
            assert ours["energy"] > scores[method]["energy"] + 0.05, method
    assert len({each["chance"] for each in scores.values()}) == 1
    lines = localization_table(found)
    assert lines[0].split()[:3] == ["prompt", "method", "pointing"]
    assert lines[1].split()[:2] == ["color", "decomposition"]
    assert f"{ours['pointing']:.3f}" in lines[1]


def test_scores_do_not_depend_on_the_batch_size(glyph_clip):
    options = {"count": 7, "prompts": [("texture", "shape")], "methods": ("chefer",)}
    one, other = (localize_glyphs(glyph_clip, **options, batch_size=size) for size in (2, 7))
    assert one[0].scores == pytest.approx(other[0].scores, abs=1e-4)
    assert (one[0].prompt, one[0].images, one[0].relative) == (("texture", "shape"), 7, True)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"count": 0}, "expected a count of at least 1 image, got 0."),
        ({"methods": ("lrp",)}, "expected every method among decomposition, "),
        ({"prompts": [("color", "taste")]}, "among color, shape, texture, size, got 'taste'."),
    ],
)
def test_unknown_methods_and_attributes_are_refused(glyph_clip, options, message):
    with pytest.raises(InputError, match=re.escape(message)):
        localize_glyphs(glyph_clip, **options)
