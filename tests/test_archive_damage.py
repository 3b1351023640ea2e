"""Damaged archives are refused, or give the same contents."""

import gzip
import random
import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.archive_files import (
    ENDINGS,
    FILES,
    about,
    archive_bytes,
    damaged,
    entry,
    put,
    refusal,
    tar_bytes,
    unpack_safely,
)


@pytest.mark.parametrize(
    "record",
    [b"x", b"8 path=a", b"9 path=ab", b"99 path=a\n", b"7 path\n", b"-1 a=b\n", b"0 a=b\n"],
)
def test_an_extended_header_that_makes_no_sense_is_refused(tmp_path, record):
    info = tarfile.TarInfo("././@PaxHeader")
    info.type, info.size = tarfile.XHDTYPE, len(record)
    rest = tar_bytes([entry("a", b"x")])
    archive = put(tmp_path, "tar", info.tobuf() + record.ljust(512, b"\0") + rest)
    assert refusal(archive) == damaged(archive, "an extended header that makes no sense")


@pytest.mark.parametrize("size", ["-5", "x", "9" * 30, "1_0"])
def test_an_extended_length_that_is_no_number_is_refused(tmp_path, size):
    archive = put(tmp_path, "tar", tar_bytes([entry("a", b"x", pax_headers={"size": size})]))
    assert refusal(archive) == about(archive, "a", "a length in bytes", repr(size))


def test_a_negative_length_is_refused(tmp_path):
    buffer = bytearray(tarfile.TarInfo("a").tobuf(tarfile.USTAR_FORMAT))
    buffer[124:136] = b"\xff" * 12  # -1 in base 256
    buffer[148:156] = b" " * 8
    buffer[148:156] = b"%06o\0 " % sum(buffer)
    archive = put(tmp_path, "tar", bytes(buffer) + bytes(1024))
    assert refusal(archive) == damaged(archive, "a member of -1 bytes")


def test_a_damaged_header_in_the_middle_is_not_taken_for_the_end(tmp_path):
    data = bytearray(tar_bytes([entry("a", b"x"), entry("b", b"x")]))
    data[1024 + 3] ^= 1
    archive = put(tmp_path, "tar", bytes(data))
    with tarfile.open(archive) as library:
        assert library.getnames() == ["a"]  # which is why it is not used here
    assert refusal(archive) == damaged(archive, "bad checksum")


@pytest.mark.parametrize("ending", [*ENDINGS, "gz"])
def test_an_archive_cut_anywhere_is_refused(tmp_path, ending):
    files = [(name, data + random.Random(1).randbytes(700)) for name, data in FILES.items()]
    whole = gzip.compress(files[0][1]) if ending == "gz" else archive_bytes(files, ending)
    # The end mark is two blocks, then padding; without the second block a tar is still whole.
    last = 4 * 512 + 3 * 1024 if ending == "tar" else len(whole)
    for length in {*range(0, last, max(1, last // 60)), last - 1}:
        archive = put(tmp_path, ending, whole[:length])
        assert refusal(archive).startswith(damaged(archive, "")[:-80])


@pytest.mark.parametrize("ending", [*ENDINGS, "gz"])
def test_a_page_saved_in_place_of_an_archive_is_refused(tmp_path, ending):
    archive = put(tmp_path, ending, b"<!DOCTYPE html><p>Please log in" * 50)
    assert refusal(archive).startswith(f"expected a whole archive in {archive}, got a file that is")


CONTENTS = {ending: {name: data * 3 for name, data in FILES.items()} for ending in ENDINGS}
CONTENTS["gz"] = {"archive": b"text " * 99}
WHOLE = {ending: archive_bytes(CONTENTS[ending].items(), ending) for ending in ENDINGS}
WHOLE["gz"] = gzip.compress(b"text " * 99)
CHANGES = st.lists(
    st.tuples(st.floats(0, 1), st.integers(0, 6), st.binary(max_size=6)), min_size=1, max_size=4
)


@settings(deadline=None, max_examples=100)
@given(ending=st.sampled_from(sorted(WHOLE)), changes=CHANGES)
def test_changed_bytes_give_the_same_contents_or_a_clean_refusal(ending, changes):
    data = WHOLE[ending]
    for place, length, piece in changes:
        begin = int(place * len(data))
        data = data[:begin] + piece + data[begin + length :]
    files = unpack_safely(ending, data)
    if files is not None and ending == "zip":  # each file carries a sum, its name none
        assert set(files.values()) <= set(CONTENTS["zip"].values())
    elif files is not None and ending != "tar":  # the whole carries a sum; a plain tar has none
        assert files == CONTENTS[ending]
