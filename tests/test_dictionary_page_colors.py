"""The colors of the dictionary's page: as many as there are kinds, told apart on either paper."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from datamodules.dictionary import report

STYLE = (Path(report.__file__).parent / "page.css").read_text(encoding="utf-8")
# Machado, Oliveira and Fernandes (IEEE TVCG 2009), severity 1; rows act on linear RGB.
SIGHTS = {
    "protanopia": [[0.152, 1.053, -0.205], [0.115, 0.786, 0.099], [-0.004, -0.048, 1.052]],
    "deuteranopia": [[0.367, 0.861, -0.228], [0.280, 0.673, 0.047], [-0.012, 0.043, 0.969]],
    "tritanopia": [[1.256, -0.077, -0.179], [-0.078, 0.931, 0.148], [0.005, 0.691, 0.304]],
}


def scheme(dark):
    """Colors by name; the dark ones stand in the second rule."""
    rules = re.findall(r":root[^{]*\{(.*?)\}", STYLE, re.S)
    return dict(re.findall(r"--([\w-]+): (#\w{6})", rules[int(dark)]))


def linear(color):
    values = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(values <= 0.04045, values / 12.92, ((values + 0.055) / 1.055) ** 2.4)


def lab(rgb):
    """CIELAB of linear sRGB under D65."""
    to_xyz = np.array(
        [[0.4124, 0.3576, 0.1805], [0.2126, 0.7152, 0.0722], [0.0193, 0.1192, 0.9505]]
    )
    x, y, z = np.cbrt(np.maximum(to_xyz @ np.clip(rgb, 0, 1), 1e-6) / [0.9505, 1, 1.089])
    return np.array([116 * y - 16, 500 * (x - y), 200 * (y - z)])


def contrast(one, two):
    """As WCAG 2 defines it, 1 to 21."""
    dim, bright = sorted(linear(each) @ [0.2126, 0.7152, 0.0722] for each in (one, two))
    return (bright + 0.05) / (dim + 0.05)


def tints(dark):
    colors = scheme(dark)
    return [colors[f"tint-{number}"] for number in range(11)]


def test_lab_of_known_colors():
    np.testing.assert_allclose(lab(linear("#ffffff")), [100, 0, 0], atol=0.1)
    np.testing.assert_allclose(lab(linear("#ff0000")), [53.2, 80.1, 67.2], atol=0.2)
    assert contrast("#000000", "#ffffff") == pytest.approx(21)


@pytest.mark.parametrize("dark", [False, True])
def test_eleven_colors_and_the_grays_are_far_apart(dark):
    colors = scheme(dark)
    shades = [lab(linear(c)) for c in (*tints(dark), colors["no-tint"], colors["other"])]
    apart = [np.linalg.norm(one - two) for one, two in combinations(shades[:11], 2)]
    assert min(apart) > 20  # a just noticeable difference is 2.3
    assert min(np.linalg.norm(one - two) for one in shades[:11] for two in shades[11:]) > 20


@pytest.mark.parametrize("dark", [False, True])
def test_every_color_stands_out_from_the_map_and_none_is_nearly_black(dark):
    colors = scheme(dark)
    assert min(contrast(each, colors["raised"]) for each in tints(dark)) > 2.4
    assert min(lab(linear(each))[0] for each in tints(dark)) > 28


@pytest.mark.parametrize("sight", SIGHTS)
@pytest.mark.parametrize("dark", [False, True])
def test_colors_that_share_a_sign_differ_under_any_color_vision(dark, sight):
    seen = [lab(np.array(SIGHTS[sight]) @ linear(each)) for each in tints(dark)]
    pairs = [(a, b) for a, b in combinations(range(11), 2) if a % 4 == b % 4]
    assert min(np.linalg.norm(seen[a] - seen[b]) for a, b in pairs) > 20


@pytest.mark.parametrize("dark", [False, True])
def test_text_is_readable(dark):
    colors = scheme(dark)
    assert contrast(colors["ink"], colors["paper"]) > 12
    for name in ("soft", "accent"):
        assert contrast(colors[name], colors["paper"]) > 4.5
        assert contrast(colors[name], colors["faint"]) > 4.5
    assert contrast(colors["ink"], colors["hit"]) > 4.5
