"""Caltech-101: what is left out, the three kinds of splits, and broken lists."""

import json
import os
import shutil
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.errors import InputError
from datamodules.sources.caltech101 import ABOUT, open_source
from datamodules.sources.held_out import with_validation

IMAGES = [
    "airplanes/image_0001.jpg",
    "Faces/image_0001.jpg",
    "Faces/image_0002.jpg",
    "grand_piano/image_0001.jpg",
    "grand_piano/image_0002.jpg",
]
LEFT_OUT = ["Faces_easy/image_0001.jpg", "BACKGROUND_Google/image_0001.jpg"]


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "caltech"
    for number, image in enumerate(IMAGES + LEFT_OUT):
        path = root / "101_ObjectCategories" / image
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 8), 10 * number).save(path)
    (root / "101_ObjectCategories/BACKGROUND_Google/tmp").write_text("not an image")
    return root


def coop(root, train, val=(), test=()):
    content = {"train": train, "val": list(val), "test": list(test)}
    (root / "split_zhou_Caltech101.json").write_text(json.dumps(content))


def refusal(root):
    with pytest.raises(InputError) as error:
        open_source(root)
    return str(error.value)


def test_without_lists_all_images_but_the_background_and_the_close_faces_are_read(root):
    source = open_source(root)
    assert sorted(source.annotations.images) == sorted(IMAGES)
    assert {(row.image, row.attribute, row.value) for row in source.annotations.rows} == {
        ("airplanes/image_0001.jpg", "category", "airplane"),
        ("Faces/image_0001.jpg", "category", "face"),
        ("Faces/image_0002.jpg", "category", "face"),
        ("grand_piano/image_0001.jpg", "category", "grand piano"),
        ("grand_piano/image_0002.jpg", "category", "grand piano"),
    }
    assert set(source.annotations.splits) <= {"train", "validation", "test"}


def test_splits_by_hash_do_not_move_when_images_are_added(root):
    before = {row.image: row.split for row in open_source(root).annotations.rows}
    folder = root / "101_ObjectCategories" / "lamp"
    folder.mkdir()
    for number in range(200):
        shutil.copy(root / "101_ObjectCategories" / IMAGES[0], folder / f"image_{number:04d}.jpg")
    table = open_source(root).annotations
    after = {row.image: row.split for row in table.rows}
    assert {image: after[image] for image in before} == before
    share = {name: len(table.members(name)) / len(table) for name in table.splits}
    assert share == pytest.approx({"train": 0.8, "validation": 0.1, "test": 0.1}, abs=0.1)


def test_gray_pictures_become_three_channels(root):
    source = open_source(root)
    pixels = source.pixels(8)
    assert pixels.shape == (5, 8, 8, 3)
    gray = {image: 10 * number for number, image in enumerate(IMAGES)}
    expected = [gray[image] for image in source.annotations.images]
    np.testing.assert_array_equal(pixels[:, 4, 4], np.array(expected)[:, None].repeat(3, 1))


def test_lists_come_first_and_hold_validation_out_of_train(root, caplog):
    coop(root, [[IMAGES[0], 0, "airplane"]])
    (root / "train.txt").write_text("\ufeff" + "\r\n".join([*IMAGES[:3], LEFT_OUT[0], ""]))
    (root / "test.txt").write_text(IMAGES[3])
    table = open_source(root).annotations
    assert {row.image: row.split for row in table.rows} == {
        **{image: with_validation(image, "train") for image in IMAGES[:3]},
        IMAGES[3]: "test",
    }
    assert caplog.messages == [
        f"1 images below {root / '101_ObjectCategories'} are in no list, such as {IMAGES[4]}; they "
        "are left out."
    ]


def test_the_split_of_coop_is_read(root):
    coop(root, [[IMAGES[1], 1, "face"], [IMAGES[0], 0, "airplane"]], [[IMAGES[2], 1, "face"]],
         [[IMAGES[3], 2, "grand_piano"]])  # fmt: skip
    table = open_source(root).annotations
    assert table.images_of("train") == (IMAGES[1], IMAGES[0])
    assert table.images_of("validation") == (IMAGES[2],)
    assert table.images_of("test") == (IMAGES[3],)


def test_the_folder_of_the_official_archive_will_do(root):
    root.rename(root.parent / "caltech-101")
    assert len(open_source(root.parent).annotations) == 5


def test_missing_pictures_and_lists_are_named(root):
    (root / "test.txt").write_text(IMAGES[0])
    assert refusal(root) == (
        f"expected the images of the split 'train' at {root / 'train.txt'}, found no such file."
    )
    empty = root / "empty"
    assert refusal(empty) == (
        "expected pictures such as grand_piano/image_0001.jpg below "
        f"{empty / '101_ObjectCategories'}, got none. {ABOUT.get}"
    )
    (root / "train.txt").write_text("lamp/image_0001.jpg")
    with pytest.raises(InputError, match=r"1 are missing, such as lamp/image_0001\.jpg\. Unpack"):
        open_source(root).pixels(8)


def test_a_truncated_picture_is_named(root):
    path = root / "101_ObjectCategories" / IMAGES[2]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"expected a whole image in .*Faces/image_0002\.jpg, got"):
        open_source(root).pixels(8)


BROKEN = {
    "image_0001.jpg": "{file}, line 2: expected an image such as grand_piano/image_0001.jpg, got "
    "'image_0001.jpg'. Correct the line.",
    "/etc/passwd": "{file}, line 2: expected the path of a file below the image folder, got "
    "'/etc/passwd'. Correct the line.",
    "Faces/image_0001.jpg": "{file}, line 2: expected every image once, got 'Faces/image_0001.jpg' "
    "again, which is at {train}, line 1. Remove one of the lines.",
    "lamp/\udce9.jpg": r"{file}, line 2: expected UTF-8 text, got the byte b'\xe9'. Save the file "
    "as UTF-8.",
}


@pytest.mark.parametrize("line", BROKEN)
def test_broken_lines_are_named(root, line):
    train, test = root / "train.txt", root / "test.txt"
    train.write_text("Faces/image_0001.jpg\n")
    test.write_bytes(f"\n{line}\n".encode(errors="surrogateescape"))
    assert refusal(root) == BROKEN[line].format(file=test, train=train)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_lists_end_in_a_table_or_a_clear_error(tmp_path_factory, data):
    root = tmp_path_factory.getbasetemp() / "damaged-caltech"
    root.mkdir(exist_ok=True)
    (root / "train.txt").unlink(missing_ok=True)
    (root / "test.txt").unlink(missing_ok=True)
    coop(root, [[IMAGES[0], 0, "airplane"], [IMAGES[1], 1, "face"]], test=[[IMAGES[3], 2, "piano"]])
    name = "split_zhou_Caltech101.json"
    if data.draw(st.booleans()):
        (root / "train.txt").write_text("\n".join(IMAGES[:3]))
        (root / "test.txt").write_text("\n".join(IMAGES[3:]))
        name = data.draw(st.sampled_from(["train.txt", "test.txt"]))
    content = (root / name).read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(content)))
        junk = data.draw(st.binary(max_size=4) | st.sampled_from([b"\n", b"/", b"..", b"[", b'"']))
        content = content[:at] + junk + content[at + data.draw(st.integers(0, 30)) :]
    (root / name).write_bytes(content)
    try:
        table = open_source(root).annotations
    except InputError as error:
        message = str(error)
        assert str(root) in message
        return
    assert set(table.splits) <= {"train", "validation", "test"}
    assert len(set(table.images)) == len(table) == len(table.columns.label)


DATA = os.environ.get("ASPECTRA_DATA")


@pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")
def test_the_real_pictures_are_read_completely(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = Path(DATA) / "caltech101"
    source = open_source(root)
    table = source.annotations
    listed = {name: set((root / f"{name}.txt").read_text().split()) for name in ("train", "test")}
    assert set(table.images) == listed["train"] | listed["test"]
    assert len(table) == 208
    assert set(table.images_of("test")) == listed["test"]
    assert len(table.members("validation")) == 15
    assert list(table.shown("category").values()) == [13] * 16
    assert source.pixels(16).shape == (208, 16, 16, 3)
