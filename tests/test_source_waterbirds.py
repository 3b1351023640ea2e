"""Waterbirds: birds, backgrounds, scenes and species; the other file of this name; broken rows."""

import csv
import os
from collections import Counter
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.dictionary.given import stated
from datamodules.errors import InputError
from datamodules.sources.waterbirds import ABOUT, open_source

HEADER = "img_id,img_filename,y,split,place,place_filename"
ROWS = f"""{HEADER}
1,001.Tiny_Owl/a.jpg,0,0,0,/f/forest/broadleaf/1.jpg
2,001.Tiny_Owl/b.jpg,0,1,1,/l/lake/natural/2.jpg
3,002.Sea_Owl/a.jpg,1,2,1,/o/ocean/3.jpg
4,002.Sea_Owl/b.jpg,1,2,0,/b/bamboo_forest/4.jpg
"""


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "w").mkdir()
    (tmp_path / "w" / "metadata.csv").write_text(ROWS)
    return tmp_path / "w"


def refusal(root):
    with pytest.raises(InputError) as error:
        open_source(root)
    return str(error.value)


def test_every_image_has_a_bird_a_background_a_scene_and_a_species(root):
    table = open_source(root).annotations
    found = {}
    for row in table.rows:
        assert (row.object, row.label, row.weight, row.box) == ("bird", 1, 1.0, None)
        found.setdefault((row.image, row.split), []).append((row.attribute, row.value))
    attributes = ("bird type", "background", "scene", "species")
    assert {key: dict(pairs) for key, pairs in found.items()} == {
        key: dict(zip(attributes, values, strict=True))
        for key, values in {
            ("001.Tiny_Owl/a.jpg", "train"): ("landbird", "land", "broadleaf forest", "Tiny Owl"),
            ("001.Tiny_Owl/b.jpg", "validation"): ("landbird", "water", "natural lake", "Tiny Owl"),
            ("002.Sea_Owl/a.jpg", "test"): ("waterbird", "water", "ocean", "Sea Owl"),
            ("002.Sea_Owl/b.jpg", "test"): ("waterbird", "land", "bamboo forest", "Sea Owl"),
        }.items()
    }
    assert ABOUT.class_attribute in table.attributes


def test_the_folder_around_it_will_do_as_will_windows_line_ends(root):
    expected = open_source(root).data_hash
    (root / "metadata.csv").write_bytes(ROWS.replace("\n", "\r\n").encode("utf-8-sig"))
    assert open_source(root).data_hash == expected
    root.rename(root.parent / "waterbird_complete95_forest2water2")
    assert open_source(root.parent).data_hash == expected


def test_images_are_asked_for_when_pixels_are(root):
    with pytest.raises(InputError) as error:
        open_source(root).pixels(4)
    assert str(error.value) == (
        f"expected 4 images of Waterbirds below {root}, 4 are missing, such as 001.Tiny_Owl/a.jpg. "
        f"{ABOUT.get}"
    )
    for name in ("001.Tiny_Owl/a.jpg", "001.Tiny_Owl/b.jpg", "002.Sea_Owl/a.jpg"):
        (root / name).parent.mkdir(exist_ok=True)
        Image.new("RGB", (9, 9), (0, 90, 0)).save(root / name)
    whole = (root / "001.Tiny_Owl/a.jpg").read_bytes()
    (root / "002.Sea_Owl/b.jpg").write_bytes(whole[: len(whole) // 2])
    with pytest.raises(InputError, match=r"expected a whole image in .*002\.Sea_Owl/b\.jpg, got"):
        open_source(root).pixels(4)
    (root / "002.Sea_Owl/b.jpg").write_bytes(whole)
    assert open_source(root).pixels(4).shape == (4, 4, 4, 3)


def test_a_missing_file_is_named(root):
    (root / "metadata.csv").unlink()
    assert refusal(root) == (
        f"expected birds, places and splits at {root / 'metadata.csv'}, found no such file. "
        f"{ABOUT.get}"
    )


def test_the_other_file_of_this_name_is_recognised(root):
    (root / "metadata.csv").write_text(
        f"{HEADER},a,b,c,d\n1,001.Tiny_Owl/a.jpg,0,0,0,/o/x/1.jpg,,,,\n"
    )
    assert refusal(root) == (
        f"{root / 'metadata.csv'}, line 2: expected the columns img_id, img_filename, y, split, "
        "place, place_filename and no others, got 10: img_id, img_filename, y, split, place, "
        f"place_filename, a, b, c, d. This is not the metadata of Waterbirds. {ABOUT.get}"
    )


BROKEN = {
    "1,001.Tiny_Owl/z.jpg,0,0,0,/o/ocean/1.jpg": (
        "expected every image once, got number 1 again, which is at {file}, line 2. Remove one of "
        "the rows."
    ),
    "9,001.Tiny_Owl/a.jpg,0,0,0,/o/ocean/1.jpg": (
        "expected every image once, got image '001.Tiny_Owl/a.jpg' again, which is at {file}, "
        "line 2. Remove one of the rows."
    ),
    "9,001.Tiny_Owl/z.jpg,2,0,0,/o/ocean/1.jpg": (
        "expected y to be one of 0 (landbird), 1 (waterbird), got '2'. Correct the row."
    ),
    "9,001.Tiny_Owl/z.jpg,0,3,0,/o/ocean/1.jpg": (
        "expected split to be one of 0 (train), 1 (validation), 2 (test), got '3'. Correct the row."
    ),
    "9,001.Tiny_Owl/z.jpg,0,0,x,/o/ocean/1.jpg": (
        "expected place to be one of 0 (land), 1 (water), got 'x'. Correct the row."
    ),
    "9,z.jpg,0,0,0,/o/ocean/1.jpg": (
        "expected an image such as 001.Black_footed_Albatross/a.jpg, got 'z.jpg'. Correct the row."
    ),
    "9,../z.jpg,0,0,0,/o/ocean/1.jpg": (
        "expected the path of a file below the image folder, got '../z.jpg'. Correct the line."
    ),
    "9,001.Tiny_Owl/z.jpg,0,0,0,1.jpg": (
        "expected a file of Places such as /o/ocean/00004600.jpg, got '1.jpg'. Correct the row."
    ),
    "9,001.Tiny_Owl/z.jpg,0,0,0": (
        "expected 6 cells (img_id, img_filename, y, split, place, place_filename), got 5: "
        "'9,001.Tiny_Owl/z.jpg,0,0,0'. Correct or remove the row; text with a comma goes between "
        "double quotes."
    ),
}


@pytest.mark.parametrize("row", BROKEN)
def test_broken_rows_are_named_with_their_line(root, row):
    file = root / "metadata.csv"
    file.write_text(f"{ROWS}{row}\n")
    assert refusal(root) == f"{file}, line 6: {BROKEN[row].format(file=file)}"


def test_headers_without_rows_and_bytes_that_are_no_text_are_refused(root):
    file = root / "metadata.csv"
    file.write_text(f"{HEADER}\n")
    assert refusal(root) == f"expected images in {file}, got a header only. {ABOUT.get}"
    file.write_bytes(f"{HEADER}\n1,001.Tiny_Owl/".encode() + b"\xe9.jpg,0,0,0,/o/ocean/1.jpg\n")
    assert refusal(root) == rf"expected UTF-8 text in {file}, got b'\xe9'. Save it as UTF-8."


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_files_end_in_a_table_or_a_clear_error(tmp_path_factory, data):
    root = tmp_path_factory.getbasetemp() / "damaged-waterbirds"
    root.mkdir(exist_ok=True)
    lines = ROWS.encode().splitlines(keepends=True)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        old, start = lines[at], data.draw(st.integers(0, len(lines[at])))
        junk = data.draw(st.sampled_from([b"", b",", b'"', b"\n", b"7"]) | st.binary(max_size=3))
        lines[at] = data.draw(
            st.sampled_from([b"", old + old, old[:start] + junk + old[start + 1 :]])
        )
    (root / "metadata.csv").write_bytes(b"".join(lines))
    try:
        table = open_source(root).annotations
    except InputError as error:
        message = str(error)
        assert str(root) in message
        return
    assert len(table) * 4 == len(table.columns.label)
    assert set(table.splits) <= {"train", "validation", "test"}


DATA = os.environ.get("ASPECTRA_DATA")


@pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")
def test_the_official_metadata_is_read_completely():
    root = Path(DATA) / "waterbird_complete95_forest2water2"
    source = open_source(root)
    table = source.annotations
    assert len(table) == 11_788
    raw = list(csv.DictReader((root / "metadata.csv").open()))
    groups = Counter((row["split"], row["y"], row["place"]) for row in raw)
    bird, land = (
        table.labels(name, values, exclusive=True).label[:, 1]
        for name, *values in (
            ("bird type", "landbird", "waterbird"),
            ("background", "land", "water"),
        )
    )
    code = {"train": "0", "validation": "1", "test": "2"}
    assert (
        Counter(
            (code[split], str(bird[item]), str(land[item]))
            for split in table.splits
            for item in table.members(split)
        )
        == groups
    )
    assert {name: len(table.members(name)) for name in table.splits} == {
        "train": 4_795, "validation": 1_199, "test": 5_794,
    }  # fmt: skip
    assert table.shown("scene") == {
        "bamboo forest": 3_583, "broadleaf forest": 3_492, "natural lake": 2_365, "ocean": 2_348,
    }  # fmt: skip
    assert len(table.shown("species")) == 200
    exclusive = {each.name: each.exclusive for each in stated(source).attributes}
    assert exclusive == dict.fromkeys(("bird type", "background", "scene", "species"), True)
