"""Stanford Cars: names taken apart, boxes from 1, numbers that would wrap, broken files."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image
from scipy.io import loadmat, savemat

from datamodules.dictionary.given import stated
from datamodules.errors import InputError
from datamodules.sources.cars import ABOUT, TEMPLATES, Model, model, open_source
from datamodules.sources.held_out import with_validation

NAMES = ["Acura RL Sedan 2012", "Land Rover LR2 SUV 2012", "Ford Ranger SuperCab 2011"]
FIELDS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2", "class", "fname")
TRAIN = [(1, 1, 8, 6, 1, "00001.jpg"), (250, 3, 300, 260, 2, "00002.jpg")]
TEST = [(2, 3, 4, 4, 3, "00001.jpg")]


def save_names(root, names):
    (root / "devkit").mkdir(exist_ok=True)
    savemat(root / "devkit/cars_meta.mat", {"class_names": np.array([names], dtype=object)})


def save_entries(path, entries, fields=FIELDS):
    """As the official files: numbers are stored in the smallest type that holds them."""
    array = np.zeros((1, len(entries)), dtype=[(name, object) for name in fields])
    for number, entry in enumerate(entries):
        for name, value in zip(fields, entry, strict=True):
            small = isinstance(value, int) and 0 <= value < 1 << 16
            dtype = np.min_scalar_type(value) if small else None
            array[name][0, number] = value if isinstance(value, str) else np.array(value, dtype)
    savemat(path, {"annotations": array}, do_compression=True)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "cars"
    (root / "cars_train").mkdir(parents=True)
    (root / "cars_test").mkdir()
    save_names(root, NAMES)
    save_entries(root / "devkit/cars_train_annos.mat", TRAIN)
    save_entries(root / "cars_test_annos_withlabels.mat", TEST)
    for name in ("cars_train/00001.jpg", "cars_train/00002.jpg", "cars_test/00001.jpg"):
        Image.new("RGB", (300, 260), (200, 0, 0)).save(root / name)
    return root


def refusal(root):
    with pytest.raises(InputError) as error:
        open_source(root)
    return str(error.value)


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("Acura RL Sedan 2012", ("Acura", "sedan", "", "2012")),
        ("AM General Hummer SUV 2000", ("AM General", "SUV", "", "2000")),
        ("Aston Martin V8 Vantage Coupe 2012", ("Aston Martin", "coupe", "", "2012")),
        ("Land Rover Range Rover SUV 2012", ("Land Rover", "SUV", "", "2012")),
        ("Mercedes-Benz S-Class Sedan 2012", ("Mercedes-Benz", "sedan", "", "2012")),
        ("Ram C/V Cargo Van Minivan 2012", ("Ram", "minivan", "", "2012")),
        ("Ford E-Series Wagon Van 2012", ("Ford", "van", "", "2012")),
        ("Rolls-Royce Phantom Drophead Coupe Convertible 2012",
         ("Rolls-Royce", "convertible", "", "2012")),
        ("Infiniti G Coupe IPL 2012", ("Infiniti", "coupe", "", "2012")),
        ("Dodge Ram Pickup 3500 Crew Cab 2010", ("Dodge", "pickup", "crew cab", "2010")),
        ("Chevrolet Silverado 1500 Classic Extended Cab 2007",
         ("Chevrolet", "pickup", "extended cab", "2007")),
        ("Ford Ranger SuperCab 2011", ("Ford", "pickup", "super cab", "2011")),
        ("Dodge Challenger SRT8 2011", ("Dodge", "", "", "2011")),
    ],
)  # fmt: skip
def test_names_are_taken_apart(name, expected):
    assert model(name) == Model(*expected)


@pytest.mark.parametrize("name", ["", "Acura", "Acura 2012", "Acura RL Sedan", "Acura RL 3012"])
def test_names_without_make_model_and_year_are_none(name):
    assert model(name) is None


def test_items_are_cars_in_their_boxes(root):
    table = open_source(root).annotations
    assert table.images == ("cars_train/00001.jpg", "cars_train/00002.jpg", "cars_test/00001.jpg")
    assert set(table.objects) == {"car"}
    # 300 - 250 fits into a byte, 250 itself counts from 1: bytes would wrap at 256 and at 0.
    expected = [[0, 0, 8, 6], [249, 2, 51, 258], [1, 2, 3, 2]]
    np.testing.assert_array_equal(table.boxes, expected)
    assert table.images_of("test") == ("cars_test/00001.jpg",)
    for image in table.images[:2]:
        assert image in table.images_of(with_validation(image, "train"))
    assert {(row.image[5:], row.attribute, row.value) for row in table.rows} == {
        ("train/00001.jpg", "car model", NAMES[0]), ("train/00001.jpg", "make", "Acura"),
        ("train/00001.jpg", "body type", "sedan"), ("train/00001.jpg", "year", "2012"),
        ("train/00002.jpg", "car model", NAMES[1]), ("train/00002.jpg", "make", "Land Rover"),
        ("train/00002.jpg", "body type", "SUV"), ("train/00002.jpg", "year", "2012"),
        ("test/00001.jpg", "car model", NAMES[2]), ("test/00001.jpg", "make", "Ford"),
        ("test/00001.jpg", "body type", "pickup"), ("test/00001.jpg", "cab", "super cab"),
        ("test/00001.jpg", "year", "2011"),
    }  # fmt: skip
    assert set(TEMPLATES) == set(table.attributes)


def test_test_labels_may_lie_in_the_devkit_or_be_absent(root, caplog):
    expected = open_source(root).data_hash
    file = root / "cars_test_annos_withlabels.mat"
    file.rename(root / "devkit" / file.name)
    assert open_source(root).data_hash == expected
    (root / "devkit" / file.name).unlink()
    table = open_source(root).annotations
    assert len(table) == 2
    assert "test" not in table.splits
    assert caplog.messages == [f"{file} is missing: there is no split 'test'."]


def test_pixels_are_the_cars_and_a_broken_picture_is_named(root):
    assert open_source(root).pixels(4).shape == (3, 4, 4, 3)
    path = root / "cars_train/00002.jpg"
    path.write_bytes(path.read_bytes()[:300])
    with pytest.raises(InputError, match=r"expected a whole image in .*00002\.jpg, got a file "):
        open_source(root).pixels(4)
    path.unlink()
    with pytest.raises(InputError) as error:
        open_source(root).pixels(4)
    assert str(error.value) == (
        f"expected 3 images of Stanford Cars below {root}, 1 are missing, such as "
        f"cars_train/00002.jpg. {ABOUT.get}"
    )


def test_a_box_outside_its_image_is_named(root):
    save_entries(root / "devkit/cars_train_annos.mat", [(301, 1, 310, 9, 1, "00001.jpg")])
    with pytest.raises(InputError, match=r"expected boxes inside the image .* got x 300, y 0, wid"):
        open_source(root).pixels(4)


@pytest.mark.parametrize(
    ("name", "what"),
    [("cars_meta.mat", "the names of the models"), ("cars_train_annos.mat", "boxes and models of")],
)
def test_missing_files_are_named(root, name, what):
    (root / "devkit" / name).unlink()
    message = refusal(root)
    assert message.startswith(f"expected {what}")
    assert message.endswith(f" at {root / 'devkit' / name}, found no such file. {ABOUT.get}")


BROKEN = {
    "repeated image": (
        TRAIN + TRAIN[:1],
        "3: expected every image once, got 'cars_train/00001.jpg' again. Correct the entry.",
    ),
    "class of no name": (
        [(1, 1, 8, 6, 4, "00001.jpg")],
        "1: expected a whole number from 1 to 3 as class, got [[4]]. Correct the entry.",
    ),
    "class from 0": (
        [(1, 1, 8, 6, 0, "00001.jpg")],
        "1: expected a whole number from 1 to 3 as class, got [[0]]. Correct the entry.",
    ),
    "corners the wrong way": (
        [*TRAIN[:1], (9, 1, 8, 6, 1, "00002.jpg")],
        "2: expected a box whose second corner lies right of and below the first, got (9, 1) and "
        "(8, 6). Correct the entry.",
    ),
    "corner of a fraction": (
        [(1.5, 1, 8, 6, 1, "00001.jpg")],
        "1: expected a whole number from 1 to 65536 as bbox_x1, got [[1.5]]. Correct the entry.",
    ),
    "path upwards": (
        [(1, 1, 8, 6, 1, "../a.jpg")],
        "1: expected the path of a file below the image folder, got 'cars_train/../a.jpg'. Correct "
        "the line.",
    ),
    "no name": (
        [(1, 1, 8, 6, 1, 7)],
        "1: expected the name of an image as fname, got [[7]]. Correct the entry.",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_entries_are_named(root, case):
    entries, message = BROKEN[case]
    file = root / "devkit/cars_train_annos.mat"
    save_entries(file, entries)
    assert refusal(root) == f"{file}, annotations, entry {message}"


def test_test_entries_without_classes_are_no_labels(root):
    file = root / "cars_test_annos_withlabels.mat"
    without = [entry[:4] + entry[5:] for entry in TEST]
    save_entries(file, without, FIELDS[:4] + FIELDS[5:])
    assert refusal(root) == (
        f"expected annotations with the fields {', '.join(FIELDS)} in {file}, got bbox_x1, "
        f"bbox_y1, bbox_x2, bbox_y2, fname. {ABOUT.get}"
    )


def test_broken_class_names_are_named(root):
    file = root / "devkit/cars_meta.mat"
    save_names(root, ["Acura RL Sedan 2012", "Acura"])
    assert refusal(root) == (
        f"{file}, class_names, entry 2: expected a make, a model and a year, such as 'Acura RL "
        f"Sedan 2012', got 'Acura'. {ABOUT.get}"
    )
    save_names(root, ["Acura RL Sedan 2012", "acura RL Sedan 2012"])
    assert refusal(root) == (
        f"{file}, class_names, entry 2: expected every model once, got 'acura RL Sedan 2012' "
        f"again. {ABOUT.get}"
    )


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_files_end_in_a_table_or_a_clear_error(tmp_path_factory, data):
    root = tmp_path_factory.getbasetemp() / "damaged-cars"
    root.mkdir(exist_ok=True)
    save_names(root, NAMES)
    file = root / "devkit/cars_train_annos.mat"
    save_entries(file, TRAIN)
    if data.draw(st.booleans()):  # compressed bytes rarely pass their checksum
        content = loadmat(file)
        savemat(file, {"annotations": content["annotations"]}, do_compression=False)
    file = data.draw(st.sampled_from([file, root / "devkit/cars_meta.mat"]))
    content = bytearray(file.read_bytes())
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, len(content)))
        content[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
    file.write_bytes(content)
    try:
        table = open_source(root).annotations
    except InputError as error:
        message = str(error)
        assert str(root) in message
        return
    assert set(table.splits) <= {"train", "validation"}
    assert np.isfinite(table.items.box).all()


DATA = os.environ.get("ASPECTRA_DATA")
real = pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")


@real
def test_the_real_crops_are_read_completely(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = Path(DATA) / "stanford_cars"
    source = open_source(root)
    table = source.annotations
    files = {f"cars_train/{path.name}" for path in (root / "cars_train").glob("*.jpg")}
    assert set(table.images) == files
    assert len(files) == 216
    assert list(table.shown("car model").values()) == [8] * 27
    assert {name: len(table.members(name)) for name in table.splits} == {
        "train": 195, "validation": 21,
    }  # fmt: skip
    sizes = [Image.open(root / image).size for image in table.images]
    assert table.boxes[:, 2:].tolist() == [list(size) for size in sizes]  # each box is the crop
    assert source.pixels(16).shape == (216, 16, 16, 3)
    names = {each.name for each in stated(source).attributes}
    assert names == {"car model", "make", "body type", "cab", "year"}
    assert len(table.shown("body type")) == 9


@real
def test_all_official_training_entries_are_read(tmp_path):
    folder = Path(DATA) / "stanford_cars"
    (tmp_path / "devkit").mkdir()
    (tmp_path / "devkit/cars_meta.mat").symlink_to(folder / "devkit/cars_meta.mat")
    file = folder / "devkit_official_full/cars_train_annos.mat"
    (tmp_path / "devkit/cars_train_annos.mat").symlink_to(file)
    table = open_source(tmp_path).annotations
    raw = loadmat(file)["annotations"][0]
    assert len(table) == len(raw) == 8_144
    corners = np.array([[int(entry[field].item()) for field in FIELDS[:4]] for entry in raw])
    x1, y1, x2, y2 = corners.T
    expected = np.stack([x1 - 1, y1 - 1, x2 - x1 + 1, y2 - y1 + 1], axis=1)
    np.testing.assert_array_equal(table.boxes, expected)
    names = [
        str(name.item()) for name in loadmat(folder / "devkit/cars_meta.mat")["class_names"][0]
    ]
    shown = [row.value for row in table.rows if row.attribute == "car model"]
    assert shown == [names[int(entry["class"].item()) - 1] for entry in raw]
    assert len(table.shown("car model")) == 196
    assert len(table.shown("make")) == 49
    assert sum(table.shown("year").values()) == 8_144
    unnamed = [name for name in names if not model(name).body]
    assert len(unnamed) == 14
