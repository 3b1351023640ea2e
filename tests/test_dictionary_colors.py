"""The map's colors can be told apart with any color vision, on light and on dark paper."""

import re
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest

from datamodules.dictionary import report

STYLE = (Path(report.__file__).parent / "page.css").read_text()
# Machado, Oliveira and Fernandes, IEEE TVCG 2009: linear RGB as each kind of eye sees it.
EYES = {
    "usual": np.eye(3),
    "protanopia": [[0.152286, 1.052583, -0.204868], [0.114503, 0.786281, 0.099216],
                   [-0.003882, -0.048116, 1.051998]],
    "deuteranopia": [[0.367322, 0.860646, -0.227968], [0.280085, 0.672501, 0.047413],
                     [-0.011820, 0.042940, 0.968881]],
    "tritanopia": [[1.255528, -0.076749, -0.178779], [-0.078411, 0.930809, 0.147602],
                   [0.004733, 0.691367, 0.303900]],
}  # fmt: skip
# Ottosson 2020: linear RGB to Oklab, in which distance is as the eye sees it.
CONES = np.array([[0.4122214708, 0.5363325363, 0.0514459929],
                  [0.2119034982, 0.6806995451, 0.1073969566],
                  [0.0883024619, 0.2817188376, 0.6299787005]])  # fmt: skip
OKLAB = np.array([[0.2104542553, 0.7936177850, -0.0040720468],
                  [1.9779984951, -2.4285922050, 0.4505937099],
                  [0.0259040371, 0.7827717662, -0.8086757660]])  # fmt: skip


def schemes():
    found = {}
    for name, value in re.findall(r"--([\w-]+): (#[0-9a-f]{6})", STYLE):
        found.setdefault(name, []).append(value)
    return [{name: values[at] for name, values in found.items()} for at in (0, 1)]


def linear(color):
    rgb = np.array([int(color[at : at + 2], 16) for at in (1, 3, 5)]) / 255
    return np.where(rgb <= 0.04045, rgb / 12.92, ((rgb + 0.055) / 1.055) ** 2.4)


def seen(color, eye):
    rgb = np.clip(np.array(EYES[eye]) @ linear(color), 0, 1)
    return 100 * OKLAB @ np.cbrt(CONES @ rgb)


def contrast(one, two):
    low, high = sorted(linear(color) @ [0.2126, 0.7152, 0.0722] for color in (one, two))
    return (high + 0.05) / (low + 0.05)


@pytest.mark.parametrize("eye", EYES)
@pytest.mark.parametrize("scheme", schemes(), ids=["light", "dark"])
def test_no_two_marks_look_alike(scheme, eye):
    colors = [value for name, value in scheme.items() if "tint" in name]
    assert len(colors) == 9
    far = [np.linalg.norm(seen(one, eye) - seen(two, eye)) for one, two in combinations(colors, 2)]
    assert min(far) > 11  # 2 is a just noticeable difference


@pytest.mark.parametrize("scheme", schemes(), ids=["light", "dark"])
def test_text_is_readable_and_marks_stand_out(scheme):
    assert contrast(scheme["ink"], scheme["paper"]) > 12
    for name in ("soft", "accent"):
        assert contrast(scheme[name], scheme["paper"]) > 4.5
        assert contrast(scheme[name], scheme["faint"]) > 4.5
    assert contrast(scheme["ink"], scheme["hit"]) > 4.5
    for number in range(8):
        assert contrast(scheme[f"tint-{number}"], scheme["raised"]) > 2.5
