"""Visual Genome: words about objects in boxes, in its official and in a compact form."""

import json
import os
import re
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.__main__ import main
from datamodules.dictionary import Dictionary
from datamodules.errors import InputError
from datamodules.sources.hashed_parts import hashed_part
from datamodules.sources.visual_genome import ABOUT, open_source

CLOCK = {
    "synsets": ["clock.n.01"], "h": 9, "object_id": 50, "names": ["Clock"], "w": 8,
    "attributes": ["green", "tall ", "Green"], "y": 2, "x": 1,
}  # fmt: skip
SHADE = {"synsets": ["shade.n.01"], "h": 4, "object_id": 51, "names": ["shade"], "w": 4, "y": 0,
         "x": 0}  # fmt: skip
PATH = {"synsets": ["garden_path.n.01"], "h": 5, "object_id": 52, "names": [], "w": 6,
        "attributes": ["sidewalk"], "y": 3, "x": 4}  # fmt: skip
SIGN = {"synsets": [], "h": 5.5, "object_id": 53, "names": [], "w": 6, "attributes": ["red"],
        "y": -1, "x": 4}  # fmt: skip
IMAGES = [
    {"image_id": 1, "attributes": [CLOCK, SHADE, PATH]},
    {"image_id": 2, "attributes": [SIGN]},
    {"image_id": 3, "attributes": [SHADE]},
]
REGIONS = [
    {"id": 1, "regions": [
        {"region_id": 9, "width": 8, "height": 9, "image_id": 1, "phrase": "the clock is green  ",
         "x": 1, "y": 2},
        {"region_id": 10, "width": 1, "height": 1, "image_id": 1, "phrase": "  ", "x": 1, "y": 2},
    ]},
    {"id": 7, "regions": [{"phrase": "another image"}]},
]  # fmt: skip
COMPACT = "1,1,2,8,9,green\n2,4,-1,6,5.5,red\n1,1,2,8,9,Tall\n1,1,2,8,9,green\n"


def write(root, images=IMAGES, **others):
    root.mkdir(parents=True, exist_ok=True)
    (root / "attributes.json").write_text(json.dumps(images))
    for name, value in others.items():
        (root / f"{name}.json").write_text(json.dumps(value))
    return root


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    return write(tmp_path / "vg")


def told(root):
    rows = open_source(root).annotations.rows
    return [(row.image, row.object, row.value, row.box) for row in rows]


def error(root):
    with pytest.raises(InputError) as caught:
        open_source(root)
    return str(caught.value)


def test_every_word_of_an_object_is_a_row_of_its_box(root):
    source = open_source(root)
    assert told(root) == [
        ("VG_100K/1.jpg", "clock", "green", (1, 2, 8, 9)),
        ("VG_100K/1.jpg", "clock", "tall", (1, 2, 8, 9)),
        ("VG_100K/1.jpg", "garden path", "sidewalk", (4, 3, 6, 5)),
        ("VG_100K/2.jpg", "", "red", (4, -1, 6, 5.5)),
    ]
    assert set(source.annotations.attributes) == {""}
    assert not source.states_types
    assert (source.name, source.root) == ("visual_genome", root)


def test_objects_without_a_name_take_the_one_of_objects_json(root):
    objects = [{"image_id": 2, "objects": [{"object_id": 53, "names": ["stop sign"], "x": 4}]}]
    write(root, objects=objects)
    assert told(root)[-1][1] == "stop sign"


def test_phrases_of_regions_are_captions_without_outer_blanks(root):
    write(root, region_descriptions=REGIONS)
    source = open_source(root)
    said = [text for split in source.annotations.splits for text in source.captions(split)]
    assert sorted(said) == [[], ["the clock is green"]]


def test_regions_of_other_images_are_refused(root):
    write(root, region_descriptions=REGIONS[1:])
    assert error(root) == (
        f"expected phrases about the images of {root}/attributes.json, got none in "
        f"{root}/region_descriptions.json. Use two files of one release."
    )


def test_annotations_open_without_images_and_only_pixels_complain(root):
    source = open_source(root)
    assert len(source.annotations) == 3
    assert len(source.data_hash) == 64
    with pytest.raises(InputError) as caught:
        source.pixels(8)
    assert str(caught.value) == (
        f"expected 2 images of Visual Genome below {root}, 2 are missing, such as VG_100K/1.jpg. "
        f"{ABOUT.get}"
    )


def test_crops_come_from_either_folder(root):
    for folder, number, gray in (("VG_100K", 1, 10), ("VG_100K_2", 2, 200)):
        (root / folder).mkdir()
        Image.new("L", (20, 20), gray).save(root / folder / f"{number}.jpg")
    (root / "VG_100K/thumbs.jpg").touch()
    source = open_source(root)
    assert source.annotations.images == ("VG_100K/1.jpg", "VG_100K/1.jpg", "VG_100K_2/2.jpg")
    pixels = source.pixels(8)
    assert pixels.shape == (3, 8, 8, 3)
    assert pixels[:, 4, 4, 0].tolist() == [10, 10, 200]


def test_a_broken_image_and_a_box_outside_it_are_named(root):
    (root / "VG_100K").mkdir()
    for number in (1, 2):
        Image.new("L", (20, 20)).save(root / f"VG_100K/{number}.jpg")
    whole = (root / "VG_100K/2.jpg").read_bytes()
    (root / "VG_100K/2.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"expected a whole image in .*VG_100K/2\.jpg, got"):
        open_source(root).pixels(8)
    (root / "VG_100K/2.jpg").write_bytes(whole)
    write(root, [{"image_id": 2, "attributes": [SIGN | {"x": 30}]}])
    with pytest.raises(InputError, match=r"expected boxes inside the image .*2\.jpg of 20 x 20"):
        open_source(root).pixels(8)


def test_boxes_without_area_are_left_out_and_counted(root, caplog):
    write(root, [{"image_id": 1, "attributes": [CLOCK, PATH | {"w": 0}, SIGN | {"h": -3}]}])
    assert [row[2] for row in told(root)] == ["green", "tall"]
    assert caplog.messages == ["left out 2 objects of Visual Genome: boxes without area"]


def test_splits_hang_on_the_number_of_the_image_alone(tmp_path):
    images = [{"image_id": n, "attributes": [CLOCK]} for n in range(1000)]
    table = open_source(write(tmp_path / "a", images)).annotations
    split_of = {name: split for split in table.splits for name in table.images_of(split)}
    assert all(split_of[f"VG_100K/{n}.jpg"] == hashed_part(str(n)) for n in range(1000))
    counts = [len(table.images_of(split)) for split in ("train", "validation", "test")]
    assert np.abs(np.array(counts) - (800, 100, 100)).max() < 50  # four standard deviations
    other = write(tmp_path / "b", images[::-7])
    (other / "VG_100K_2").mkdir()
    for number in range(1000):
        (other / f"VG_100K_2/{number}.jpg").touch()
    moved = open_source(other).annotations
    for split in moved.splits:
        assert all(split_of[name.replace("_2/", "/")] == split for name in moved.images_of(split))


def test_published_lists_say_the_splits_and_leave_images_out(root):
    write(root, [{"image_id": n, "attributes": [CLOCK]} for n in (1, 2, 3, 4)])
    (root / "train.txt").write_text("VG_100K/3.jpg xml/3.xml\n")
    (root / "val.txt").write_text("VG_100K_2/1.jpg xml/1.xml\n")
    (root / "test.txt").write_text("4\n")
    table = open_source(root).annotations
    assert {split: table.images_of(split) for split in table.splits} == {
        "train": ("VG_100K/3.jpg",),
        "validation": ("VG_100K/1.jpg",),
        "test": ("VG_100K/4.jpg",),
    }
    (root / "test.txt").write_text("4\n\n3\n")
    assert error(root) == (
        f"{root}/test.txt, line 3: expected every image in one list, got 3, which is in train.txt "
        "too. Remove it from one."
    )
    (root / "test.txt").write_text("x.jpg\n")
    assert error(root) == (
        f"{root}/test.txt, line 1: expected an image number of 0 or more, got 'x'. Correct the "
        "line."
    )


def test_the_compact_form_gives_the_same_boxes_and_words(root):
    official = {(row[0], row[2], row[3]) for row in told(root) if row[2] != "sidewalk"}
    (root / "attributes.json").unlink()
    (root / "Attributes.txt").write_bytes(b"\xef\xbb\xbf" + COMPACT.replace("\n", "\r\n").encode())
    rows = told(root)
    assert {(row[0], row[2], row[3]) for row in rows} == official
    assert len(rows) == 3


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("1,2,3,4,5\n", "expected 6 fields (image,x,y,width,height,attribute), got 5: '1,2,3,4,5'. "
                        "Correct or remove the line."),
        ("1,2,3,4,5,red,blue\n", "expected 6 fields (image,x,y,width,height,attribute), got 7: "
                                 "'1,2,3,4,5,red,blue'. Correct or remove the line."),
        ("1,2,3,nan,5,red\n", "expected a number of pixels, got 'nan'. Correct the file."),
        ("a,2,3,4,5,red\n", "expected an image number of 0 or more, got 'a'. Correct the line."),
        ("1,2,3,4,5, \n", "expected an attribute, got none. Remove the line."),
    ],
)  # fmt: skip
def test_broken_lines_of_the_compact_form_are_named(root, text, message):
    (root / "attributes.json").unlink()
    (root / "Attributes.txt").write_text("1,2,3,4,5,red\n" + text)
    assert error(root) == f"{root}/Attributes.txt, line 2: {message}"


def test_a_missing_file_is_named_and_a_folder_too_high_is_recognised(root):
    assert error(root.parent / "none") == (
        f"expected the attributes at {root.parent}/none/attributes.json (or Attributes.txt there), "
        f"found no such file. {ABOUT.get}"
    )
    assert error(root.parent) == (
        f"expected the attributes at {root.parent}/attributes.json (or Attributes.txt there), "
        f"found no such file. There is {root}/attributes.json: set ROOT={root}. {ABOUT.get}"
    )


@pytest.mark.parametrize(
    ("second", "message"),
    [
        ({"image_id": 1, "attributes": []},
         "expected every image once, got image 1 again (entry 1 has it too). Remove one of them."),
        ({"attributes": []}, "expected a whole number as 'image_id', got none. Correct the file."),
        ({"image_id": True}, "expected a whole number as 'image_id', got True. Correct the file."),
        ({"image_id": 2, "attributes": [CLOCK | {"x": "4"}]},
         "expected a number of pixels as 'x', got '4'. Correct the file."),
        ({"image_id": 2, "attributes": [CLOCK | {"w": 1e9}]},
         "expected a number of pixels as 'w', got 1000000000.0. Correct the file."),
        ({"image_id": 2, "attributes": [CLOCK | {"attributes": "green"}]},
         "expected a list of texts as 'attributes', got 'green'. Correct the file."),
        ({"image_id": 2, "attributes": ["green"]},
         "expected a list of objects as 'attributes', got ['green']. Correct the file."),
        ({"image_id": 2, "attributes": [PATH | {"synsets": [], "object_id": None}]}, None),
    ],
)  # fmt: skip
def test_broken_entries_are_named(root, second, message):
    write(root, [IMAGES[0], second])
    if message is None:  # asked for only where there are names to look up
        message = "expected a whole number as 'object_id', got none. Correct the file."
    assert error(root) == f"{root}/attributes.json, entry 2: {message}"


def test_a_data_set_without_any_word_is_refused(root):
    write(root, IMAGES[2:])
    assert error(root) == f"expected objects with attributes in {root}, got none. {ABOUT.get}"


def garbled(data, text):
    """A text with parts of it removed, doubled or replaced."""
    raw = text.encode()
    for _ in range(data.draw(st.integers(1, 3))):
        first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(raw))] * 2)))
        part = raw[first:second]
        raw = (
            raw[:first]
            + data.draw(st.sampled_from((b"", part * 2, b"\xff", b",", b"-1")))
            + (raw[second:] if data.draw(st.booleans()) else raw[first + 1 :])
        )
    return raw


def outcome(root):
    """The source, or what is wrong with it."""
    try:
        return open_source(root)
    except InputError as problem:
        return str(problem)


@settings(max_examples=80, deadline=None)
@given(
    data=st.data(),
    name=st.sampled_from(["attributes.json", "region_descriptions.json", "Attributes.txt",
                          "objects.json", "train.txt"]),
)  # fmt: skip
def test_damaged_files_end_in_a_table_or_a_clear_error(tmp_path_factory, data, name):
    root = tmp_path_factory.getbasetemp() / "damaged-vg"
    write(root, region_descriptions=REGIONS, objects=[{"objects": [SIGN]}])
    (root / "train.txt").write_text("VG_100K/1.jpg 1.xml\n2\n3\n")
    for split in ("val", "test"):
        (root / f"{split}.txt").write_text("")
    (root / "Attributes.txt").write_text(COMPACT)
    if name == "Attributes.txt":
        (root / "attributes.json").unlink()
    (root / name).write_bytes(garbled(data, (root / name).read_text()))
    source = outcome(root)
    if isinstance(source, str):
        assert str(root) in source
        return
    table = source.annotations
    assert np.isfinite(table.items.box).all()
    assert (table.items.box[:, 2:] > 0).all()
    assert all(value == " ".join(value.split()) for value in table.names.values)
    assert set(table.splits) <= {"train", "validation", "test"}
    assert len(source.data_hash) == 64


DATA = os.environ.get("ASPECTRA_DATA")
real = pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")


@real
def test_a_dictionary_is_found_in_the_real_words(tmp_path, monkeypatch):
    pytest.importorskip("sentence_transformers", reason="the sentence encoder is not installed")
    monkeypatch.chdir(tmp_path)
    root = Path(DATA) / "visual_genome/compact_vg"
    assert main(["dictionary", "build", "--source", "visual_genome", "--root", str(root)]) == 0
    dictionary = Dictionary.load(Path("artifacts/dictionary/visual_genome.json"))
    values = {each.name: {value.text for value in each.values} for each in dictionary.attributes}
    assert values["color"] >= {"red", "blue", "green", "yellow", "white", "black", "brown"}
    assert values["size"] >= {"small", "large"}
    assert values["material"] >= {"wooden", "metal", "glass"}


@real
def test_the_real_attributes_are_read_completely():
    root = Path(DATA) / "visual_genome/derived"
    table = open_source(root).annotations
    text = (root / "attributes.json").read_text()
    assert len(table.names.images) == len(re.findall('"image_id"', text)) == 600
    assert len(table) == len(re.findall('"object_id"', text)) == 5636
    pairs = {
        (image["image_id"], each["object_id"], word)
        for image in json.loads(text)
        for each in image["attributes"]
        for word in each["attributes"]
    }
    assert len(table.columns.item) == len(pairs) == 6376


@real
def test_the_real_compact_table_is_read_completely():
    root = Path(DATA) / "visual_genome/compact_vg"
    table = open_source(root).annotations
    rows = [line.split(",") for line in (root / "Attributes.txt").read_text().splitlines()]
    assert len(rows) == 31_363
    assert len(table.names.images) == len({row[0] for row in rows}) == 2752
    assert len(table) == len({tuple(row[:5]) for row in rows}) == 26_356
    assert len(table.columns.item) == len({tuple(row) for row in rows}) == 30_479
    assert set(table.names.values) == {row[5] for row in rows}
    assert len(table.names.values) == 16
