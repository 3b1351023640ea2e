"""CUB-200-2011: certainties, brackets, captions, the fallback to the species, and broken files."""

import gzip
import os
import shutil
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.dictionary.given import stated
from datamodules.errors import InputError
from datamodules.sources.cub import ABOUT, open_source

FILES = {
    "images.txt": "2 001.Tiny_Owl/Tiny_Owl_0002.jpg\n3 002.Big_Owl/B_1.jpg\n"
    "1 001.Tiny_Owl/T_1.jpg\n",
    "image_class_labels.txt": "1 1\n2 1\n3 2\n",
    "classes.txt": "1 001.Tiny_Owl\n2 002.Big_Owl\n",
    "train_test_split.txt": "1 1\n2 0\n3 0\n",
    "bounding_boxes.txt": "1 1.0 2.0 8.0 6.0\n2 0 0 4 4\n3 2.5 0 3 9\n",
    "attributes.txt": "1 has_bill_shape::curved_(up_or_down)\n2 has_primary_color::grey\n"
    "3 has_size::small_(5_-_9_in)\n",
    "attributes/certainties.txt": "1 not visible\n2 guessing\n3 probably\n4 definitely\n",
    "attributes/image_attribute_labels.txt": "1 1 1 4 2.5\n1 2 0 3 0.1\n1 3 0 1 9\n2 1 1 2 1\n"
    "2 2 1 3 0 1.5\n2 3 0 4 0\n",  # the last line but one has a field too many, as official ones
    "attributes/class_attribute_labels_continuous.txt": "100.0 49.0 0\n50 75 1.5\n",
}
LABELS = "attributes/image_attribute_labels.txt"
PERCENT = "attributes/class_attribute_labels_continuous.txt"
SMALL = {name: text.encode() for name, text in FILES.items()}


def write(root, files=FILES):
    for name, text in files.items():
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return root


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = write(tmp_path / "CUB_200_2011")
    for name in ("001.Tiny_Owl/Tiny_Owl_0002.jpg", "002.Big_Owl/B_1.jpg", "001.Tiny_Owl/T_1.jpg"):
        (root / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10, 10), (200, 0, 0)).save(root / "images" / name)
    return root


def rows_of(source, image):
    return {
        (row.attribute, row.value): (row.label, round(row.weight, 4))
        for row in source.annotations.rows
        if row.image == image
    }


def refusal(root):
    with pytest.raises(InputError) as error:
        open_source(root)
    return str(error.value)


def outcome(root):
    """The table, or the message."""
    try:
        return open_source(root).annotations
    except InputError as error:
        return str(error)


def test_certainty_becomes_weight_and_what_was_not_visible_is_unknown(root):
    source = open_source(root)
    assert rows_of(source, "001.Tiny_Owl/T_1.jpg") == {
        ("species", "Tiny Owl"): (1, 1.0),
        ("bill shape", "curved"): (1, 1.0),
        ("color", "grey"): (0, 0.6667),
        ("size", "small"): (-1, 0.0),
    }
    assert rows_of(source, "001.Tiny_Owl/Tiny_Owl_0002.jpg") == {
        ("species", "Tiny Owl"): (1, 1.0),
        ("bill shape", "curved"): (1, 0.3333),
        ("color", "grey"): (1, 0.6667),
        ("size", "small"): (0, 1.0),
    }
    assert rows_of(source, "002.Big_Owl/B_1.jpg") == {("species", "Big Owl"): (1, 1.0)}


def test_items_are_birds_in_their_boxes_in_the_official_split(root):
    table = open_source(root).annotations
    assert table.images[0] == "001.Tiny_Owl/Tiny_Owl_0002.jpg"
    assert set(table.objects) == {"bird"}
    np.testing.assert_array_equal(table.boxes, [[0, 0, 4, 4], [2.5, 0, 3, 9], [1, 2, 8, 6]])
    assert table.images_of("test") == table.images[:2]
    assert {row.split for row in table.rows if row.image == table.images[2]} <= {
        "train", "validation",
    }  # fmt: skip


def test_windows_line_ends_and_the_other_places_of_the_names_change_nothing(root, tmp_path):
    expected = open_source(root)
    write(root, {name: text.replace("\n", "\r\n") for name, text in FILES.items()})
    assert open_source(root).data_hash == expected.data_hash
    for place in (tmp_path, root / "attributes"):
        shutil.move(next(tmp_path.rglob("attributes.txt")), place / "attributes.txt")
        assert open_source(root).data_hash == expected.data_hash
    assert open_source(tmp_path).data_hash == expected.data_hash  # the folder that holds ROOT


@pytest.mark.parametrize("place", ["text_c10", "../text_c10", "../cub_text_c10"])
def test_captions_go_to_their_images(root, place):
    write(root / place, {"001.Tiny_Owl/T_1.txt": "a tiny owl.\n\n  it is grey \n"})
    source = open_source(root)
    of = source.annotations.images_of
    said = {
        image: texts
        for split in source.annotations.splits
        for image, texts in zip(of(split), source.captions(split), strict=True)
    }
    assert said == {
        "001.Tiny_Owl/T_1.jpg": ["a tiny owl.", "it is grey"],
        "001.Tiny_Owl/Tiny_Owl_0002.jpg": [],
        "002.Big_Owl/B_1.jpg": [],
    }


def test_without_labels_of_images_those_of_the_species_stand_in(root, caplog):
    (root / LABELS).unlink()
    source = open_source(root)
    owl = {
        ("species", "Tiny Owl"): (1, 1.0),
        ("bill shape", "curved"): (1, 1.0),
        ("color", "grey"): (0, 0.02),
        ("size", "small"): (0, 1.0),
    }
    assert rows_of(source, "001.Tiny_Owl/T_1.jpg") == owl
    assert rows_of(source, "001.Tiny_Owl/Tiny_Owl_0002.jpg") == owl
    assert rows_of(source, "002.Big_Owl/B_1.jpg") == {
        ("species", "Big Owl"): (1, 1.0),
        ("bill shape", "curved"): (1, 0.0),
        ("color", "grey"): (1, 0.5),
        ("size", "small"): (0, 0.97),
    }
    assert caplog.messages == [
        f"{root / LABELS} is missing: every bird gets the attributes of its species."
    ]


def test_brackets_stay_where_they_alone_tell_values_apart(root):
    write(root, {"attributes.txt": "1 has_size::small_(5_in)\n2 has_size::small_(9_in)\n"
                 "3 has_shape::small_(x)\n"})  # fmt: skip
    values = {(row.attribute, row.value) for row in open_source(root).annotations.rows}
    assert values >= {("size", "small (5 in)"), ("size", "small (9 in)"), ("shape", "small")}


def test_certainties_are_read_by_name(root):
    write(root, {"attributes/certainties.txt": "4 not visible\n3 guessing\n2 probably\n"
                 "1 definitely\n"})  # fmt: skip
    rows = rows_of(open_source(root), "001.Tiny_Owl/T_1.jpg")
    assert rows["bill shape", "curved"] == (-1, 0.0)
    assert rows["color", "grey"] == (0, 0.3333)


def test_pixels_are_the_birds_and_a_broken_picture_is_named(root):
    source = open_source(root)
    assert source.pixels(4).shape == (3, 4, 4, 3)
    image = root / "images" / "001.Tiny_Owl/T_1.jpg"
    image.write_bytes(image.read_bytes()[:-40])
    with pytest.raises(InputError, match=r"expected a whole image in .*T_1\.jpg, got a file that "):
        open_source(root).pixels(4)
    image.unlink()
    with pytest.raises(InputError) as error:
        open_source(root).pixels(4)
    assert str(error.value) == (
        f"expected 3 images of Caltech-UCSD Birds-200-2011 below {root / 'images'}, 1 are missing, "
        f"such as 001.Tiny_Owl/T_1.jpg. {ABOUT.get}"
    )


def test_a_box_outside_its_image_is_named(root):
    write(root, {"bounding_boxes.txt": "1 1 2 8 6\n2 20 20 4 4\n3 2 0 3 9\n"})
    with pytest.raises(InputError, match=r"expected boxes inside the image .* got x 20, y 20"):
        open_source(root).pixels(4)


MISSING = {
    "images.txt": "the names of the images",
    "image_class_labels.txt": "the species of the images",
    "train_test_split.txt": "the split of the images",
    "bounding_boxes.txt": "the boxes of the birds",
    "classes.txt": "the names of the species",
    "attributes.txt": "the names of the attributes",
}


@pytest.mark.parametrize("name", MISSING)
def test_a_missing_file_is_named(root, name):
    (root / name).unlink()
    assert refusal(root) == (
        f"expected {MISSING[name]} at {root / name}, found no such file. {ABOUT.get}"
    )


def test_without_any_labels_the_ones_of_the_images_are_asked_for(root):
    (root / LABELS).unlink()
    (root / PERCENT).unlink()
    assert refusal(root) == (
        f"expected the attributes of the images at {root / LABELS}, found no such file. {ABOUT.get}"
    )


BAD_LABEL = (
    "{file}, line 1: expected an image of images.txt, an attribute of attributes.txt, 0 or 1, and "
    "a certainty among 1, 2, 3, 4, got {text!r}. Correct or remove the line."
)
BROKEN = {
    "repeated number": (
        "images.txt", "1 a/b.jpg\n2 c/d.jpg\n1 e/f.jpg\n",
        "{file}, line 3: expected every number once, got 1 again, which is at {file}, line 1. "
        "Remove one of the lines.",
    ),
    "repeated image": (
        "images.txt", "1 a/b.jpg\n2 a/b.jpg\n3 e/f.jpg\n",
        "{file}, line 2: image 'a/b.jpg' is number 1 already; expected every image once. Remove "
        "one of the lines.",
    ),
    "path upwards": (
        "images.txt", "1 ../b.jpg\n2 c/d.jpg\n3 e/f.jpg\n",
        "{file}, line 1: expected the path of a file below the image folder, got '../b.jpg'. "
        "Correct the line.",
    ),
    "no number": (
        "images.txt", "one a/b.jpg\n",
        "{file}, line 1: expected a number of 1 or more, got 'one'. Correct the line.",
    ),
    "not UTF-8": (
        "images.txt", b"1 a/b\xe9.jpg\n",
        r"{file}, line 1: expected UTF-8 text, got the byte b'\xe9'. Save the file as UTF-8.",
    ),
    "class of no name": (
        "image_class_labels.txt", "1 1\n2 1\n3 7\n",
        "{file}, line 3: expected a class of {root}/classes.txt, got '7'. Correct one of them.",
    ),
    "image without class": (
        "image_class_labels.txt", "1 1\n3 2\n",
        "expected a line for each of the 3 images in {file}, 1 have none, such as image 2. {get}",
    ),
    "class of no image": (
        "image_class_labels.txt", "1 1\n2 1\n3 2\n4 2\n",
        "{file}, line 4: expected the number of an image of images.txt, got 4. Correct or remove "
        "the line.",
    ),
    "classes out of order": (
        "classes.txt", "1 002.Big_Owl\n2 001.Tiny_Owl\n",
        "{file}, line 1: expected a name that begins with 001. for class 1, got '002.Big_Owl'. "
        "Correct the number or the name.",
    ),
    "a species twice": (
        "classes.txt", "1 001.Tiny_Owl\n2 002.tiny_owl\n",
        "{file}, line 2: 'tiny owl' is class 1 already; expected every species once. Correct one "
        "of the names.",
    ),
    "no split": (
        "train_test_split.txt", "1 1\n2 0\n3 2\n",
        "{file}, line 3: expected 1 (train) or 0 (test), got '2'. Correct the line.",
    ),
    "too many fields": (
        "train_test_split.txt", "1 1\n2 0\n3 0 0\n",
        "{file}, line 3: expected 1 (train) or 0 (test), got '0 0'. Correct the line.",
    ),
    "flat box": (
        "bounding_boxes.txt", "1 1 2 8 6\n2 0 0 4 0\n3 2 0 3 9\n",
        "{file}, line 2: expected x, y, width and height of a box in pixels, width and height "
        "above 0, got '0 0 4 0'. Correct the line.",
    ),
    "short box": (
        "bounding_boxes.txt", "1 1 2 8\n",
        "{file}, line 1: expected 5 fields (image, x, y, width, height), got 4: '1 1 2 8'. Correct "
        "or remove the line.",
    ),
    "attribute without value": (
        "attributes.txt", "1 has_size\n",
        "{file}, line 1: expected a name such as has_wing_color::blue, got 'has_size'. Correct the "
        "line.",
    ),
    "attribute twice": (
        "attributes.txt", "1 has_size::small\n2 has_size::small\n",
        "{file}, line 2: 'has_size::small' is number 1 already; expected every attribute once. "
        "Remove one of the lines.",
    ),
    "label of no image": (LABELS, "9 1 1 4 0\n", BAD_LABEL.replace("{text!r}", "'9 1 1 4 0'")),
    "label of no attribute": (LABELS, "1 9 1 4 0\n", BAD_LABEL.replace("{text!r}", "'1 9 1 4 0'")),
    "neither shown nor not": (LABELS, "1 1 2 4 0\n", BAD_LABEL.replace("{text!r}", "'1 1 2 4 0'")),
    "no such certainty": (LABELS, "1 1 1 5 0\n", BAD_LABEL.replace("{text!r}", "'1 1 1 5 0'")),
    "three fields": (LABELS, "1 1 1\n", BAD_LABEL.replace("{text!r}", "'1 1 1'")),
    "shown and not shown": (
        LABELS, "1 1 1 4 0\n2 1 0 4 0\n1 1 0 4 0\n",
        "{file}, line 3: image '001.Tiny_Owl/T_1.jpg' has label 1 and label 0 for bill shape "
        "'curved'; expected one of them. Remove the row that is wrong.",
    ),
    "unknown certainty": (
        "attributes/certainties.txt", "1 maybe\n",
        "{file}, line 1: expected not visible, guessing, probably, definitely, got 'maybe'. "
        "Correct the line.",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", BROKEN)
def test_broken_files_are_named_with_their_line(root, case):
    name, text, message = BROKEN[case]
    write(root, {name: text})
    expected = message.replace("{file}", str(root / name)).replace("{root}", str(root))
    assert refusal(root) == expected.replace("{get}", ABOUT.get)


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("100 49 0\n", "expected a line for each of the 2 classes of classes.txt in {file}, from "
         "class 1 in line 1, got 1 lines. {get}"),
        ("100 49 0\n\n50 75 1\n", "expected a line for each of the 2 classes of classes.txt in "
         "{file}, from class 1 in line 1, got 2 lines. {get}"),
        ("100 49 0\n50 75\n", "{file}, line 2: expected 3 fields (a percentage for each attribute),"
         " got 2: '50 75'. Correct or remove the line."),
        ("100 49 101\n50 75 1\n", "{file}, line 1: expected a percentage from 0 to 100, got '101'. "
         "Correct the line."),
        ("100 49 nan\n50 75 1\n", "{file}, line 1: expected a percentage from 0 to 100, got 'nan'. "
         "Correct the line."),
    ],
)  # fmt: skip
def test_broken_percentages_are_named_with_their_line(root, text, message):
    (root / LABELS).unlink()
    write(root, {PERCENT: text})
    assert refusal(root) == message.format(file=root / PERCENT, get=ABOUT.get)


def test_percentages_need_attributes_without_gaps(root):
    (root / LABELS).unlink()
    write(root, {"attributes.txt": FILES["attributes.txt"].replace("2 has", "4 has")})
    assert refusal(root) == (
        "expected attributes numbered from 1 to 3 in attributes.txt, number 2 is missing; the "
        f"fields of {root / PERCENT} are in that order. {ABOUT.get}"
    )


@st.composite
def damaged(draw):
    """The files, one of them with lines removed, repeated or garbled, or cut short."""
    name = draw(st.sampled_from(sorted(SMALL)))
    lines = SMALL[name].splitlines(keepends=True)
    for _ in range(draw(st.integers(1, 3))):
        at = draw(st.integers(0, len(lines)))
        old = lines[at] if at < len(lines) else b""
        start = draw(st.integers(0, len(old)))
        junk = draw(st.sampled_from([b"", b" ", b"\t", b"0", b"-1", b"\n", b"nan", b"9999999999"])
                    | st.binary(max_size=3))  # fmt: skip
        new = draw(st.sampled_from([[], [old, old], [old[:start] + junk + old[start + 1 :]]]))
        lines[at : at + 1] = new
    content = b"".join(lines)
    return {**SMALL, name: content[: draw(st.sampled_from([None, len(content) // 2]))]}


@settings(max_examples=100, deadline=None)
@given(files=damaged(), by_image=st.booleans())
def test_damaged_files_end_in_a_table_or_a_clear_error(tmp_path_factory, files, by_image):
    root = write(tmp_path_factory.getbasetemp() / "damaged-cub", files)
    if not by_image:
        (root / LABELS).unlink()
    table = outcome(root)
    if isinstance(table, str):
        assert str(root) in table
        return
    assert set(table.columns.label.tolist()) <= {-1, 0, 1}
    assert ((table.columns.weight >= 0) & (table.columns.weight <= 1)).all()
    assert np.isfinite(table.items.box).all()
    assert set(table.splits) <= {"train", "validation", "test"}


DATA = os.environ.get("ASPECTRA_DATA")
real = pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")


def official(tmp_path, *parts):
    """The folder of a part of the real data, linked, with its labels at their official place."""
    root = tmp_path / "CUB_200_2011"
    (root / "attributes").mkdir(parents=True)
    for path in (Path(DATA) / parts[0]).iterdir():
        if path.is_file() or path.name == "images":
            (root / path.name).symlink_to(path)
    for path in (Path(DATA) / parts[0] / "attributes").iterdir():
        (root / "attributes" / path.name).symlink_to(path)
    if "labels" in parts:
        derived = Path(DATA) / parts[0] / "attributes_derived" / "image_attribute_labels.txt"
        (root / LABELS).symlink_to(derived)
    if not (root / "attributes.txt").exists():
        (tmp_path / "attributes.txt").symlink_to(Path(DATA) / "attributes.txt")
    return root


@real
def test_the_real_photographs_are_read_completely(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = official(tmp_path, "CUB_200_2011", "labels")
    (tmp_path / "cub_text_c10").symlink_to(Path(DATA) / "cub_text_c10")
    source = open_source(root)
    table = source.annotations
    assert len(table) == len(table.names.images) == 65
    assert {name: len(table.members(name)) for name in table.splits} == {
        "train": 34, "validation": 6, "test": 25,
    }  # fmt: skip
    raw = [line.split() for line in (root / LABELS).read_text().splitlines()]
    assert len(raw) == 10_296 == len(table.columns.label) - 65
    expected = Counter((-1 if code == "1" else int(shown)) for _, _, shown, code, _ in raw)
    expected[1] += 65
    assert Counter(table.columns.label.tolist()) == expected
    assert sum(len(texts) for split in table.splits for texts in source.captions(split)) == 650
    assert len(table.attributes) == 29
    assert len(set(zip(*table.columns[1:3], strict=True))) == 312 + 5
    assert source.pixels(16).shape == (65, 16, 16, 3)
    names = {attribute.name for attribute in stated(source).attributes}
    assert names >= {"species", "color", "bill shape", "size", "wing pattern"}
    assert set(source.templates) == set(table.attributes)
    counts = {each.pattern: len(list(root.glob(each.pattern))) for each in ABOUT.files}
    assert counts.pop("**/images/*/*.jpg") == 65
    assert counts.pop("**/attributes.txt") == 0  # beside it
    assert set(counts.values()) == {1}


@real
def test_the_real_crops_are_read_with_the_attributes_of_their_species(tmp_path, caplog):
    table = open_source(official(tmp_path, "CUB_200_2011_crops227")).annotations
    assert len(table) == 900
    assert len(table.columns.label) == 900 * 313
    assert len(caplog.messages) == 1
    assert {name: len(table.members(name)) for name in table.splits} == {
        "train": 448, "validation": 52, "test": 400,
    }  # fmt: skip
    root = official(tmp_path / "b", "CUB_200_2011_crops227", "labels")
    table = open_source(root).annotations
    assert len(table.columns.label) == 900 + (root / LABELS).read_bytes().count(b"\n")


@real
def test_all_official_tables_are_read(tmp_path):
    root = official(tmp_path, "CUB_200_2011")
    for path in (Path(DATA) / "CUB_200_2011_all_annotations").glob("*.gz"):
        (root / path.stem).unlink()
        (root / path.stem).write_bytes(gzip.decompress(path.read_bytes()))
    (root / LABELS).write_text("1 1 1 4 0\n")
    table = open_source(root).annotations
    assert len(table) == 11_788
    assert len(table.members("test")) == 5_794
    assert len(table.members("train")) + len(table.members("validation")) == 5_994
    assert len(table.shown("species")) == 200
