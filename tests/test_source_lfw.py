"""Labeled Faces in the Wild: tabs and names with spaces, groups of labels, missing images."""

import os
import shutil
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.dictionary.given import stated
from datamodules.errors import InputError
from datamodules.sources.held_out import with_validation
from datamodules.sources.lfw import ABOUT, GROUPS, TEMPLATES, open_source

HEADER = "#\tperson\timagenum\tMale\tBlack Hair\tGray Hair\tSunglasses\tOutdoor\t5 o' Clock Shadow"
FILES = {
    "lfw_attributes.txt": f"# Made-up scores\n{HEADER}\n"
    "Ann van Dyke\t1\t-2.5\t0.25\t-0.5\t0\t1e-3\t-1.0\t\n"  # a tab at the end does no harm
    "Ann van Dyke\t12\t-1\t1\t-1\t1\t1\t-1\n"
    "Bo-Li\t3\t3.75\t-0.125\t0.5\t-4\t-0.5\t0.75\n",
    "peopleDevTrain.txt": "2\nAnn_van_Dyke\t2\nZoe\t1\n",
    "peopleDevTest.txt": "1\nBo-Li\t1\n",
}
IMAGES = [
    "Ann_van_Dyke/Ann_van_Dyke_0001.jpg",
    "Ann_van_Dyke/Ann_van_Dyke_0012.jpg",
    "Bo-Li/Bo-Li_0003.jpg",
]
OTHER = "Zoe/Zoe_0001.jpg"  # an image without a row


def write(root, files=FILES):
    root.mkdir(exist_ok=True)
    for name, text in files.items():
        (root / name).write_bytes(text.encode() if isinstance(text, str) else text)
    return root


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = write(tmp_path / "faces")
    for name in [*IMAGES, OTHER]:
        path = root / "lfw-deepfunneled" / name
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.new("RGB", (10, 10), (0, 0, 200)).save(path)
    return root


def refusal(root):
    with pytest.raises(InputError) as error:
        open_source(root)
    return str(error.value)


def test_the_sign_of_a_score_is_the_label_and_its_distance_from_0_the_weight(root):
    table = open_source(root).annotations
    assert table.images == tuple(IMAGES)
    found = {
        (row.attribute, row.value): (row.label, row.weight)
        for row in table.rows
        if row.image == IMAGES[0]
    }
    assert found == {
        ("gender", "male"): (0, 1.0),
        ("hair color", "black"): (1, 0.25),
        ("hair color", "gray"): (0, 0.5),
        ("glasses", "sunglasses"): (0, 0.0),
        ("outdoor", "outdoor"): (1, 0.001),
        ("facial hair", "5 o'clock shadow"): (0, 1.0),
    }
    assert {(row.object, row.box) for row in table.rows} == {("person", None)}


def test_persons_stay_in_one_split(root):
    table = open_source(root).annotations
    split = with_validation(IMAGES[0], "train", group="Ann_van_Dyke")
    assert table.images_of(split) == tuple(IMAGES[:2])
    assert table.images_of("test") == (IMAGES[2],)


def test_of_the_73_official_labels_each_belongs_to_one_attribute():
    labels = [label for group in GROUPS.values() for label in group]
    assert len(labels) == len(set(labels))
    for group in GROUPS.values():
        assert len(set(group.values())) == len(group)
    assert set(TEMPLATES) <= set(GROUPS)


@pytest.mark.parametrize("folder", ["lfw", "lfw_funneled"])
def test_the_other_folders_of_images_will_do_as_will_windows_line_ends(root, folder):
    expected = open_source(root).data_hash
    (root / "lfw-deepfunneled").rename(root / folder)
    write(root, {name: "\ufeff" + text.replace("\n", "\r\n") for name, text in FILES.items()})
    assert open_source(root).data_hash == expected


def test_rows_without_image_are_left_out_and_said(root, caplog):
    (root / "lfw-deepfunneled" / IMAGES[0]).unlink()
    assert open_source(root).annotations.images == tuple(IMAGES[1:])
    assert caplog.messages == [
        f"1 of 3 faces have no image below {root / 'lfw-deepfunneled'}, such as {IMAGES[0]}; they "
        "are left out."
    ]


def test_attributes_can_be_read_without_images(root):
    shutil.rmtree(root / "lfw-deepfunneled")
    source = open_source(root)
    assert len(source.annotations) == 3
    with pytest.raises(InputError) as error:
        source.pixels(4)
    assert str(error.value) == (
        "expected 3 images of Labeled Faces in the Wild below "
        f"{root / 'lfw-deepfunneled'}, 3 are missing, such as {IMAGES[0]}. {ABOUT.get}"
    )


def test_a_folder_of_other_images_is_refused(root):
    for image in IMAGES:
        (root / "lfw-deepfunneled" / image).unlink()
    folder = root / "lfw-deepfunneled"
    assert refusal(root) == (
        f"expected faces in {root / 'lfw_attributes.txt'} whose images are below {folder}, got "
        f"none of 3; {folder / IMAGES[0]} is missing. {ABOUT.get}"
    )


def test_a_truncated_picture_is_named(root):
    assert open_source(root).pixels(4).shape == (3, 4, 4, 3)
    path = root / "lfw-deepfunneled" / IMAGES[1]
    path.write_bytes(path.read_bytes()[:100])
    with pytest.raises(InputError, match=r"expected a whole image in .*Dyke_0012\.jpg, got a file"):
        open_source(root).pixels(4)


@pytest.mark.parametrize(
    ("name", "what"),
    [
        ("lfw_attributes.txt", "the attributes of the faces"),
        ("peopleDevTrain.txt", "the persons of the train split"),
        ("peopleDevTest.txt", "the persons of the test split"),
    ],
)
def test_missing_files_are_named(root, name, what):
    (root / name).unlink()
    assert refusal(root) == f"expected {what} at {root / name}, found no such file. {ABOUT.get}"


ROW = "Zoe\t1\t1\t1\t1\t1\t1\t1"
BROKEN = {
    "a cell too few": (
        "Zoe\t1\t1\t1\t1\t1\t1",
        "expected a person, a number and 6 scores, separated by tabs, got 7 cells: "
        "'Zoe\\t1\\t1\\t1\\t1\\t1\\t1'. Correct or remove the line.",
    ),
    "blanks instead of tabs": (
        ROW.replace("\t", " "),
        "expected a person, a number and 6 scores, separated by tabs, got 1 cells: "
        "'Zoe 1 1 1 1 1 1 1'. Correct or remove the line.",
    ),
    "no number of an image": (
        ROW.replace("Zoe\t1", "Zoe\tone"),
        "expected the number of an image of 1 or more, got 'one'. Correct the line.",
    ),
    "no score": (ROW[:-1] + "nan", "expected a number, got 'nan'. Correct the line."),
    "a person of no split": (
        ROW.replace("Zoe", "Max"),
        "expected a person of peopleDevTrain.txt or peopleDevTest.txt, got 'Max'. Correct the "
        "name, or add it to one of them.",
    ),
    "an image twice": (
        "Bo-Li\t3\t1\t1\t1\t1\t1\t1",
        "expected every image once, got 'Bo-Li/Bo-Li_0003.jpg' again, which is in line 5. Remove "
        "one of the lines.",
    ),
    "a path": (
        ROW.replace("Zoe", "../Zoe"),
        "expected the path of a file below the image folder, got '../Zoe/../Zoe_0001.jpg'. Correct "
        "the line.",
    ),
    "not UTF-8": (
        ROW.replace("Zoe", "Zo\udce9"),
        r"expected UTF-8 text, got the byte b'\xe9'. Save the file as UTF-8.",
    ),
}


@pytest.mark.parametrize("case", BROKEN)
def test_broken_rows_are_named_with_their_line(root, case):
    row, message = BROKEN[case]
    file = root / "lfw_attributes.txt"
    text = FILES["lfw_attributes.txt"] + row
    file.write_bytes(text.encode(errors="surrogateescape"))
    assert refusal(root) == f"{file}, line 6: {message}"


def test_a_file_without_header_is_named(root):
    file = root / "lfw_attributes.txt"
    file.write_text(f"# only a comment\n{ROW}\n")
    assert refusal(root) == (
        f"{file}, line 2: expected the line '# person imagenum ...' with the names of the "
        f"attributes, separated by tabs, before the first face, got {ROW!r}. {ABOUT.get}"
    )
    file.write_text(f"{HEADER}\n")
    assert refusal(root) == (
        f"expected faces in {file} whose images are below {root / 'lfw-deepfunneled'}, got none of "
        f"0. {ABOUT.get}"
    )


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("2\nAnn_van_Dyke\t2\n", "expected the number of persons, then as many lines in {file}, got"
         " the number 2 and 1 lines. {get}"),
        ("", "expected the number of persons, then as many lines in {file}, got the number 0 and 0 "
         "lines. {get}"),
        ("Ann\t2\n", "{file}, line 1: expected the number of persons of 0 or more, got 'Ann\\t2'. "
         "Correct the line."),
        ("2\nAnn\t1\nAnn\t1\n", "{file}, line 3: expected every person once, got 'Ann' again. "
         "Remove one of the lines."),
        ("1\nAnn\n", "{file}, line 2: expected 2 fields (person, number of images), got 1: 'Ann'. "
         "Correct or remove the line."),
        ("2\nAnn_van_Dyke\t2\nBo-Li\t1\n", "{other}, line 2: expected every person once, got "
         "'Bo-Li' again. Remove one of the lines."),
    ],
)  # fmt: skip
def test_broken_lists_of_persons_are_named_with_their_line(root, text, message):
    file, other = root / "peopleDevTrain.txt", root / "peopleDevTest.txt"
    file.write_text(text)
    assert refusal(root) == message.format(file=file, other=other, get=ABOUT.get)


@settings(max_examples=100, deadline=None)
@given(data=st.data())
def test_damaged_files_end_in_a_table_or_a_clear_error(tmp_path_factory, data):
    root = write(tmp_path_factory.getbasetemp() / "damaged-lfw")
    name = data.draw(st.sampled_from(sorted(FILES)))
    lines = FILES[name].encode().splitlines(keepends=True)
    for _ in range(data.draw(st.integers(1, 3))):
        at = data.draw(st.integers(0, len(lines) - 1))
        old, start = lines[at], data.draw(st.integers(0, len(lines[at])))
        junk = data.draw(st.sampled_from([b"", b"\t", b"#", b"\n", b"inf"]) | st.binary(max_size=3))
        garbled = old[:start] + junk + old[start + 1 :]
        lines[at] = data.draw(st.sampled_from([b"", old + old, garbled]))
    (root / name).write_bytes(b"".join(lines))
    try:
        table = open_source(root).annotations
    except InputError as error:
        message = str(error)
        assert str(root) in message
        return
    assert set(table.columns.label.tolist()) <= {0, 1}
    assert ((table.columns.weight >= 0) & (table.columns.weight <= 1)).all()
    assert set(table.splits) <= {"train", "validation", "test"}


DATA = os.environ.get("ASPECTRA_DATA")


@pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")
def test_the_real_photographs_are_read_completely(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root, data = tmp_path / "lfw", Path(DATA) / "lfw"
    root.mkdir()
    for name in ("lfw-deepfunneled", "peopleDevTrain.txt", "peopleDevTest.txt"):
        (root / name).symlink_to(data / name)
    (root / "lfw_attributes.txt").symlink_to(data / "lfw_attributes_derived.txt")
    source = open_source(root)
    table = source.annotations
    files = {path.relative_to(data / "lfw-deepfunneled").as_posix()
             for path in data.glob("lfw-deepfunneled/*/*.jpg")}  # fmt: skip
    assert set(table.images) == files
    assert len(files) == 420
    rows = (root / "lfw_attributes.txt").read_text().splitlines()[2:]
    scores = [row.split("\t")[2:] for row in rows]
    assert len(table.columns.label) == sum(map(len, scores)) == 420 * 74
    assert (table.columns.label == 1).sum() == sum(row.count("1.0") for row in scores)
    train = {line.split()[0] for line in (root / "peopleDevTrain.txt").read_text().splitlines()[1:]}
    expected = [image for image in table.images if image.partition("/")[0] in train]
    assert {*table.images_of("train"), *table.images_of("validation")} == set(expected)
    people = {split: {image.partition("/")[0] for image in table.images_of(split)}
              for split in table.splits}  # fmt: skip
    assert len(people) == 3
    assert sum(map(len, people.values())) == len(set().union(*people.values()))
    header = (root / "lfw_attributes.txt").read_text().splitlines()[1].split("\t")[3:]
    grouped = {label for group in GROUPS.values() for label in group}
    assert grouped <= set(header)
    assert source.pixels(16).shape == (420, 16, 16, 3)
    exclusive = {each.name: each.exclusive for each in stated(source).attributes}
    assert [exclusive[name] for name in ("glasses", "mouth", "wearing")] == [True, True, False]
