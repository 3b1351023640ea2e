"""C-GQA, and the lists of pairs that it shares with MIT-States and UT-Zappos."""

import os
import pickle
from collections import Counter
from pathlib import Path

import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.errors import InputError
from datamodules.sources.cgqa import ABOUT, open_source

TABLE = """image,attr,obj,set
1-2-tan-animal.jpg,tan,animal,train
3-4-rocky-street.jpg,rocky,street,val
5-6-red-fire-truck.jpg,red,fire_truck,test
"""
RECORDS = [
    dict(zip(TABLE.splitlines()[0].split(","), line.split(","), strict=True))
    for line in TABLE.splitlines()[1:]
]
METADATA = "metadata_compositional-split-natural.t7"


def outcome(root):
    """The source, or what is wrong with it."""
    try:
        return open_source(root)
    except InputError as problem:
        return str(problem)


@pytest.fixture(params=["csv", "zip", "legacy"])
def root(request, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if request.param == "csv":
        (tmp_path / "metadata.csv").write_text(TABLE)
    else:
        torch.save(
            RECORDS, tmp_path / METADATA, _use_new_zipfile_serialization=request.param == "zip"
        )
    return tmp_path


def test_every_form_of_the_list_gives_the_same_pairs(root):
    source = open_source(root)
    assert [row[:8] for row in source.annotations.rows] == [
        ("1-2-tan-animal.jpg", "train", "", "tan", 1, 1, "animal", None),
        ("3-4-rocky-street.jpg", "validation", "", "rocky", 1, 1, "street", None),
        ("5-6-red-fire-truck.jpg", "test", "", "red", 1, 1, "fire truck", None),
    ]
    assert not source.states_types


def test_annotations_open_without_images(root):
    with pytest.raises(InputError) as caught:
        open_source(root).pixels(8)
    assert str(caught.value) == (
        f"expected 3 images of C-GQA below {root}/images, 3 are missing, such as "
        f"1-2-tan-animal.jpg. {ABOUT.get}"
    )
    (root / "images").mkdir()
    for level, record in enumerate(RECORDS):
        Image.new("L", (9, 9), 40 * level).save(root / "images" / record["image"])
    assert open_source(root).pixels(8)[:, 4, 4, 1].tolist() == [0, 40, 80]


def test_a_missing_list_is_named(tmp_path):
    assert outcome(tmp_path) == (
        f"expected the images and their pairs at {tmp_path}/{METADATA} (or *metadata*.csv there), "
        f"found no such file. {ABOUT.get}"
    )


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"set": "dev"}, "expected one of train, val, test as 'set', got 'dev'. Correct the file."),
        ({"attr": None}, "expected a text as 'attr', got none. Correct the file."),
        ({"obj": "_"}, "expected a value as 'attr' and an object as 'obj', got 'rocky _'. Correct "
                       "the file."),
        ({"image": "/etc/passwd"}, "expected the path of a file below the image folder, got "
                                   "'/etc/passwd'. Correct the line."),
        ({"image": RECORDS[0]["image"]}, "expected every image once, got '1-2-tan-animal.jpg' as "
         "rocky street of validation; it was tan animal of train in {path}, record 1. Remove one "
         "of them."),
    ],
)  # fmt: skip
def test_broken_records_are_named(tmp_path, change, message):
    path = tmp_path / METADATA
    torch.save([RECORDS[0], RECORDS[1] | change], path)
    assert outcome(tmp_path) == f"{path}, record 2: {message.format(path=path)}"


def test_other_things_than_records_are_refused(tmp_path):
    path = tmp_path / METADATA
    torch.save({"a": 1}, path)
    assert outcome(tmp_path) == f"{path}: expected a list of records, got 'dict'. Correct the file."
    torch.save([RECORDS[0], 7], path)
    assert outcome(tmp_path) == f"{path}, record 2: expected a dictionary, got 7. Correct the file."
    torch.save([], path)
    assert outcome(tmp_path) == (
        f"expected images that show a value and an object in {path}, got none. Check that it is "
        "the file or folder of this data set."
    )


class Trap:
    """Runs a command where it is unpickled."""

    def __reduce__(self):
        return os.mkdir, (os.environ["TRAP"],)


def pickled(what, path):
    path.write_bytes(pickle.dumps(what, protocol=2))


@pytest.mark.parametrize("save", [torch.save, pickled])
def test_a_file_that_would_run_something_is_refused(tmp_path, monkeypatch, save):
    monkeypatch.setenv("TRAP", str(tmp_path / "sprung"))
    path = tmp_path / METADATA
    save([Trap()], path)
    assert outcome(tmp_path) == (
        f"expected a torch file of plain lists and texts at {path}, got one that cannot be read "
        "(UnpicklingError). Get the file again."
    )
    assert not (tmp_path / "sprung").exists()


@pytest.mark.parametrize(
    ("line", "message"),
    [
        ("a.jpg,tan", "expected 4 cells (image, attr, obj, set), got 2: 'a.jpg,tan'. Correct or "
                      "remove the row; text with a comma goes between double quotes."),
        ("a.jpg,,animal,train", "expected a value for attr, got none. Correct or remove the row."),
        ("a.jpg,tan,animal,all", "expected one of train, val, test as 'set', got 'all'. Correct "
                                 "the file."),
    ],
)  # fmt: skip
def test_broken_rows_are_named(tmp_path, line, message):
    (tmp_path / "metadata.csv").write_text(f"{TABLE}{line}\n")
    assert outcome(tmp_path) == f"{tmp_path}/metadata.csv, line 5: {message}"


@pytest.mark.filterwarnings("ignore:Detected pickle protocol")
@settings(max_examples=150, deadline=None)
@given(data=st.data(), form=st.sampled_from(["csv", "zip", "legacy"]))
def test_damaged_files_end_in_a_table_or_a_clear_error(tmp_path_factory, data, form):
    root = tmp_path_factory.getbasetemp() / f"damaged-{form}"
    root.mkdir(exist_ok=True)
    path = root / ("metadata.csv" if form == "csv" else METADATA)
    if form == "csv":
        path.write_text(TABLE)
    else:
        torch.save(RECORDS, path, _use_new_zipfile_serialization=form == "zip")
    raw = path.read_bytes()
    for _ in range(data.draw(st.integers(1, 3))):
        first, second = sorted(data.draw(st.tuples(*[st.integers(0, len(raw))] * 2)))
        middle = data.draw(st.sampled_from((b"", raw[first:second] * 2, b"\xff", b"\n", b",")))
        raw = raw[:first] + middle + raw[data.draw(st.sampled_from((first, second))) :]
    path.write_bytes(raw)
    source = outcome(root)
    if isinstance(source, str):
        assert str(root) in source
        return
    table = source.annotations
    assert set(table.splits) <= {"train", "validation", "test"}
    assert len(table.columns.item) == len(table) == len(table.names.images)


DATA = os.environ.get("ASPECTRA_DATA")
real = pytest.mark.skipif(DATA is None, reason="ASPECTRA_DATA names no folder of real data")


@real
def test_the_real_records_are_read_completely():
    root = Path(DATA) / "cgqa"
    (path,) = root.glob("*metadata*.csv")
    rows = [line.split(",") for line in path.read_text().splitlines()[1:]]
    table = open_source(root).annotations
    assert len(table) == len(rows) == 10_000
    assert {split: len(table.images_of(split)) for split in table.splits} == {
        "train": 2816, "validation": 3010, "test": 4174,
    }  # fmt: skip
    assert table.shown("") == Counter(row[1] for row in rows)
    assert Counter(table.objects) == Counter(row[2] for row in rows)
