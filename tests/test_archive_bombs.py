"""Archives that hold more than they may, or than they say."""

import gzip
import struct
import tarfile
import zipfile

import pytest

from datamodules.prepare import archive_tar, extract
from tests.archive_files import (
    ENDINGS,
    FILES,
    NOTHING,
    archive_bytes,
    damaged,
    entry,
    put,
    refusal,
    tar_bytes,
    zip_bytes,
)


@pytest.mark.parametrize("ending", ENDINGS)
def test_more_bytes_than_allowed_are_refused_and_exactly_as_many_are_not(tmp_path, ending):
    archive = put(tmp_path, ending, archive_bytes(FILES.items(), ending))
    num_bytes = sum(map(len, FILES.values()))
    assert refusal(archive, max_bytes=num_bytes - 1) == (
        f"expected at most {num_bytes - 1:,} bytes out of {archive}, got more. {NOTHING}"
    )
    extract(archive, tmp_path / "out", max_bytes=num_bytes)


@pytest.mark.parametrize("ending", ENDINGS)
def test_more_members_than_allowed_are_refused_and_exactly_as_many_are_not(tmp_path, ending):
    archive = put(tmp_path, ending, archive_bytes(FILES.items(), ending))
    assert refusal(archive, max_files=2) == (
        f"expected at most 2 members in {archive}, got more. {NOTHING}"
    )
    extract(archive, tmp_path / "out", max_files=3)


@pytest.mark.parametrize("ending", ["zip", "tar.gz", "tgz", "gz"])
def test_a_bomb_is_refused_by_its_ratio(tmp_path, ending):
    bomb = bytes(20_000_000)
    data = gzip.compress(bomb) if ending == "gz" else archive_bytes([("zeros", bomb)], ending)
    archive = put(tmp_path, ending, data)
    assert refusal(archive) == (
        f"expected at most 100 times its own {len(data):,} bytes out of {archive}, got more: it "
        f"may be a bomb, made to fill the disk. {NOTHING}"
    )
    extract(archive, tmp_path / "out", max_ratio=2000)
    (file,) = (tmp_path / "out").iterdir()
    assert file.stat().st_size == len(bomb)


def test_a_few_kilobytes_may_be_packed_as_tightly_as_they_like(tmp_path):
    archive = put(tmp_path, "tar.gz", archive_bytes([("zeros", bytes(1_000_000))], "tar.gz"))
    assert archive.stat().st_size * 100 < 1_000_000
    extract(archive, tmp_path / "out")


def test_files_of_a_zip_that_share_their_bytes_are_counted_each(tmp_path):
    """A bomb after David Fifield (2019): many directory entries for one compressed file."""
    kernel = bytearray(zip_bytes([("a", bytes(2_000_000))]))
    begin, end = kernel.index(b"PK\x01\x02"), kernel.index(b"PK\x05\x06")
    entry_bytes, count = kernel[begin:end], 50
    entries = b"".join(entry_bytes for _ in range(count))
    tail = struct.pack("<4s4H2IH", b"PK\5\6", 0, 0, count, count, len(entries), begin, 0)
    archive = put(tmp_path, "zip", bytes(kernel[:begin]) + entries + tail)
    assert refusal(archive, max_ratio=1e9, max_bytes=99_999_999) == (
        f"expected at most 99,999,999 bytes out of {archive}, got more. {NOTHING}"
    )


def test_a_zip_that_says_less_than_it_holds_is_refused(tmp_path):
    data = zip_bytes([("a", bytes(5_000_000))])
    lie = data.replace(struct.pack("<I", 5_000_000), struct.pack("<I", 10))
    archive = put(tmp_path, "zip", lie)
    assert refusal(archive) == damaged(archive, "Bad CRC-32 for file 'a'")


def test_a_zip_that_says_more_than_it_holds_is_refused(tmp_path):
    data = zip_bytes([("a", b"abcde")], method=zipfile.ZIP_DEFLATED)
    lie = data.replace(struct.pack("<I", 5), struct.pack("<I", 6))
    archive = put(tmp_path, "zip", lie)
    assert refusal(archive) == damaged(archive, "5 of 6 bytes of 'a'")


def test_an_extended_header_of_any_length_is_not_held_in_memory(tmp_path):
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 500_000_000
    archive = put(tmp_path, "tar.gz", gzip.compress(info.tobuf(tarfile.USTAR_FORMAT) + bytes(9999)))
    assert refusal(archive, max_ratio=1e9) == damaged(
        archive, "an extended header of 500,000,000 bytes"
    )


def test_extended_headers_without_end_are_a_bomb_too(tmp_path):
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, 1 << 19
    record = b"524288 comment=".ljust((1 << 19) - 1, b"x") + b"\n"
    archive = put(tmp_path, "tar.gz", gzip.compress((info.tobuf() + record) * 5 + bytes(1024)))
    assert refusal(archive).startswith("expected at most 100 times its own ")


def test_what_follows_the_end_mark_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_tar, "_LONGEST_PADDING", 100_000)
    data = tar_bytes([entry("a", b"x")])
    archive = put(tmp_path, "tar.gz", gzip.compress(data + bytes(200_000)))
    assert refusal(archive) == damaged(archive, "more follows after its end mark")
    archive = put(tmp_path, "tar.gz", gzip.compress(data + bytes(50_000)))
    assert extract(archive, tmp_path / "out") == ("a",)
