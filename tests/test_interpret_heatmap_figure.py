"""Pictures of heat maps: what is drawn where, and what is refused."""

import re

import numpy as np
import pytest

from datamodules.errors import InputError
from interpret.heatmap import heat_figure
from lightning_modules.callbacks.figures import render

RANDOM = np.random.default_rng(0)
IMAGES = RANDOM.integers(0, 256, (2, 8, 8, 3), np.uint8)
MAPS = {"one": RANDOM.random((2, 8, 8)), "other": np.zeros((2, 8, 8))}


def test_a_row_an_image_and_a_column_a_map():
    figure = heat_figure(IMAGES, MAPS, title="t", labels=["first image of two", "second"])
    axes = np.array(figure.axes).reshape(2, 3)
    assert [axis.get_title() for axis in axes[0]] == ["image", "one", "other"]
    assert [axis.get_ylabel() for axis in axes[:, 0]] == ["first image of two", "second"]
    for row in range(2):
        assert np.array_equal(axes[row, 0].images[0].get_array(), IMAGES[row])
        gray, heat = axes[row, 1].images
        assert np.array_equal(gray.get_array(), IMAGES[row].mean(-1))
        assert np.array_equal(heat.get_array(), MAPS["one"][row])
        assert (heat.norm.vmin, heat.norm.vmax) == (0, 1)


def test_masks_are_outlined():
    mask = np.zeros((2, 8, 8), dtype=bool)
    mask[:, 2:6, 2:6] = True
    first, second = (render(heat_figure(IMAGES, MAPS, masks=each)) for each in (None, mask))
    assert first.shape == second.shape
    assert 0.001 < (first != second).any(-1).mean() < 0.3


@pytest.mark.parametrize(
    ("maps", "masks", "message"),
    [
        ({}, None, "expected at least one image and one map to draw, got none."),
        ({"one": MAPS["one"][:, 1:]}, None, "expected one of the images' shape (2, 8, 8), got"),
        (MAPS, np.zeros((2, 4, 4), bool), "expected masks of the images' shape (2, 8, 8), got (2,"),
    ],
)
def test_maps_and_masks_of_another_size_are_refused(maps, masks, message):
    with pytest.raises(InputError, match=re.escape(message)):
        heat_figure(IMAGES, maps, masks=masks)
