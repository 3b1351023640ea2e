"""A user's own folder: annotations, captions and images, and what may be wrong with each."""

import re

import numpy as np
import pytest
from PIL import Image

from datamodules.dictionary import build_dictionary
from datamodules.errors import InputError
from datamodules.sources import SOURCES, load_source
from datamodules.sources.folder import Folder

ROWS = """image,split,attribute,value
img/a.png,train,color,red
img/a.png,train,shape,star
img/b.jpg,train,color,dark blue
c.png,validation,color,red
"""
CAPTIONS = """image,caption
img/b.jpg,"a dark blue ring, on the wall"
img/a.png,a red star
img/a.png,something red
elsewhere.png,a green cross
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = tmp_path / "mine"
    (root / "img").mkdir(parents=True)
    (root / "annotations.csv").write_text(ROWS)
    for name, gray in (("img/a.png", 10), ("img/b.jpg", 20), ("c.png", 30)):
        Image.new("L", (20, 20), gray).save(root / name)
    return root


def test_images_come_in_the_order_of_the_annotations(root, tmp_path):
    source = load_source("folder", root)
    assert source.name == "folder"
    assert source.annotations.images == ("img/a.png", "img/b.jpg", "c.png")
    pixels = source.pixels(8)
    assert pixels.shape == (3, 8, 8, 3)
    assert pixels[:, 4, 4, 0].tolist() == [10, 20, 30]
    assert len(list((tmp_path / "artifacts/data/folder").glob("[!.]*"))) == 1


def test_without_captions_the_annotations_state_the_types(root):
    source = Folder.open(root)
    assert source.states_types
    assert source.captions("train") == [[], []]
    (root / "captions.csv").write_text(CAPTIONS)
    assert not Folder.open(root).states_types


def test_captions_go_to_their_images(root):
    (root / "captions.csv").write_text(CAPTIONS)
    source = Folder.open(root)
    assert source.captions("train") == [
        ["a red star", "something red"],
        ["a dark blue ring, on the wall"],
    ]
    assert source.captions("validation") == [[]]


def test_a_dictionary_can_be_built_of_a_folder(root):
    (root / "captions.csv").write_text(CAPTIONS)
    source = Folder.open(root)
    captions = source.captions("train") * 40 + source.captions("validation")  # one says nothing
    dictionary = build_dictionary("folder", captions, data_hash="x")
    assert "red" in dictionary.attribute("color").texts


def test_other_data_has_another_hash(root):
    first = Folder.open(root).data_hash
    assert Folder.open(root).data_hash == first
    (root / "captions.csv").write_text(CAPTIONS)
    second = Folder.open(root).data_hash
    Image.fromarray(np.random.default_rng(0).integers(0, 255, (20, 20, 3), dtype=np.uint8)).save(
        root / "c.png"
    )
    third = Folder.open(root).data_hash
    (root / "c.png").unlink()
    assert len({first, second, third, Folder.open(root).data_hash}) == 4


# --- what is refused ------------------------------------------------------------------------------


def test_an_unknown_source_lists_the_known_ones():
    with pytest.raises(InputError) as caught:
        load_source("imagenets")
    known = ", ".join(SOURCES)
    assert {"folder", "glyphs"} <= set(SOURCES)
    assert str(caught.value) == (
        f"expected a data set among {known}, got 'imagenets'. Set DATA=... (or --data.source, "
        "--source) to one of them."
    )


def test_a_folder_source_needs_its_root():
    with pytest.raises(InputError) as caught:
        load_source("folder")
    assert str(caught.value) == (
        "DATA=folder needs the folder of your own images, got none. Add ROOT=path/to/folder (or "
        "--data.root, --root). It holds annotations.csv (image, split, attribute, value) and the "
        "images named there."
    )


def test_a_root_that_is_not_there_is_named(tmp_path):
    with pytest.raises(InputError) as caught:
        load_source("folder", tmp_path / "none")
    assert str(caught.value).startswith(
        f"expected the annotations at {tmp_path / 'none/annotations.csv'}, found no such file."
    )


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("image,text\n", "line 1: expected a header with image, caption, got image, text; missing: "
         "caption. Add the columns."),
        ("image,caption\nc.png,a star, red\n", "line 2: expected 2 cells (image, caption), got 3: "
         "'c.png,a star,red'. Correct or remove the row; text with a comma goes between double "
         "quotes."),
        ("image,caption\n\nc.png\n", "line 3: expected 2 cells (image, caption), got 1: 'c.png'. "
         "Correct or remove the row; text with a comma goes between double quotes."),
        ("image,caption\nc.png,\n", "line 2: expected a value for caption, got none. Correct or "
         "remove the row."),
    ],
)  # fmt: skip
def test_a_broken_caption_is_named_with_its_line(root, text, expected):
    (root / "captions.csv").write_text(text)
    with pytest.raises(InputError) as caught:
        Folder.open(root).captions("train")
    assert str(caught.value) == f"{root / 'captions.csv'}, {expected}"


@pytest.mark.parametrize(("rows", "other"), [("A.PNG,a star\n", "'A.PNG'"), ("", "none")])
def test_captions_of_other_images_are_refused(root, rows, other):
    (root / "captions.csv").write_text("image,caption\n" + rows)
    with pytest.raises(InputError) as caught:
        Folder.open(root).captions("train")
    assert str(caught.value) == (
        f"expected captions of the images in {root / 'annotations.csv'}, such as 'img/a.png'; "
        f"{root / 'captions.csv'} is about others: {other}. Write the images' names alike in both."
    )


def test_a_missing_image_is_named(root):
    (root / "img/b.jpg").unlink()
    with pytest.raises(InputError, match=re.escape(f"expected an image at {root / 'img/b.jpg'}")):
        Folder.open(root).pixels(8)


def test_an_image_that_is_text_is_named(root):
    (root / "c.png").write_text("these are words")
    with pytest.raises(InputError, match=f"expected a whole image in {root / 'c.png'}"):
        Folder.open(root).pixels(8)
