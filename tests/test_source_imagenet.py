"""ImageNet: folders of WordNet's numbers, their names, and a flat folder of samples."""

import os
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.errors import InputError
from datamodules.sources.hashed_parts import hashed_part
from datamodules.sources.imagenet import ABOUT, open_source
from datamodules.sources.wordnet_names import read_names

SYNSETS = """n01440764 tench, Tinca tinca
n02012849 crane
n03126707 crane
n03710637 maillot
n03710721 maillot, tank suit
n09999999 not here
"""
NAMES = {
    "n01440764": "tench", "n02012849": "crane", "n03126707": "crane (n03126707)",
    "n03710637": "maillot", "n03710721": "maillot, tank suit",
}  # fmt: skip
SOLUTION = """ImageId,PredictionString
ILSVRC2012_val_00000001,n01440764 85 1 499 272
ILSVRC2012_val_00000002,n02012849 131 0 499 254 n02012849 1 2 3 4
"""


def outcome(root):
    """The source, or what is wrong with it."""
    try:
        return open_source(root)
    except InputError as problem:
        return str(problem)


def images(folder, *names):
    for level, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (12, 9), 50 * level).save(folder / name)


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    for wnid in NAMES:
        images(tmp_path, f"train/{wnid}/{wnid}_1.JPEG", f"val/{wnid}/ILSVRC2012_val_{wnid}.JPEG")
    (tmp_path / "LOC_synset_mapping.txt").write_text(SYNSETS)
    return tmp_path


def test_classes_get_the_first_synonym_and_no_two_share_a_name(root):
    source = open_source(root)
    named = {row.image.split("/")[1]: row.value for row in source.annotations.rows}
    assert named == NAMES
    assert len(source.annotations) == 10
    assert set(source.annotations.attributes) == {"category"} == {ABOUT.class_attribute}


def test_names_of_clip_come_before_those_of_wordnet(root):
    text = SYNSETS.replace("02012849 crane", "02012849 crane bird").replace(", Tinca", " Tinca")
    (root / "classnames.txt").write_text(text)
    shown = open_source(root).annotations.shown("category")
    assert set(shown) == {"tench Tinca tinca", "crane bird", "crane", "maillot",
                          "maillot, tank suit"}  # fmt: skip


def test_the_official_validation_part_is_test(root):
    images(root, *(f"train/n01440764/{n}.JPEG" for n in range(300)))
    table = open_source(root).annotations
    assert all(name.startswith("val/") for name in table.images_of("test"))
    assert len(table.images_of("test")) == 5
    assert all(name.startswith("train/") for name in table.images_of("validation"))
    assert 12 < len(table.images_of("validation")) < 52
    assert len(table.images_of("train")) + len(table.images_of("validation")) == 305


def test_a_validation_part_alone_is_divided_by_hash(tmp_path, caplog):
    (tmp_path / "val/n01440764").mkdir(parents=True)
    for n in range(300):
        (tmp_path / f"val/n01440764/{n}.JPEG").touch()
    (tmp_path / "words.txt").write_text("n01440764\ttench, Tinca tinca\n")
    table = open_source(tmp_path).annotations
    for split in ("train", "validation", "test"):
        assert table.images_of(split)
        assert {hashed_part(name) for name in table.images_of(split)} == {split}
    assert caplog.messages == [
        "ImageNet: there is no train part; the images there are are divided by hash into train, "
        "validation and test. Figures do not compare with published ones."
    ]


def test_the_layout_with_a_table_of_validation_classes_is_read(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    base = tmp_path / "ILSVRC/Data/CLS-LOC"
    images(base, "val/ILSVRC2012_val_00000001.JPEG", "val/ILSVRC2012_val_00000002.JPEG")
    (tmp_path / "LOC_synset_mapping.txt").write_text(SYNSETS)
    (tmp_path / "LOC_val_solution.csv").write_text(SOLUTION)
    source = open_source(tmp_path)
    assert [row.value for row in source.annotations.rows] == ["tench", "crane"]
    assert source.pixels(8)[:, 4, 4, 0].tolist() == [0, 50]


def test_a_flat_folder_names_its_classes_itself(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    names = ("n01440764_tench.JPEG", "n01644900_tailed_frog.JPEG", "n02012849_crane.JPEG",
             "n03126707_crane.JPEG")  # fmt: skip
    images(tmp_path, *names, "gallery.jpg")
    source = open_source(tmp_path)
    assert [(row.image, row.value) for row in source.annotations.rows] == list(
        zip(names, ("tench", "tailed frog", "crane", "crane (n03126707)"), strict=True)
    )
    assert source.pixels(8)[:, 4, 4, 0].tolist() == [0, 50, 100, 150]


def test_a_flat_folder_of_official_names_needs_a_file_of_names(tmp_path):
    images(tmp_path, "n01440764_10026.JPEG")
    missing = (
        f"expected names of the classes at {tmp_path}/classnames.txt (or LOC_synset_mapping.txt, "
        "synset_words.txt, words.txt), found no such file. It has a line for each class, such as "
        "'n01440764 tench'."
    )
    assert outcome(tmp_path) == missing
    (tmp_path / "synset_words.txt").write_text(SYNSETS)
    assert open_source(tmp_path).annotations.shown("category") == {"tench": 1}


def test_nothing_is_a_clear_error(tmp_path):
    message = (
        "expected images of ImageNet in {}, as train/n01440764/*.JPEG or n01440764_tench.JPEG, got "
        f"none. {ABOUT.get}"
    )
    assert outcome(tmp_path / "none") == message.format(tmp_path / "none")
    (tmp_path / "train").mkdir()
    (tmp_path / "classnames.txt").write_text(SYNSETS)
    assert outcome(tmp_path) == message.format(tmp_path)


def test_a_class_without_a_name_is_named(root):
    (root / "LOC_synset_mapping.txt").write_text(SYNSETS.replace("n0371", "n9371"))
    assert outcome(root) == (
        f"expected names of 5 classes in {root}/LOC_synset_mapping.txt, 2 have none, such as "
        "n03710637. Add a line for each, such as 'n01440764 tench'."
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("n0144 tench", "expected a number of WordNet and a name, such as 'n01440764 tench', got "
                        "'n0144 tench'. Correct or remove the line."),
        ("n01440765", "expected a number of WordNet and a name, such as 'n01440764 tench', got "
                      "'n01440765'. Correct or remove the line."),
        ("n02012849 heron", "expected n02012849 once, got it as 'crane' and 'heron'. Remove one of "
                            "the lines."),
    ],
)  # fmt: skip
def test_broken_names_are_named_with_their_line(tmp_path, line, message):
    path = tmp_path / "words.txt"
    path.write_text(f"{SYNSETS}\n{line}\n")
    with pytest.raises(InputError) as caught:
        read_names(path, NAMES)
    assert str(caught.value) == f"{path}, line 8: {message}"


def test_broken_tables_of_classes_are_named(tmp_path):
    images(tmp_path / "val", "ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000003.JPEG")
    (tmp_path / "classnames.txt").write_text(SYNSETS)
    path = tmp_path / "LOC_val_solution.csv"
    assert outcome(tmp_path).startswith(
        f"expected the classes of the validation images at {path}, found no such file."
    )
    path.write_text(SOLUTION)
    assert outcome(tmp_path) == (
        f"expected the class of {tmp_path}/val/ILSVRC2012_val_00000003.JPEG in {path}, got none. "
        "Sort the images into folders such as n01440764, or complete the file."
    )
    path.write_text(SOLUTION + "ILSVRC2012_val_00000001,n02012849 1 2 3 4\n")
    assert outcome(tmp_path) == (
        f"{path}, line 4: expected one class an image, got n02012849 for ILSVRC2012_val_00000001, "
        "which was n01440764. Remove one of the rows."
    )
    path.write_text(SOLUTION + "ILSVRC2012_val_00000003,85\n")
    assert outcome(tmp_path) == (
        f"{path}, line 4: expected a class such as n01440764, got '85'. Correct or remove the row."
    )


def test_a_truncated_image_and_a_name_that_is_not_utf8_are_named(root):
    path = root / "val/n01440764/ILSVRC2012_val_n01440764.JPEG"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"expected a whole image in .*_n01440764\.JPEG, got"):
        open_source(root).pixels(8)
    (Path(os.fsdecode(bytes(root / "train/n01440764") + b"/\xff.JPEG"))).touch()
    assert outcome(root) == (
        f"expected names of files in UTF-8 in {root}/train/n01440764, got b'\\xff.JPEG'. Rename "
        "the file."
    )


@settings(max_examples=120, deadline=None)
@given(data=st.data(), name=st.sampled_from(["classnames.txt", "LOC_val_solution.csv"]))
def test_damaged_files_end_in_a_table_or_a_clear_error(tmp_path_factory, data, name):
    root = tmp_path_factory.getbasetemp() / "damaged-imagenet"
    images(root / "val", "ILSVRC2012_val_00000001.JPEG", "ILSVRC2012_val_00000002.JPEG")
    (root / "classnames.txt").write_text(SYNSETS)
    (root / "LOC_val_solution.csv").write_text(SOLUTION)
    raw = (root / name).read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(raw))] * 2)))
        middle = data.draw(st.sampled_from((b"", raw[first:second] * 2, b"\xff", b"\n", b",")))
        raw = raw[:first] + middle + raw[data.draw(st.sampled_from((first, second))) :]
    (root / name).write_bytes(raw)
    source = outcome(root)
    if isinstance(source, str):
        assert str(root) in source
        return
    table = source.annotations
    assert len(table) == len(table.columns.item) == 2
    assert all(name.strip() for name in table.names.values)


@settings(max_examples=60, deadline=None)
@given(names=st.dictionaries(
    st.integers(0, 40).map("n{:08d}".format), st.sampled_from(["a", "A", "a, b", "a,b", "b", ","])
))  # fmt: skip
def test_no_two_classes_ever_share_a_name(tmp_path_factory, names):
    path = tmp_path_factory.getbasetemp() / "words.txt"
    path.write_text("".join(f"{wnid}\t{name}\n" for wnid, name in names.items()))
    found = read_names(path, names)
    assert found.keys() == names.keys()
    assert len({name.lower() for name in found.values()}) == len(names)
    assert all(found.values())


DATA = os.environ.get("ASPECTRA_DATA")
real = pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")


@real
def test_the_real_samples_are_read_completely(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    root = Path(DATA) / "imagenet_sample_images"
    files = sorted(path.name for path in root.iterdir())
    source = open_source(root)
    assert source.annotations.names.images == tuple(files)
    assert len(files) == 63
    told = [name.split("_", 1)[1].removesuffix(".JPEG").replace("_", " ") for name in files]
    assert [row.value for row in source.annotations.rows] == told
    pixels = source.pixels(32)
    assert pixels.shape == (63, 32, 32, 3)
    assert np.ptp(pixels, axis=(1, 2)).max(axis=1).min() > 40  # no picture is blank


@real
def test_real_numbers_of_wordnet_are_recognised(tmp_path):
    lists = Path(DATA) / "imagenet_s/data/categories"
    wnids = (lists / "ImageNetS_categories_im919.txt").read_text().split()
    path = tmp_path / "classnames.txt"
    path.write_text("".join(f"{wnid} name {wnid}\n" for wnid in wnids))
    assert len(read_names(path, wnids)) == len(wnids) == 919
