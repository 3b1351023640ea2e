"""The benchmark on photographs: what it reads, and its floor."""

import json

import numpy as np
import pytest
from PIL import Image

from benchmarks import fashion_color


@pytest.fixture
def root(tmp_path):
    """Twenty-four pictures, plainly red or blue, and two of a color that glyphs do not know."""
    (tmp_path / "images").mkdir()
    lines = ["id,baseColour,image"]
    for number in range(26):
        color = ("Red", "Blue")[number % 2] if number < 24 else "Skin"
        pixels = np.full((12, 12, 3), 30 + number % 5, np.uint8)
        pixels[..., 0 if color == "Red" else 2] = 220
        Image.fromarray(pixels).save(tmp_path / "images" / f"{number}.png")
        lines.append(f"{number},{color},{number}.png")
    (tmp_path / "styles.csv").write_text("\n".join(lines))
    return tmp_path


def test_only_colors_that_glyphs_know_are_asked_for(root):
    products = fashion_color.read_products(root, least=10)
    assert set(products.values()) == {"red", "blue"}
    assert len(products) == 24


def test_the_floor_tells_plain_colors_apart(root):
    products = fashion_color.read_products(root, least=10)
    order = ["train"] * 12 + ["validation"] * 6 + ["test"] * 6
    part = dict(zip(products, order, strict=True))
    scores = fashion_color.floor(root / "images", products, part)
    assert scores["histogram + logistic regression"] == 1.0
    assert scores["commonest color"] == 0.5


def test_a_histogram_holds_shares(root):
    found = fashion_color.histogram(root / "images/0.png")
    assert found.shape == (8 * 4 * 4 + 2,)
    assert found[:-2].sum() == pytest.approx(1)
    assert found[-2:].tolist() == [0, 0]


def test_without_photographs_it_is_skipped_and_says_so(monkeypatch, capsys):
    monkeypatch.delenv("ASPECTRA_DATA", raising=False)
    assert fashion_color.main(["--json"]) == 0
    assert "no photographs at hand" in json.loads(capsys.readouterr().out)["skipped"]


def test_a_folder_without_the_table_is_refused(tmp_path, capsys):
    assert fashion_color.main(["--root", str(tmp_path)]) == 2
    assert capsys.readouterr().err == (
        f"error: expected styles.csv of the Fashion Product Images in {tmp_path}, found none. Name "
        "the folder with --root.\n"
    )
