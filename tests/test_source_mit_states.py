"""MIT-States: states and objects from image lists, from metadata, or from the folders' names."""

import os
from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.errors import InputError
from datamodules.sources.hashed_parts import hashed_part
from datamodules.sources.mit_states import ABOUT, open_source

LISTS = {
    "train": "damp_mud/SAM_2193.jpg damp mud\ndamp_mud/two words.jpg damp mud\n",
    "val": "old_cat/1.jpg old cat\n",
    "test": "ancient_city/a.b.png ancient city\n",
}
RECORDS = [
    {"image": "damp_mud/1.jpg", "attr": "damp", "obj": "mud", "set": "train"},
    {"image": "old_cat/1.jpg", "attr": "old", "obj": "cat", "set": "val"},
    {"image": "old_city/1.jpg", "attr": "old", "obj": "city", "set": "test"},
    {"image": "adj_cat/1.jpg", "attr": "NA", "obj": "cat", "set": "NA"},
]
METADATA = "metadata_compositional-split-natural.t7"


def lists(root, texts=LISTS):
    folder = root / "mitstates_img_split"
    folder.mkdir(parents=True, exist_ok=True)
    for part, text in texts.items():
        (folder / f"{part}_imgs.txt").write_text(text)
    return root


def pairs(root, **texts):
    folder = root / "compositional-split-natural"
    folder.mkdir(parents=True, exist_ok=True)
    for part, text in texts.items():
        (folder / f"{part}_pairs.txt").write_text(text)
    return root


def images(folder, names):
    for level, name in enumerate(names):
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        Image.new("L", (9, 9), 40 * level % 256).save(folder / name)


def splits(table):
    return {name: split for split in table.splits for name in table.images_of(split)}


def outcome(root):
    """The source, or what is wrong with it."""
    try:
        return open_source(root)
    except InputError as problem:
        return str(problem)


def test_an_image_has_a_state_and_an_object_which_is_its_class(tmp_path):
    source = open_source(lists(tmp_path))
    assert [row[:8] for row in source.annotations.rows] == [
        row
        for image, split, state, thing in (
            ("damp_mud/SAM_2193.jpg", "train", "damp", "mud"),
            ("damp_mud/two words.jpg", "train", "damp", "mud"),
            ("old_cat/1.jpg", "validation", "old", "cat"),
            ("ancient_city/a.b.png", "test", "ancient", "city"),
        )
        for row in (
            (image, split, "state", state, 1, 1, thing, None),
            (image, split, "object", thing, 1, 1, thing, None),
        )
    ]
    assert ABOUT.class_attribute == "object"
    assert source.states_types


def test_without_a_validation_list_a_tenth_of_train_is_validation(tmp_path):
    text = "".join(f"damp_mud/{n}.jpg damp mud\n" for n in range(1000))
    table = open_source(lists(tmp_path, {"train": text})).annotations
    assert 60 < len(table.images_of("validation")) < 140
    assert len(table.images_of("train")) == 1000 - len(table.images_of("validation"))


def test_metadata_say_the_natural_split_and_unlabelled_images_are_left_out(tmp_path):
    torch.save(RECORDS, tmp_path / METADATA)
    assert splits(open_source(tmp_path).annotations) == {
        "damp_mud/1.jpg": "train", "old_cat/1.jpg": "validation", "old_city/1.jpg": "test",
    }  # fmt: skip


def test_folders_are_found_with_blanks_and_with_underscores(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    torch.save(RECORDS, tmp_path / METADATA)
    images(
        tmp_path / "release_dataset/images", ["damp mud/1.jpg", "old_cat/1.jpg", "old city/1.jpg"]
    )
    source = open_source(tmp_path)
    assert source.annotations.images == ("damp mud/1.jpg", "old_cat/1.jpg", "old city/1.jpg")
    assert source.pixels(8)[:, 0, 0, 0].tolist() == [0, 40, 80]


def test_without_lists_the_folders_are_read_and_divided_by_hash(tmp_path):
    names = [f"old_cat/{n}.jpg" for n in range(40)]
    images(tmp_path / "images", [*names, "adj cat/1.jpg", "ancient city/2.PNG", "readme/3.jpg"])
    (tmp_path / "images/old_cat/notes.txt").touch()
    table = open_source(tmp_path).annotations
    assert splits(table) == {name: hashed_part(name.replace(" ", "_")) for name in
                             [*names, "ancient city/2.PNG"]}  # fmt: skip
    assert table.shown("object") == {"cat": 40, "city": 1}


def test_published_pairs_divide_the_folders(tmp_path):
    names = [f"{pair}/{n}.jpg" for pair in ("old_cat", "old_dog", "new_cat", "new_dog", "new_city",
                                            "old_city", "wet_dog") for n in range(60)]  # fmt: skip
    for name in names:
        (tmp_path / "images" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "images" / name).touch()
    pairs(
        tmp_path,
        train="old cat\nold dog\nnew cat\nnew city\n",
        val="old cat\nnew dog\n",
        test="old cat\nold dog\nold city\n",
    )
    found = splits(open_source(tmp_path).annotations)
    parts = {
        pair: Counter(found[name] for name in names if name in found and pair in name)
        for pair in ("old_cat", "old_dog", "new_cat", "new_dog", "old_city", "wet_dog")
    }
    assert set(parts["old_cat"]) == {"train", "validation", "test"}
    assert set(parts["old_dog"]) == {"train", "test"}
    assert parts["new_cat"] == {"train": 60}
    assert parts["new_dog"] == {"validation": 60}
    assert parts["old_city"] == {"test": 60}
    assert parts["wet_dog"] == {}


def test_nothing_is_a_clear_error(tmp_path):
    assert outcome(tmp_path) == (
        f"expected folders such as 'ancient building' in {tmp_path}/images, found no such folder. "
        f"{ABOUT.get}"
    )
    (tmp_path / "images/adj cat").mkdir(parents=True)
    assert outcome(tmp_path) == (
        f"expected images that show a value and an object in {tmp_path}/images, got none. Check "
        "that it is the file or folder of this data set."
    )


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("damp_mud/2.jpg damp", "expected 3 fields (image, state, object), got 2: 'damp_mud/2.jpg "
                                "damp'. Correct or remove the line."),
        ("../2.jpg damp mud", "expected the path of a file below the image folder, got '../2.jpg'. "
                              "Correct the line."),
        ("damp_mud/1.jpg wet mud", "expected every image once, got 'damp_mud/1.jpg' as wet mud of "
         "train; it was damp mud of train in {path}, line 1. Remove one of them."),
        ("damp_mud/1.jpg damp\udcff mud", "expected UTF-8 text, got the byte b'\\xff'. Save the "
                                          "file as UTF-8."),
    ],
)  # fmt: skip
def test_broken_lines_are_named(tmp_path, line, message):
    path = lists(tmp_path) / "mitstates_img_split/train_imgs.txt"
    text = f"damp_mud/1.jpg damp mud\n\n{line}\n"
    path.write_bytes(text.encode(errors="surrogateescape"))
    assert outcome(tmp_path) == f"{path}, line 3: {message.format(path=path)}"


def test_an_image_in_two_splits_is_named_and_a_repeated_line_is_not(tmp_path):
    lists(tmp_path, {"train": LISTS["train"] * 2})
    assert len(open_source(tmp_path).annotations) == 2
    lists(tmp_path, {"train": LISTS["train"], "test": LISTS["train"]})
    folder = tmp_path / "mitstates_img_split"
    assert outcome(tmp_path) == (
        f"{folder}/test_imgs.txt, line 1: expected every image once, got 'damp_mud/SAM_2193.jpg' "
        f"as damp mud of test; it was damp mud of train in {folder}/train_imgs.txt, line 1. Remove "
        "one of them."
    )


def test_a_truncated_image_is_named(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    images(tmp_path / "images", ["old_cat/1.jpg"])
    path = tmp_path / "images/old_cat/1.jpg"
    path.write_bytes(path.read_bytes()[:-200])
    with pytest.raises(InputError, match=r"expected a whole image in .*old_cat/1\.jpg, got"):
        open_source(tmp_path).pixels(8)


def test_a_name_that_is_not_utf8_is_named(tmp_path):
    folder = tmp_path / "images/old_cat"
    folder.mkdir(parents=True)
    (Path(os.fsdecode(bytes(folder) + b"/\xff.jpg"))).touch()
    assert outcome(tmp_path) == (
        f"expected names of files in UTF-8 in {folder}, got b'\\xff.jpg'. Rename the file."
    )


@settings(max_examples=120, deadline=None)
@given(data=st.data(), part=st.sampled_from(["train", "val", "test"]))
def test_damaged_lists_end_in_a_table_or_a_clear_error(tmp_path_factory, data, part):
    root = lists(tmp_path_factory.getbasetemp() / "damaged-mit")
    path = root / f"mitstates_img_split/{part}_imgs.txt"
    raw = path.read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(raw))] * 2)))
        middle = data.draw(
            st.sampled_from((b"", raw[first:second] * 2, b"\xff", b"\n", b" ", b"/"))
        )
        raw = raw[:first] + middle + raw[data.draw(st.sampled_from((first, second))) :]
    path.write_bytes(raw)
    source = outcome(root)
    if isinstance(source, str):
        assert str(root) in source
        return
    table = source.annotations
    assert set(table.names.attributes) == {"state", "object"}
    assert len(table.columns.item) == 2 * len(table)
    assert all(name and ".." not in name.split("/") for name in table.names.images)


DATA = os.environ.get("ASPECTRA_DATA")
real = pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")


@real
def test_the_real_list_is_read_completely():
    root = Path(DATA) / "mit_states"
    source = open_source(root)
    table = source.annotations
    rows = [line.split(" ") for line in
            (root / "mitstates_img_split/train_imgs.txt").read_text().splitlines()]  # fmt: skip
    assert len(table) == len(rows) == 22_548
    assert table.names.images == tuple(row[0] for row in rows)
    assert table.shown("state") == Counter(row[1] for row in rows)
    assert table.shown("object") == Counter(row[2] for row in rows)
    seen = set((root / "mitstates_pair_split/seen_pairs.txt").read_text().splitlines())
    assert {f"{row[1]} {row[2]}" for row in rows} <= seen
    assert np.isclose(len(table.images_of("validation")) / len(table), 0.1, atol=0.01)
    with pytest.raises(InputError, match=r"22,548 are missing, such as damp_mud/SAM_2193\.jpg"):
        source.pixels(8)
