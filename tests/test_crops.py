"""Several squares of each image: cut from the picture, kept in order, one shown an epoch."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datamodules.attribute import AttributeDataModule
from datamodules.dictionary import Attribute, Dictionary, Value
from datamodules.dictionary.given import words_hash
from datamodules.errors import InputError
from datamodules.images import cached, crop_draws, decode_boxes
from datamodules.images.decode import _crops
from datamodules.sampling import OrderedBatches, ShuffledBatches
from datamodules.sources import load_source

WHOLE = np.zeros((1, 4))


@pytest.fixture
def chart(tmp_path):
    """A picture of 120 x 80 whose red is the column and whose green is the row."""
    row, column = np.mgrid[:80, :120]
    pixels = np.stack([column, row, 0 * row], axis=2).astype(np.uint8)
    Image.fromarray(pixels).save(tmp_path / "chart.png")
    return tmp_path / "chart.png"


units = st.floats(0, 1, exclude_max=True, width=32)


@given(
    st.integers(0, 9), st.integers(0, 9), st.integers(1, 300), st.integers(1, 300),
    st.lists(st.tuples(units, units, units), max_size=5),
)  # fmt: skip
def test_crops_are_squares_inside_of_half_the_area_or_more(left, top, width, height, drawn):
    for x0, y0, x1, y1 in _crops((left, top, left + width, top + height), drawn):
        assert x1 - x0 == y1 - y0 >= 1
        assert left <= x0 < x1 <= left + width
        assert top <= y0 < y1 <= top + height
        assert x1 - x0 >= min(width, height) * 0.5**0.5 - 0.5


def test_a_crop_shows_the_place_that_was_drawn(chart):
    drawn = np.array([[[0.0, 0.0, 0.0], [0.999, 0.5, 0.999]]], np.float32)
    centre, small, large = decode_boxes(chart, 20, WHOLE, drawn).astype(int)
    assert np.array_equal(centre, decode_boxes(chart, 20, WHOLE)[0])
    short = round(80 * 0.5**0.5)
    for square, (x, y, side) in ((small, (0, 0, short)), (large, (20, 0, 80))):
        middle = square[9:11, 9:11, :2].mean((0, 1))
        assert middle == pytest.approx([x + side / 2 - 0.5, y + side / 2 - 0.5], abs=1)
        step = (square[:, 15, 0] - square[:, 5, 0]).mean() / 10  # columns of a pixel of the square
        assert step == pytest.approx(side / 20, rel=0.05)


def test_crops_of_a_box_stay_in_the_square_around_it(chart):
    box = np.array([[60.0, 20, 40, 20]])
    drawn = crop_draws(np.arange(1), 9)
    squares = decode_boxes(chart, 10, box, drawn)
    assert squares.shape == (9, 10, 10, 3)
    assert squares[..., 0].min() >= 59
    assert squares[..., 0].max() <= 100
    assert squares[..., 1].min() >= 9
    assert squares[..., 1].max() <= 50


def test_the_cache_keeps_the_squares_of_an_item_together(chart, tmp_path):
    drawn = crop_draws(np.array([3, 8]), 3)
    pixels = cached([chart, chart], 12, tmp_path / "cache", draws=drawn)
    assert pixels.shape == (6, 12, 12, 3)
    for item in range(2):
        alone = decode_boxes(chart, 12, WHOLE, drawn[item : item + 1])
        assert np.array_equal(pixels[3 * item : 3 * item + 3], alone)
    assert not np.array_equal(pixels[1], pixels[2])
    assert not np.array_equal(pixels[1], pixels[4])


def test_an_items_crops_do_not_depend_on_its_company():
    few, many = crop_draws(np.array([7, 2]), 3), crop_draws(np.arange(9), 3)
    assert np.array_equal(few, many[[7, 2]])
    assert crop_draws(np.arange(4), 1).shape == (4, 0, 3)


def test_epochs_show_every_square_and_evaluation_the_centre():
    members, crops = np.arange(50, 90), 4
    batches = ShuffledBatches(members, batch_size=10, seed=3, crops=crops)
    shown = []
    for epoch in range(40):
        batches.set_epoch(epoch)
        squares = np.concatenate(list(batches))
        assert sorted(squares // crops) == members.tolist()
        shown.append(squares[np.argsort(squares)] % crops)
    counts = np.bincount(np.concatenate(shown), minlength=crops)
    assert (abs(counts - 400) < 4 * np.sqrt(1600 * 0.25 * 0.75)).all()
    ordered = OrderedBatches(members, batch_size=7, crops=crops)
    assert np.concatenate(list(ordered)).tolist() == (members * crops).tolist()


def test_the_order_of_images_is_that_of_a_run_without_crops():
    members = np.arange(30)
    plain = ShuffledBatches(members, batch_size=6, seed=1)
    cropped = ShuffledBatches(members, batch_size=6, seed=1, crops=5)
    assert [[n // 5 for n in batch] for batch in cropped] == list(plain)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Twelve pictures of noise with a color each; returns the options of a data module."""
    monkeypatch.chdir(tmp_path)
    rows, rng = ["image,split,attribute,value"], np.random.default_rng(0)
    for number in range(12):
        name, split = f"{number}.png", "train" if number < 8 else "validation"
        rows.append(f"{name},{split},color,{('red', 'blue')[number % 2]}")
        Image.fromarray(rng.integers(0, 256, (40, 30, 3), dtype=np.uint8)).save(tmp_path / name)
    (tmp_path / "annotations.csv").write_text("\n".join(rows) + "\n")
    values = tuple(Value(f"v_{name}", name, 6) for name in ("red", "blue"))
    path, source = tmp_path / "dictionary.json", load_source("folder", tmp_path)
    Dictionary("folder", words_hash(source), (Attribute("color", values, exclusive=True),)).save(
        path
    )
    return {"source": "folder", "root": tmp_path, "dictionary": path, "image_size": 10}


def opened(**options):
    data = AttributeDataModule("color", batch_size=8, **options)
    data.prepare_data()
    data.setup()
    return data


def test_training_sees_crops_with_the_labels_of_their_image(folder):
    data = opened(**folder, crops=3)
    assert data.pixels().shape == (36, 10, 10, 3)
    batch = next(iter(data.train_dataloader()))
    assert sorted(batch["index"].tolist()) == list(range(8))
    labels = data.labels("color")
    kinds = []
    for image, index, label in zip(batch["image"], batch["index"], batch["label"], strict=True):
        squares = data.pixels()[3 * int(index) : 3 * int(index) + 3]
        same = [np.array_equal(image.permute(1, 2, 0), square) for square in squares]
        assert sum(same) == 1
        kinds.append(same.index(True))
        assert label.tolist() == labels.label[int(index)].tolist()
    assert len(set(kinds)) > 1
    batch = next(iter(data.val_dataloader()))
    assert batch["index"].tolist() == [8, 9, 10, 11]
    assert np.array_equal(batch["image"].permute(0, 2, 3, 1), data.pixels()[[24, 27, 30, 33]])
    assert np.array_equal(data.image(9), data.pixels()[27])


def test_glyphs_have_no_larger_pictures(tmp_path):
    from datamodules.sources.glyphs.source import Glyphs, write

    write(tmp_path / "glyphs", {"train": 8, "validation": 4})
    source = Glyphs.open(tmp_path / "glyphs")
    assert np.array_equal(source.pixels(64, np.array([5, 2])), source.pixels(64)[[5, 2]])
    with pytest.raises(InputError) as caught:
        source.pixels(64, crops=2)
    assert str(caught.value) == (
        "expected one square of each image of glyphs, which has no larger pictures to cut crops "
        "from, got 2. Leave out --data.crops."
    )
