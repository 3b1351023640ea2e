"""MATLAB files against SciPy's reader and writer; damaged ones end in an error, not the process."""

import contextlib
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.io import loadmat, savemat

from datamodules import matlab
from datamodules.errors import InputError
from datamodules.matlab import read_mat

NUMBERS = ["float64", "float32", "int8", "uint8", "int16", "uint16", "int32", "uint32", "int64"]


def cells(values, shape=None):
    array = np.empty(len(values), dtype=object)
    array[:] = values
    return array.reshape(shape or (-1, 1))


def written(path, content, **named):
    savemat(path, content, **named)
    return path


def assert_same(one, other):
    assert (one.dtype, one.shape) == (other.dtype, other.shape)
    if one.dtype == object:
        for left, right in zip(one.ravel(), other.ravel(), strict=True):
            assert_same(left, right)
    else:
        np.testing.assert_array_equal(one, other)


@pytest.mark.parametrize("compressed", [False, True])
def test_every_kind_of_value_is_what_scipy_reads(tmp_path, compressed):
    random = np.random.default_rng(0)
    content = {
        **{f"x_{dtype}": (random.random((3, 4)) * 100).astype(dtype) for dtype in NUMBERS},
        "cube": random.random((2, 3, 4)),
        "nothing": np.zeros((0, 3)),
        "flag": np.array([[True, False]]),
        "word": "naïve café",
        "rows": np.array(["abc  ", "de   "]),
        "names": cells(["001.Black_footed_Albatross", "ü", "b.jpg", "a" * 300]),
        "mixed": cells([np.arange(5), "text", cells(["x", 2.5]), np.zeros((0, 0))], (2, 2)),
    }
    path = written(tmp_path / "a.mat", content, do_compression=compressed)
    found = read_mat(path, list(content))
    reference = loadmat(path, mat_dtype=True)
    for name in content:
        assert_same(found[name], reference[name])


@pytest.mark.parametrize("compressed", [False, True])
def test_an_array_of_structs_gives_an_array_a_field(tmp_path, compressed):
    records = np.zeros((1, 3), dtype=[("bbox_x1", object), ("fname", object)])
    for number in range(3):
        records[0, number] = (np.uint16(300 * number), f"{number:05d}.jpg")
    content = {"annotations": records, "class_names": cells(["AM General Hummer"], (1, 1))}
    path = written(tmp_path / "cars.mat", content, do_compression=compressed)
    found = read_mat(path, ["annotations", "class_names"])["annotations"]
    assert list(found) == ["bbox_x1", "fname"]
    assert found["bbox_x1"].shape == (1, 3)
    assert [int(each[0, 0]) for each in found["bbox_x1"][0]] == [0, 300, 600]
    assert [each[0] for each in found["fname"][0]] == ["00000.jpg", "00001.jpg", "00002.jpg"]


def element(order, kind, data):
    return struct.pack(f"{order}II", kind, len(data)) + data + bytes(-len(data) % 8)


def small(order, kind, data):
    return struct.pack(f"{order}I", len(data) << 16 | kind) + data.ljust(4, b"\0")


def file_of(order, *elements):
    mark = struct.pack(f"{order}H", 0x100) + (b"IM" if order == "<" else b"MI")
    return b"MATLAB 5.0".ljust(124) + mark + b"".join(elements)


def matrix(order, number, name, shape, *content):
    """A matrix of class `number`."""
    head = (
        element(order, 6, struct.pack(f"{order}II", number, 0)),
        element(order, 5, struct.pack(f"{order}{len(shape)}i", *shape)),
        small(order, 1, name),
    )
    return element(order, 14, b"".join([*head, *content]))


def doubles(order, name, shape, kind, raw):
    """Numbers of class double that are stored as `kind`, as MATLAB squeezes them."""
    return matrix(order, 6, name, shape, element(order, kind, raw))


@pytest.mark.parametrize("order", ["<", ">"])
def test_doubles_squeezed_into_bytes_are_doubles_again_in_either_byte_order(tmp_path, order):
    path = tmp_path / "a.mat"
    squeezed = doubles(order, b"loc", (2, 2), 4, struct.pack(f"{order}4H", 0, 1, 2, 65535))
    path.write_bytes(file_of(order, squeezed))
    found = read_mat(path, ["loc"])["loc"]
    assert found.dtype == np.float64
    np.testing.assert_array_equal(found - 1, [[-1, 1], [0, 65534]])
    np.testing.assert_array_equal(found, loadmat(path)["loc"])  # SciPy: uint16, where 0 - 1 wraps
    assert loadmat(path)["loc"].dtype.newbyteorder("=") == np.uint16


def test_variables_that_nobody_asks_for_are_skipped_however_large(tmp_path, monkeypatch):
    content = {"features": np.random.default_rng(0).random((100, 1000)), "labels": np.arange(9)}
    path = written(tmp_path / "a.mat", content, do_compression=True)
    monkeypatch.setattr(matlab, "MAX_BYTES", 10_000)
    assert list(read_mat(path, ["labels"], ["absent"])) == ["labels"]
    with pytest.raises(InputError, match="holds a variable too large to be one of its lists"):
        read_mat(path, ["features"])


def refusal(path, names=("x",)):
    with pytest.raises(InputError) as error:
        read_mat(path, names)
    return str(error.value)


def test_a_file_that_unpacks_to_far_more_than_it_is_gets_refused(tmp_path, monkeypatch):
    monkeypatch.setattr(matlab, "MAX_BYTES", 1 << 20)
    path = tmp_path / "bomb.mat"
    bomb = zlib.compress(doubles("<", b"x", (1, 1 << 22), 2, bytes(1 << 22)), 9)
    path.write_bytes(file_of("<", struct.pack("<II", 15, len(bomb)) + bomb))
    assert path.stat().st_size < 10_000
    assert "a variable unpacks to 4194352 bytes of type 14" in refusal(path)


@pytest.mark.parametrize("change", ["byte", "length", "cut"])
def test_a_compressed_variable_with_a_wrong_checksum_or_length_is_refused(tmp_path, change):
    path = tmp_path / "a.mat"
    data = bytearray(doubles("<", b"x", (1, 4), 9, struct.pack("<4d", 1, 2, 3, 4)))
    if change == "length":
        data[4] += 8
    packed = bytearray(zlib.compress(bytes(data)))
    if change == "byte":
        packed[-1] ^= 1
    if change == "cut":
        del packed[-4:]
    path.write_bytes(file_of("<", struct.pack("<II", 15, len(packed)) + packed))
    reason = "incorrect data check" if change == "byte" else "another number of bytes than it says"
    assert reason in refusal(path)


def test_the_message_names_the_file_the_reason_and_what_to_do(tmp_path):
    path = tmp_path / "a.mat"
    assert refusal(path) == f"expected a MATLAB file at {path}, found no such file. It holds x."
    savemat(path, {"y": 1})
    assert refusal(path, ["x", "y"]) == (
        f"expected x, y in {path}, missing: x. Take the file that the data set comes with."
    )
    wanted = f"expected a MATLAB file of version 5 to 7 in {path}, could not read it:"
    advice = "Get it again, or save it with MATLAB's option -v7."
    path.write_text("1 antelope\n" * 20)
    assert refusal(path) == f"{wanted} it has no header of such a file. {advice}"
    path.write_bytes(b"MATLAB 7.3 MAT-file".ljust(124) + b"\x00\x02IM" + bytes(500))
    assert refusal(path) == f"{wanted} it is of version 7.3 (HDF5). {advice}"
    assert refusal(tmp_path) == f"could not read {tmp_path}: Is a directory."


@pytest.mark.parametrize(
    ("variable", "reason"),
    [
        (doubles("<", b"x", (2, 2), 9, bytes(24)), "a variable of shape (2, 2) has 3 values"),
        (doubles("<", b"x", (2, 2), 9, bytes(30)), "30 bytes are no whole number of float64"),
        (doubles("<", b"x", (2, -2), 9, bytes(32)), "a variable has the dimensions [2, -2]"),
        (doubles("<", b"x", (2,), 9, bytes(16)), "a variable has no flags or no dimensions"),
        (doubles("<", b"x", (2, 2), 99, bytes(32)), "numbers are stored as unknown type 99"),
        (
            matrix("<", 6, b"x", (1, 5), struct.pack("<I", 5 << 16 | 2) + bytes(4)),
            "an element of 4 bytes says it has 5",
        ),
        (
            matrix("<", 6, b"x", (1, 3), struct.pack("<II", 9, 32) + bytes(24)),
            "an element is longer than its variable",
        ),
        (
            matrix("<", 1, b"x", (1 << 30, 1 << 30)),
            "a variable says it has 1152921504606846976 cells, more than its bytes",
        ),
        (doubles("<", b"x", (1, 4), 9, bytes(32))[:-8], "it ends early, or holds a variable too"),
        (doubles("<", b"x", (1, 4), 9, bytes(32)) + b"abc", "it ends in the middle of an element"),
    ],
)
def test_what_is_wrong_inside_is_said(tmp_path, variable, reason):
    path = tmp_path / "a.mat"
    path.write_bytes(file_of("<", variable))
    assert reason in refusal(path)


def test_half_a_letter_becomes_a_mark_that_utf8_can_hold(tmp_path):
    path = tmp_path / "a.mat"
    text = matrix("<", 4, b"x", (1, 3), element("<", 4, struct.pack("<3H", 97, 0xD800, 98)))
    path.write_bytes(file_of("<", text))
    assert read_mat(path, ["x"])["x"].tolist() == ["a\ufffdb"]


def test_complex_numbers_sparse_matrices_and_deep_cells_are_refused(tmp_path):
    from scipy.sparse import csc_array

    path = tmp_path / "a.mat"
    assert "holds complex numbers" in refusal(written(path, {"x": np.array([1j])}))
    sparse = written(path, {"x": csc_array(np.eye(3))})
    assert "is of class 5; only numbers, text, cells, structs are" in refusal(sparse)
    deep = np.zeros(1)
    for _ in range(30):
        deep = cells([deep])
    assert "cells are nested more than 20 deep" in refusal(written(path, {"x": deep}))


@settings(max_examples=300, deadline=None)
@given(
    at=st.lists(st.tuples(st.integers(0, 5000), st.integers(0, 255)), min_size=1, max_size=4),
    cut=st.integers(100, 5000),
    compressed=st.booleans(),
)
def test_a_mutated_file_ends_in_an_input_error_or_in_values(tmp_path_factory, at, cut, compressed):
    records = np.zeros((1, 2), dtype=[("box", object), ("name", object)])
    records[0, :] = [(np.uint8(3), "a"), (np.uint16(300), "b")]
    content = {"x": np.arange(6.0), "names": cells(["ab", "c"]), "records": records}
    path = tmp_path_factory.mktemp("mat") / "a.mat"
    savemat(path, content, do_compression=compressed)
    data = bytearray(path.read_bytes())
    for place, byte in at:
        data[place % len(data)] = byte
    path.write_bytes(data[:cut])
    with contextlib.suppress(InputError):
        assert set(read_mat(path, [], ["x", "names", "records"])) <= {"x", "names", "records"}
