"""A part of a large data set: the same images on any machine, nothing else decoded."""

import hashlib
import json
from collections import namedtuple

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from datamodules.annotations import Annotation, annotations_of
from datamodules.attribute import AttributeDataModule
from datamodules.classes import ClassDataModule
from datamodules.dictionary import Attribute, Dictionary, Value
from datamodules.dictionary.given import words_hash
from datamodules.errors import InputError
from datamodules.images import cache, write_pixels
from datamodules.sources import load_source
from datamodules.splits.by_hash import limited

BOX = (1.0, 2.0, 3.0, 4.0)
TABLE = annotations_of(
    [
        Annotation("a", "train", "color", "red", object="car"),
        Annotation("a", "train", "size", "small", 0, 0.5, object="car"),
        Annotation("b", "train", "color", "blue", box=BOX),
        Annotation("b", "train", "color", "red", -1),
        Annotation("c", "test", "size", "big", object="dog"),
        Annotation("d", "test", "color", "red"),
    ]
)


@given(
    st.sets(st.integers(0, len(TABLE) - 1), min_size=1).flatmap(
        lambda s: st.permutations(sorted(s))
    )
)
def test_a_part_of_the_table_holds_the_rows_of_its_items(items):
    part = TABLE.take(np.array(items))
    whole = list(TABLE.iterate())
    item_of = TABLE.columns.item.tolist()
    assert sorted(part.iterate()) == sorted(
        row for row, item in zip(whole, item_of, strict=True) if item in items
    )
    assert part.images == tuple(TABLE.images[item] for item in items)
    assert part.objects == tuple(TABLE.objects[item] for item in items)
    assert part.names.images == tuple(dict.fromkeys(part.images))
    labels = TABLE.labels("color", ("red", "blue"), exclusive=False)
    for one, other in zip(
        part.labels("color", ("red", "blue"), exclusive=False), labels, strict=True
    ):
        assert np.array_equal(one, other[items])


def test_the_whole_table_is_itself():
    assert TABLE.take(np.arange(len(TABLE))) is TABLE


def naive(names, count):
    """The first images by hash, written anew."""

    def number(name):
        digest = hashlib.sha256(json.dumps([0, name]).encode()).hexdigest()
        return int(digest, 16) >> 203  # 53 bits

    return set(sorted(names, key=number)[:count])


def test_images_are_chosen_in_each_split_by_the_hash_of_their_names():
    rows = [
        Annotation(f"{split}{n}", split, "color" if n % 3 else "size", "x", object=name)
        for split in ("train", "test", "")
        for n in range(30)
        for name in ("car", "dog")
    ]
    table = annotations_of(rows)
    speaks = np.array([row.attribute == "color" for row in rows])
    chosen = limited(table, speaks, 7)
    expected = set()
    for split in ("train", "test"):
        expected |= naive([f"{split}{n}" for n in range(30) if n % 3], 7)
    assert {table.images[item] for item in chosen} == expected
    assert len(chosen) == 28  # both objects of each
    assert chosen.tolist() == sorted(chosen.tolist())
    assert set(limited(table, speaks, 3)) < set(chosen)


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """Forty gray pictures with a color, of which every fourth is not there; options to open it."""
    monkeypatch.chdir(tmp_path)
    rows = ["image,split,attribute,value"]
    for number in range(40):
        split = ("train", "validation", "test")[number % 3 if number > 9 else 0]
        rows.append(f"{number}.png,{split},color,{('red', 'blue')[number % 2]}")
        Image.new("L", (12, 12), number).save(tmp_path / f"{number}.png")
    (tmp_path / "annotations.csv").write_text("\n".join(rows) + "\n")
    values = tuple(Value(f"v_{name}", name, 6) for name in ("red", "blue"))
    path, source = tmp_path / "dictionary.json", load_source("folder", tmp_path)
    attributes = (Attribute("color", values, exclusive=True),)
    Dictionary("folder", words_hash(source), attributes).save(path)
    return {"source": "folder", "root": tmp_path, "dictionary": path, "image_size": 8}


def test_only_the_chosen_images_are_decoded(folder, tmp_path):
    data = AttributeDataModule("color", max_images=4, batch_size=4, **folder)
    data.setup()
    names = set(data.annotations.images)
    for number in range(40):
        if f"{number}.png" not in names:
            (tmp_path / f"{number}.png").unlink()
    data.prepare_data()
    assert data.pixels().shape == (12, 8, 8, 3)
    assert [len(data.members(split)) for split in data.splits] == [4, 4, 4]
    for batch in [*data.train_dataloader(), *data.val_dataloader(), *data.test_dataloader()[0]]:
        for image, index, label in zip(batch["image"], batch["index"], batch["label"], strict=True):
            number = int(data.annotations.images[int(index)].removesuffix(".png"))
            assert (image == number).all()
            assert label.tolist() == [1 - number % 2, number % 2]


def test_classes_take_their_shots_first(folder):
    options = {"attribute": "color", "shots": 2, "max_images": 3}
    data = ClassDataModule(**folder, **options)
    data.prepare_data()
    data.setup()
    assert len(data.members("train")) == 3  # of 2 shots x 2 classes
    assert len(data.members("test")) == 3


@pytest.mark.parametrize("option", ["max_images", "crops"])
def test_impossible_numbers_are_refused(option):
    with pytest.raises(InputError, match=f"^--data.{option} is 0, expected at least 1.$"):
        AttributeDataModule("color", **{option: 0})


def test_a_disk_too_small_is_told_before_the_first_image(tmp_path, monkeypatch):
    usage = namedtuple("usage", "total used free")
    monkeypatch.setattr(cache.shutil, "disk_usage", lambda _: usage(9e9, 8.5e9, 5e8))

    def blocks():
        raise AssertionError("decoded")
        yield

    with pytest.raises(InputError) as caught:
        write_pixels(tmp_path / "a.npy", blocks(), (20_000, 224, 224, 3), name="decoding")
    assert str(caught.value) == (
        f"expected 3.0 GB of free space in {tmp_path} for 20,000 squares of 224 pixels, found 0.5 "
        "GB. Take fewer images (--data.max_images), a smaller size (--data.image_size) or a larger "
        "disk."
    )
    assert list(tmp_path.iterdir()) == []
