"""The files of a data set against a table: what differs is counted and named."""

import contextlib
import hashlib
import os
import re
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.prepare import Differences, compare, file_digest, verify, verify_counts
from datamodules.prepare import byte_progress as byte_progress_module

REMEDY = "Get it from its site."
CONTENTS = {f"images/{number:02}.jpg": bytes([number]) * (number + 1) for number in range(12)}


def sha256(data):
    return hashlib.sha256(data).hexdigest()


def md5(data):
    return hashlib.md5(data).hexdigest()


@pytest.fixture
def folder(tmp_path):
    (tmp_path / "images").mkdir()
    for name, data in CONTENTS.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


@pytest.fixture
def table():
    """Every second sum is an MD5."""
    return {
        name: (len(data), sha256(data) if number % 2 else md5(data).upper())
        for number, (name, data) in enumerate(CONTENTS.items())
    }


def test_whole_files_show_no_difference(folder, table):
    (folder / "images/not in the table.jpg").touch()
    assert compare(folder, table) == Differences()
    assert not compare(folder, table)
    verify(folder, table, remedy=REMEDY)


@pytest.mark.parametrize("workers", [1, 4, None])
def test_each_kind_of_difference_is_counted_and_named(folder, table, workers):
    for number in range(6):
        (folder / f"images/{number:02}.jpg").unlink()
    (folder / "images/00.jpg").mkdir()  # a folder is no file
    (folder / "images/06.jpg").write_bytes(b"short")
    (folder / "images/07.jpg").write_bytes(b"x" * 8)
    (folder / "images/08.jpg").write_bytes(b"y" * 9)
    with pytest.raises(InputError) as caught:
        verify(folder, table, remedy=REMEDY, workers=workers)
    names = [f"images/{number:02}.jpg" for number in range(12)]
    assert str(caught.value) == (
        f"expected 12 files as published in {folder}, got 6 missing: {', '.join(names[:5])}, ...; "
        f"1 of the wrong size: {names[6]} (expected 7 bytes, got 5); 2 with the wrong sum: "
        f"{names[7]} (expected SHA-256 {sha256(bytes([7]) * 8)}, got {sha256(b'x' * 8)}), "
        f"{names[8]} (expected MD5 {md5(bytes([8]) * 9).upper()}, got {md5(b'y' * 9)}). {REMEDY}"
    )


def test_exactly_five_names_are_followed_by_no_dots(folder, table):
    for number in range(5):
        (folder / f"images/{number:02}.jpg").unlink()
    names = [f"images/{number:02}.jpg" for number in range(5)]
    assert str(compare(folder, table)) == f"5 missing: {', '.join(names)}"


def test_nothing_is_there_at_all(tmp_path, table):
    found = compare(tmp_path / "none", table)
    assert found == Differences(missing=tuple(CONTENTS))


def test_files_of_the_wrong_size_are_not_read(folder, table, monkeypatch):
    (folder / "images/03.jpg").write_bytes(b"")
    read = []
    monkeypatch.setattr(
        "datamodules.prepare.checksums.file_digest",
        lambda path, *args, **kwargs: read.append(path.name),
    )
    compare(folder, table)
    assert sorted(read) == [f"{number:02}.jpg" for number in range(12) if number != 3]


@pytest.mark.parametrize("digest", ["", "abc", "g" * 64, "0" * 40, "0" * 63 + "\n"])
def test_a_sum_of_no_known_kind_is_a_slip_in_the_table(folder, table, digest):
    table["images/00.jpg"] = (1, digest)
    with pytest.raises(InputError) as caught:
        compare(folder, table)
    assert str(caught.value) == (
        "expected a SHA-256 (64 hexadecimal digits) or an MD5 (32) for images/00.jpg, got "
        f"{digest!r}."
    )


def test_a_file_that_vanishes_while_it_is_read_is_named(tmp_path):
    with pytest.raises(InputError) as caught:
        file_digest(tmp_path / "gone", "md5")
    assert str(caught.value) == f"could not read {tmp_path / 'gone'}: No such file or directory."


@pytest.mark.parametrize("num_bytes", [0, 1, (1 << 20) - 1, 1 << 20, 3_000_001])
def test_sums_are_those_of_the_library_and_every_byte_is_counted(tmp_path, num_bytes):
    data = os.urandom(num_bytes)
    (tmp_path / "f").write_bytes(data)
    counted = []
    assert file_digest(tmp_path / "f", "sha256", advance=counted.append) == sha256(data)
    assert file_digest(tmp_path / "f", "md5") == md5(data)
    assert sum(counted) == num_bytes


NUMBERS = st.sets(st.integers(0, 39))


@settings(deadline=None, max_examples=20)
@given(changed=NUMBERS, gone=NUMBERS, longer=NUMBERS)
def test_whatever_changes_is_found_and_nothing_else(changed, gone, longer):
    contents = {f"{number}": bytes([number]) * 9 for number in range(40)}
    table = {name: (len(data), md5(data)) for name, data in contents.items()}
    with tempfile.TemporaryDirectory() as folder:
        for number in set(range(40)) - gone:
            data = bytes([number ^ (number in changed)]) * (9 + (number in longer))
            (Path(folder) / f"{number}").write_bytes(data)
        found = compare(Path(folder), table, workers=3)
    assert set(found.missing) == {f"{number}" for number in gone}
    sizes = {f"{number} (expected 9 bytes, got 10)" for number in longer - gone}
    assert set(found.wrong_size) == sizes
    wrong = {each.split(" ")[0] for each in found.wrong_sum}
    assert wrong == {f"{number}" for number in changed - gone - longer}


def test_the_bar_counts_every_kib_of_the_files_that_are_read(folder, monkeypatch):
    bars = {}

    @contextlib.contextmanager
    def progress(name, total):
        bars[name, total] = done = []
        yield done.append

    monkeypatch.setattr(byte_progress_module, "progress", progress)
    sizes = [3_000_000, 1_500, 700]
    table = {}
    for number, size in enumerate(sizes):
        data = os.urandom(size)
        (folder / f"{number}").write_bytes(data)
        table[f"{number}"] = (size, sha256(data))
    verify(folder, table, remedy=REMEDY, workers=3)
    (((name, total), done),) = bars.items()
    assert (name, total) == (f"checking {folder.name} (KiB)", sum(sizes) // 1024)
    assert sum(done) == total


def test_files_are_counted_by_pattern(folder):
    (folder / "images/folder.jpg").mkdir()
    (folder / "lists").mkdir()
    (folder / "lists/train.txt").touch()
    verify_counts(folder, {"images/*.jpg": 12, "**/*.txt": 1, "**/*": 13}, remedy=REMEDY)


def test_every_pattern_with_another_number_is_named(folder):
    counts = {"images/*.jpg": 11_788, "images/0*.jpg": 10, "**/*.txt": 3, "x/*": 0}
    with pytest.raises(InputError) as caught:
        verify_counts(folder, counts, remedy=REMEDY)
    assert str(caught.value) == (
        f"expected all files of the data set in {folder}, got 12 of 11,788 matching images/*.jpg; "
        f"0 of 3 matching **/*.txt. {REMEDY}"
    )


def test_more_files_than_expected_are_told_too(folder):
    with pytest.raises(InputError, match=re.escape("got 12 of 3 matching images/*.jpg")):
        verify_counts(folder, {"images/*.jpg": 3}, remedy=REMEDY)
