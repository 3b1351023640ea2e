"""The files of a data set against a table of sums: what differs is counted and named."""

import contextlib
import hashlib
import os
import tempfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.prepare import Differences, compare, file_digest
from datamodules.prepare import byte_progress as byte_progress_module

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
        name: sha256(data) if number % 2 else md5(data).upper()
        for number, (name, data) in enumerate(CONTENTS.items())
    }


def test_whole_files_show_no_difference(folder, table):
    (folder / "images/not in the table.jpg").touch()
    assert compare(folder, table) == Differences()
    assert not compare(folder, table)


def test_each_kind_of_difference_is_counted_and_named(folder, table):
    for number in range(6):
        (folder / f"images/{number:02}.jpg").unlink()
    (folder / "images/00.jpg").mkdir()  # a folder is no file
    (folder / "images/07.jpg").write_bytes(b"short")
    (folder / "images/08.jpg").write_bytes(b"y" * 9)
    names = [f"images/{number:02}.jpg" for number in range(12)]
    assert str(compare(folder, table)) == (
        f"6 missing: {', '.join(names[:5])}, ...; 2 with the wrong sum: "
        f"{names[7]} (expected SHA-256 {sha256(bytes([7]) * 8)}, got {sha256(b'short')}), "
        f"{names[8]} (expected MD5 {md5(bytes([8]) * 9).upper()}, got {md5(b'y' * 9)})"
    )


def test_exactly_five_names_are_followed_by_no_dots(folder, table):
    for number in range(5):
        (folder / f"images/{number:02}.jpg").unlink()
    names = [f"images/{number:02}.jpg" for number in range(5)]
    assert str(compare(folder, table)) == f"5 missing: {', '.join(names)}"


def test_nothing_is_there_at_all(tmp_path, table):
    found = compare(tmp_path / "none", table)
    assert found == Differences(missing=tuple(CONTENTS))


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
    table = {f"{number}": md5(bytes([number]) * 9) for number in range(40)}
    with tempfile.TemporaryDirectory() as folder:
        for number in set(range(40)) - gone:
            data = bytes([number ^ (number in changed)]) * (9 + (number in longer))
            (Path(folder) / f"{number}").write_bytes(data)
        found = compare(Path(folder), table)
    assert set(found.missing) == {f"{number}" for number in gone}
    wrong = {each.split(" ")[0] for each in found.wrong_sum}
    assert wrong == {f"{number}" for number in (changed | longer) - gone}


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
        table[f"{number}"] = sha256(data)
    assert not compare(folder, table)
    (((name, total), done),) = bars.items()
    assert (name, total) == (f"checking {folder.name} (KiB)", sum(sizes) // 1024)
    assert sum(done) == total
