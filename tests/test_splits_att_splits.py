"""The zero-shot splits of Xian et al., from MATLAB files with the traps of the published ones."""

import contextlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import savemat

from datamodules.errors import InputError
from datamodules.splits import proposed_split, read_att_splits, read_images

# Twelve images, class by class: 4 antelopes, 3 bears, 3 cats, 2 dogs. The dog is unseen, and cats
# validate. train_loc and val_loc hold the images of test_seen (4, 7 and 10), as the published do.
CLASSES = ["antelope", "grizzly+bear", "cat", "dog"]
LABELS = [1, 1, 1, 1, 2, 2, 2, 3, 3, 3, 4, 4]
LOCATIONS = {
    "trainval_loc": [9, 2, 1, 6, 3, 8, 5],
    "test_seen_loc": [4, 7, 10],
    "test_unseen_loc": [11, 12],
    "train_loc": [1, 2, 3, 4, 5, 6, 7],
    "val_loc": [8, 9, 10],
}
SEEN = [("train", (0, 1, 2, 4, 5)), ("validation", (7, 8)), ("test_seen", (3, 6, 9))]


def cell(texts):
    column = np.empty((len(texts), 1), dtype=object)
    column[:, 0] = texts
    return column


def att_splits(path, *, dtype=np.uint8, **changes):
    content = {
        "allclasses_names": cell(CLASSES),
        "att": np.arange(8, dtype=np.uint8).reshape(2, 4) + 250,
        "original_att": np.linspace(-1, 100, 8).reshape(2, 4),
        **{name: np.array(each, dtype)[:, None] for name, each in LOCATIONS.items()},
        **changes,
    }
    savemat(path, {name: value for name, value in content.items() if value is not None})
    return path


def res101(path, **changes):
    files = [f"/home/x//Animals/JPEGImages/{CLASSES[y - 1]}/{i}.jpg" for i, y in enumerate(LABELS)]
    content = {
        "image_files": cell(files),
        "labels": np.array(LABELS, np.uint8)[:, None],
        "features": np.zeros((5, len(files))),
        **changes,
    }
    savemat(path, {name: value for name, value in content.items() if value is not None})
    return path


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16, np.int32, np.float64])
def test_positions_count_from_0_and_train_never_holds_a_test_image(tmp_path, dtype):
    found = read_att_splits(att_splits(tmp_path / "att_splits.mat", dtype=dtype))
    assert found.classes == tuple(CLASSES)
    assert found.parts == {**dict(SEEN), "test_unseen": (10, 11)}
    assert found.left_out == 3
    assert all(type(each) is int for each in found.parts["train"])


def test_attributes_are_floats_that_never_wrap(tmp_path):
    att = np.array([[250, 5, 0, 1], [1, 2, 3, 4]], np.uint8)
    found = read_att_splits(att_splits(tmp_path / "a.mat", att=att))
    assert found.attribute_AC.dtype == found.original_AC.dtype == np.float64
    np.testing.assert_array_equal(found.attribute_AC * 2, [[500, 10, 0, 2], [2, 4, 6, 8]])
    np.testing.assert_allclose(found.original_AC, np.linspace(-1, 100, 8).reshape(2, 4))
    assert read_att_splits(att_splits(tmp_path / "b.mat", original_att=None)).original_AC is None


@pytest.mark.parametrize("gone", [["train_loc", "val_loc"], ["train_loc"], ["val_loc"]])
def test_without_validation_classes_train_is_all_of_trainval(tmp_path, gone):
    found = read_att_splits(att_splits(tmp_path / "a.mat", **dict.fromkeys(gone)))
    assert found.parts["train"] == tuple(each - 1 for each in LOCATIONS["trainval_loc"])
    assert found.parts["validation"] == ()
    assert found.left_out == 0


def test_a_character_matrix_of_class_names_is_read_without_its_padding(tmp_path):
    names = np.array([name.ljust(12) for name in CLASSES])
    assert read_att_splits(att_splits(tmp_path / "a.mat", allclasses_names=names)).classes == (
        *CLASSES,
    )


def test_images_lose_the_folders_of_the_authors_machine(tmp_path):
    names, labels = read_images(res101(tmp_path / "res101.mat"), below="JPEGImages")
    assert names[:5] == (
        "antelope/0.jpg", "antelope/1.jpg", "antelope/2.jpg", "antelope/3.jpg", "grizzly+bear/4.jpg"
    )  # fmt: skip
    assert labels == tuple(each - 1 for each in LABELS)
    assert read_images(tmp_path / "res101.mat")[0][0] == (
        "/home/x//Animals/JPEGImages/antelope/0.jpg"
    )


def test_the_published_split_names_images_and_classes(tmp_path):
    published = read_att_splits(att_splits(tmp_path / "a.mat"))
    names, labels = read_images(res101(tmp_path / "r.mat"), below="JPEGImages")
    split = proposed_split(published, names, labels, source="awa2")
    assert split.members == {
        part: tuple(names[each] for each in found) for part, found in published.parts.items()
    }
    assert split.settings == {
        "seen": ["antelope", "grizzly+bear", "cat"],
        "unseen": ["dog"],
        "left_out": 3,
    }
    assert (split.protocol, split.seed, split.source) == ("zero-shot (Xian)", None, "awa2")


def refusal(function, *arguments, **named):
    with pytest.raises(InputError) as error:
        function(*arguments, **named)
    return str(error.value)


def loc(*values, dtype=np.int32):
    return np.array(values, dtype)[:, None]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        (
            {"train_loc": loc(0, 1, dtype=np.uint8)},  # 0 - 1 is 255 to an uint8
            "PATH, train_loc: expected whole numbers from 1, got others. Correct the file.",
        ),
        (
            {"test_seen_loc": loc(4, 1.5, dtype=np.float64)},
            "PATH, test_seen_loc: expected whole numbers from 1, got others. Correct the file.",
        ),
        (
            {"test_seen_loc": loc(4, np.nan, dtype=np.float64)},
            "PATH, test_seen_loc: expected whole numbers from 1, got others. Correct the file.",
        ),
        (
            {"trainval_loc": "words"},
            "PATH, trainval_loc: expected whole numbers from 1, got others. Correct the file.",
        ),
        (
            {"test_seen_loc": loc(4, 7, 9)},
            "PATH, counted from 0: image 8 is in 'trainval' and 'test_seen'; expected every image "
            "in one part, else the same image trains and tests. Remove it from one of them.",
        ),
        (
            {"test_unseen_loc": loc(11, 11)},
            "PATH, counted from 0: 10 is in 'test_unseen' twice; expected every identifier once. "
            "Remove one of them.",
        ),
        (
            {"train_loc": loc(1, 2, 8)},
            "PATH, counted from 0: image 7 is in 'train' and 'validation'; expected every image in "
            "one part, else the same image trains and tests. Remove it from one of them.",
        ),
        (
            {"train_loc": loc(1, 2, 3)},
            "PATH: expected every image of trainval_loc in train_loc or val_loc, got 2 in neither. "
            "Correct the file, or remove both of them from it.",
        ),
        (
            {"allclasses_names": cell(["cat", "dog", "cat", "dog"])},
            "PATH, allclasses_names: expected every class once, got 'cat' twice. Correct the file.",
        ),
        (
            {"allclasses_names": loc(1, 2, 3, 4)},
            "PATH, allclasses_names: expected a list of names, got others. Correct the file.",
        ),
        (
            {"att": np.zeros((2, 3))},
            "PATH, att: expected numbers of shape (attributes, 4 classes), got float64 of shape "
            "(2, 3). Correct the file.",
        ),
        (
            {"att": None, "test_seen_loc": None},
            "expected allclasses_names, att, trainval_loc, test_seen_loc, test_unseen_loc in PATH, "
            "missing: att, test_seen_loc. Take the file that the data set comes with.",
        ),
    ],
)
def test_a_broken_file_is_named_with_its_field(tmp_path, changes, message):
    path = att_splits(tmp_path / "a.mat", **changes)
    assert refusal(read_att_splits, path) == message.replace("PATH", str(path))


def test_a_missing_file_is_named(tmp_path):
    path = tmp_path / "a.mat"
    assert refusal(read_att_splits, path) == (
        f"expected a MATLAB file at {path}, found no such file. It holds allclasses_names, att, "
        "trainval_loc, test_seen_loc, test_unseen_loc."
    )


@settings(max_examples=80, deadline=None)
@given(
    at=st.lists(st.tuples(st.floats(0, 1), st.integers(0, 255)), max_size=4), cut=st.floats(0, 1)
)
def test_a_mutated_file_ends_in_an_input_error_or_in_disjoint_parts(tmp_path_factory, at, cut):
    path = att_splits(tmp_path_factory.mktemp("mat") / "a.mat")
    data = bytearray(path.read_bytes())
    for place, byte in at:
        data[int(place * (len(data) - 1))] = byte
    path.write_bytes(data[: int(len(data) * max(cut, 0.3))])
    with contextlib.suppress(InputError):
        parts = read_att_splits(path).parts.values()
        assert len({each for part in parts for each in part}) == sum(map(len, parts))


def test_images_that_do_not_fit_are_refused(tmp_path):
    path = res101(tmp_path / "r.mat")
    assert refusal(read_images, path, below="images") == (
        f"{path}, image_files: expected a folder 'images' in every path, got "
        "'/home/x//Animals/JPEGImages/antelope/0.jpg'. Name the folder that the images lie in."
    )
    path = res101(tmp_path / "short.mat", labels=loc(1, 2))
    assert refusal(read_images, path) == (
        f"expected as many image_files as labels in {path}, got 12 and 2. Give one for each, in "
        "the same order."
    )


def test_labels_of_another_data_set_are_refused(tmp_path):
    published = read_att_splits(att_splits(tmp_path / "a.mat"))
    images, labels = [f"{i}.jpg" for i in range(12)], [label - 1 for label in LABELS]

    def message(images, labels):
        return refusal(proposed_split, published, images, labels, source="x")

    assert message(images[:11], labels[:11]) == (
        "expected 12 images or more for these parts, got 11. Give the image list of the same data "
        "set."
    )
    assert message(images, [*labels[:-1], 4]) == (
        "expected labels from 0 to 3, got 0 to 4. Give the labels of the same data set."
    )
    assert message(images, [*labels[:-1], 2]) == (
        "class 'cat' is seen and unseen; expected every class to be one of them. Check that names "
        "and labels are those of this split."
    )
    assert message(images, labels[1:]) == (
        "expected as many images as labels, got 12 and 11. Give one for each, in the same order."
    )
