"""ImageNet-Segmentation: images, masks and classes of one HDF5 file.

h5py does not come with the project. Where it is missing, a stand-in of the few calls that are used
serves the tests of everything but HDF5 itself.
"""

import importlib.util
import sys
from types import SimpleNamespace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from PIL import Image

from datamodules.errors import InputError
from datamodules.images import decode
from datamodules.sources.imagenet_segmentation import ABOUT, Record, open_source

HAS_H5PY = importlib.util.find_spec("h5py") is not None
needs_h5py = pytest.mark.skipif(not HAS_H5PY, reason="h5py is not installed")
RNG = np.random.default_rng(0)
IMAGES = [
    np.kron(RNG.integers(0, 256, shape, np.uint8), np.ones((4, 4, 1), np.uint8))
    for shape in ((6, 9, 3), (8, 5, 3), (5, 5, 3))
]
MASKS = [RNG.integers(0, 2, (count, *image.shape[:2]), np.uint8)
         for count, image in zip((1, 2, 1), IMAGES, strict=True)]  # fmt: skip
IDS = ["n01440764_10026", "n02012849_7", "n01440764_44"]


class Stub(dict):
    """An open file: paths and references to arrays."""

    files: dict = {}  # noqa: RUF012

    @classmethod
    def File(cls, path, mode):  # noqa: N802
        if path.read_bytes() != b"stub":
            raise OSError("Unable to open file (file signature not found)")
        return cls.files[path]

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return None


class File:
    """What the tests write: the same arrays through h5py or into a stand-in."""

    def __init__(self, path):
        self.path, self.parts, self.count = path, {}, 0

    def refer(self, array):
        self.count += 1
        name = f"#refs#/{self.count}"
        self.parts[name] = array
        return name

    def column(self, name, arrays):
        self.parts[f"value/{name}"] = [self.refer(array) for array in arrays]

    def save(self):
        if HAS_H5PY:
            import h5py

            with h5py.File(self.path, "w") as file:
                for name, part in self.parts.items():
                    if isinstance(part, np.ndarray):
                        file[name] = part
                for name, part in self.parts.items():
                    if isinstance(part, list):
                        links = np.empty((len(part), 1), h5py.ref_dtype)
                        links[:, 0] = [file[link].ref for link in part]
                        file.create_dataset(name, data=links, dtype=h5py.ref_dtype)
            return
        self.path.write_bytes(b"stub")
        Stub.files[self.path] = Stub(
            {name: np.array(part, object)[:, None] if isinstance(part, list) else part
             for name, part in self.parts.items()}
        )  # fmt: skip


def letters(text):
    return np.array([[ord(letter)] for letter in text], np.uint16)


def write(root, ids=IDS, images=IMAGES, masks=MASKS, targets=None):
    """A file of the official layout; MATLAB's axes come reversed."""
    root.mkdir(parents=True, exist_ok=True)
    file = File(root / "gtsegs_ijcv.mat")
    file.column("id", [letters(each) for each in ids])
    if targets:
        file.column("target", [letters(each) for each in targets])
    file.column("img", [image.T for image in images])
    # A list of references is itself an array that is referred to.
    cells = []
    for each in masks:
        links = [file.refer(mask.T) for mask in each]
        cells.append(file.refer(np.zeros(0)))
        file.parts[cells[-1]] = links
    file.parts["value/gt"] = cells
    file.save()
    return root


@pytest.fixture(autouse=True)
def h5py(monkeypatch):
    if not HAS_H5PY:
        monkeypatch.setitem(sys.modules, "h5py", SimpleNamespace(File=Stub.File))


@pytest.fixture
def root(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    write(tmp_path)
    (tmp_path / "words.txt").write_text("n01440764\ttench, Tinca tinca\nn02012849\tcrane\n")
    return tmp_path


def outcome(root):
    """The source, or what is wrong with it."""
    try:
        return open_source(root)
    except InputError as problem:
        return str(problem)


def test_all_images_are_test_and_have_their_class(root):
    source = open_source(root)
    assert [
        (row.image, row.split, row.attribute, row.value) for row in source.annotations.rows
    ] == [
        ("n01440764_10026", "test", "category", "tench"),
        ("n02012849_7", "test", "category", "crane"),
        ("n01440764_44", "test", "category", "tench"),
    ]
    assert (source.name, ABOUT.class_attribute) == ("imagenet_segmentation", "category")


def test_images_and_masks_come_upright_in_rows_and_columns(root):
    source = open_source(root)
    for index, (image, masks) in enumerate(zip(IMAGES, MASKS, strict=True)):
        record = source.record(index)
        assert isinstance(record, Record)
        np.testing.assert_array_equal(record.image, image)
        np.testing.assert_array_equal(record.masks, masks.astype(bool))
        np.testing.assert_array_equal(source.masks(index), record.masks)
        assert record.masks.dtype == np.bool_
        assert record.category == ("tench", "crane", "tench")[index]


def test_gray_images_and_masks_without_a_list_are_read(root):
    file = File(root / "gtsegs_ijcv.mat")
    file.column("id", [letters(IDS[0])])
    file.column("img", [IMAGES[0][..., 0].T])
    file.column("gt", [MASKS[0][0].T])
    file.save()
    record = open_source(root).record(0)
    assert (record.image == IMAGES[0][..., :1]).all()
    assert (record.masks == MASKS[0].astype(bool)).all()


def test_pixels_are_cut_as_those_of_files_are(root, tmp_path):
    pixels = open_source(root).pixels(16)
    assert pixels.shape == (3, 16, 16, 3)
    for image, found in zip(IMAGES, pixels, strict=True):
        Image.fromarray(image).save(tmp_path / "image.png")
        np.testing.assert_array_equal(found, decode(tmp_path / "image.png", 16))
    caches = list((tmp_path / "artifacts/data/imagenet_segmentation").glob("images-16-*.npy"))
    assert len(caches) == 1
    np.testing.assert_array_equal(open_source(root).pixels(16), pixels)


def test_the_hash_tells_files_apart(root):
    before = open_source(root).data_hash
    assert before == open_source(root).data_hash
    write(root, ids=IDS[::-1])
    assert open_source(root).data_hash != before


def test_classes_without_a_name_keep_their_number(root, caplog):
    (root / "words.txt").write_text("n01440764\ttench, Tinca tinca\n")
    assert open_source(root).annotations.shown("category") == {"tench": 2, "n02012849": 1}
    assert caplog.messages == [
        "ImageNet-Segmentation: 1 of 2 classes have no name and keep their number, such as "
        f"n02012849. Put words.txt of ImageNet into {root}."
    ]


def test_the_class_may_stand_beside_the_id(root):
    write(root, ids=["a_1", "b_2", "c_3"], targets=["n01440764", "n02012849", "n02012849"])
    assert open_source(root).annotations.shown("category") == {"crane": 2, "tench": 1}
    write(root, ids=["a_1", "b_2", "c_3"])
    assert outcome(root) == (
        f"{root}/gtsegs_ijcv.mat, image 1: expected an id that begins with a class, such as "
        f"n01440764_10026, got 'a_1'. {ABOUT.get}"
    )


def test_a_missing_file_is_named(tmp_path):
    assert outcome(tmp_path) == (
        f"expected images and masks at {tmp_path}/gtsegs_ijcv.mat, found no such file. {ABOUT.get}"
    )


def test_without_h5py_the_message_says_how_to_get_it(root, monkeypatch):
    monkeypatch.setitem(sys.modules, "h5py", None)
    assert outcome(root) == (
        f"{root}/gtsegs_ijcv.mat is an HDF5 file, and h5py, which reads it, is not installed. Run "
        "`pip install h5py`, then run the command again."
    )


def test_ids_that_lead_elsewhere_or_come_twice_are_named(root):
    path = root / "gtsegs_ijcv.mat"
    write(root, ids=[IDS[0], "../x", IDS[2]])
    assert outcome(root) == (
        f"{path}, image 2: expected the path of a file below the image folder, got '../x'. Correct "
        "the line."
    )
    write(root, ids=[IDS[0], IDS[1], IDS[0]])
    assert outcome(root) == (
        f"{path}, image 3: expected every id once, got 'n01440764_10026' again (image 1). "
        f"{ABOUT.get}"
    )


def test_other_files_and_missing_parts_are_named(root):
    path = root / "gtsegs_ijcv.mat"
    expected = "expected a MATLAB 7.3 file with value/id, value/img and value/gt at "
    path.write_bytes(b"MATLAB 5.0 MAT-file")
    assert outcome(root).startswith(f"{expected}{path}, got one that cannot be read (")
    file = File(path)
    file.column("img", [IMAGES[0].T])
    file.save()
    assert outcome(root).startswith(f"{expected}{path}, got one that cannot be read (")
    write(root, images=[IMAGES[0].astype(np.float64), *IMAGES[1:]])
    with pytest.raises(InputError) as caught:
        open_source(root).pixels(8)
    assert str(caught.value) == (
        f"{expected}{path}, got one that cannot be read (image 1 is float64 (24, 36, 3)). "
        f"{ABOUT.get}"
    )
    assert not list((root / "artifacts").rglob("images*.npy"))


@needs_h5py
@settings(max_examples=60, deadline=None)
@given(data=st.data())
def test_damaged_files_end_in_a_table_or_a_clear_error(tmp_path_factory, data):
    root = write(tmp_path_factory.getbasetemp() / "damaged-segments")
    path = root / "gtsegs_ijcv.mat"
    raw = bytearray(path.read_bytes())
    for _ in range(data.draw(st.integers(1, 20))):
        raw[data.draw(st.integers(0, len(raw) - 1))] = data.draw(st.integers(0, 255))
    path.write_bytes(raw[: data.draw(st.integers(0, len(raw)))])
    source = outcome(root)
    if isinstance(source, str):
        assert str(path) in source
        return
    assert source.annotations.splits == ("test",)


@settings(max_examples=40, deadline=None)
@given(
    ids=st.lists(st.text(max_size=12) | st.sampled_from(IDS), min_size=1, max_size=3),
    targets=st.none() | st.just(["n01440764"] * 3) | st.just(["x"] * 3),
)
def test_any_ids_end_in_a_table_or_a_clear_error(tmp_path_factory, ids, targets):
    ids = [each for each in ids if all(ord(letter) < 0x10000 for letter in each)] or IDS
    root = tmp_path_factory.getbasetemp() / "any-segments"
    write(root, ids, IMAGES[: len(ids)], MASKS[: len(ids)], targets and targets[: len(ids)])
    source = outcome(root)
    if isinstance(source, str):
        assert str(root) in source
        return
    assert len(source.annotations) == len(ids)
    assert all(value.startswith("n0") for value in source.annotations.names.values)
