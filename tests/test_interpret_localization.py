"""Pointing, intersection over union and energy against numbers found by hand."""

import math
import re

import pytest
import torch

from datamodules.errors import InputError
from interpret.segment import LocalizationScores, localization


def mask_of(*pixels, size=4):
    mask = torch.zeros(1, size, size, dtype=torch.bool)
    for row, column in pixels:
        mask[0, row, column] = True
    return mask


def scores(maps, masks, **options):
    return {name: value.tolist() for name, value in localization(maps, masks, **options).items()}


def test_scores_are_those_found_by_hand():
    heat = torch.zeros(1, 4, 4)
    heat[0, 0, 0], heat[0, 0, 1], heat[0, 3, 3] = 1.0, 0.5, 0.5
    mask = mask_of((0, 0), (0, 1), (1, 0), (1, 1))
    # Mean 1/8: three pixels above it, two of them on the object; union 4 + 1.
    assert scores(heat, mask) == {
        "pointing": [1.0], "near": [1.0], "iou": [2 / 5], "energy": [1.5 / 2], "chance": [0.25],
    }  # fmt: skip
    assert scores(heat, mask, threshold=0.5)["iou"] == [1 / 4]  # one pixel lies above


def test_pixels_that_share_the_greatest_value_share_the_point():
    heat = torch.zeros(1, 4, 4)
    heat[0, 0, 0] = heat[0, 3, 3] = heat[0, 3, 2] = 1.0
    assert scores(heat, mask_of((0, 0)))["pointing"] == [pytest.approx(1 / 3)]


def test_near_allows_15_pixels_of_224_beside_the_object():
    masks = torch.zeros(3, 224, 112, dtype=torch.bool)
    masks[:, 100:110, 50:60] = True
    heat = torch.zeros(3, 224, 112)
    heat[0, 85, 74] = heat[1, 84, 55] = heat[2, 105, 75] = 1  # 15 away in both, 16, 16
    found = scores(heat, masks)
    assert found["near"] == [1.0, 0.0, 0.0]
    assert found["pointing"] == [0.0, 0.0, 0.0]


@pytest.mark.parametrize("number", [0.0, 0.3, 1.0])
def test_a_constant_map_scores_chance(number):
    found = scores(torch.full((1, 4, 4), number), mask_of((0, 0), (2, 1)))
    assert found["pointing"] == found["energy"] == found["chance"] == [pytest.approx(1 / 8)]
    assert found["iou"] == [0.0]
    assert found["near"] == found["chance"]  # the margin of 4 pixels a side is none


def test_the_mask_itself_scores_one_and_its_opposite_nothing():
    mask = mask_of((0, 0), (2, 1))
    found = scores(mask.float(), mask)
    assert [found[name] for name in ("pointing", "iou", "energy")] == [[1.0]] * 3
    found = scores((~mask).float(), mask)
    assert [found[name] for name in ("pointing", "iou", "energy")] == [[0.0]] * 3


def test_chance_is_what_noise_scores_on_average():
    random = torch.Generator().manual_seed(0)
    maps = torch.rand(4000, 4, 4, generator=random)
    found = localization(maps, mask_of((0, 0), (2, 1), (3, 3)).expand(4000, 4, 4))
    assert found["pointing"].mean().item() == pytest.approx(3 / 16, abs=0.02)
    assert found["energy"].mean().item() == pytest.approx(3 / 16, abs=0.005)


def test_means_and_errors_do_not_depend_on_batches():
    random = torch.Generator().manual_seed(0)
    maps, masks = torch.rand(9, 5, 6, generator=random), torch.rand(9, 5, 6, generator=random) < 0.4
    each = localization(maps, masks)
    for size in (1, 4, 9):
        metric = LocalizationScores()
        for batch in zip(maps.split(size), masks.split(size), strict=True):
            metric.update(*batch)
        found = metric.compute()
        for name, values in each.items():
            assert found[name].item() == pytest.approx(values.mean().item())
            error = values.std().item() / 3
            assert found[f"{name}_error"].item() == pytest.approx(error)


def test_no_image_gives_nan_and_one_image_no_error():
    metric = LocalizationScores()
    assert all(math.isnan(value) for value in metric.compute().values())
    metric = LocalizationScores()
    metric.update(torch.ones(1, 4, 4), mask_of((0, 0)))
    found = metric.compute()
    assert found["pointing"].item() == pytest.approx(1 / 16)
    assert found["pointing_error"].isnan()


@pytest.mark.parametrize(
    ("heat", "mask", "message"),
    [
        (torch.zeros(1, 4, 4), mask_of(), "expected an object in every mask, found none in mask 0"),
        (-torch.ones(1, 4, 4), mask_of((0, 0)), "expected heat maps without negative numbers"),
        (torch.zeros(1, 2, 2), mask_of((0, 0)), "got (1, 2, 2) and (1, 4, 4). Enlarge the maps"),
    ],
)
def test_maps_and_masks_that_cannot_be_judged_are_refused(heat, mask, message):
    with pytest.raises(InputError, match=re.escape(message)):
        localization(heat, mask)
