"""No name in an archive leads out of the folder it is unpacked into."""

import tarfile

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from tests.archive_files import (
    ENDINGS,
    FILES,
    about,
    archive_bytes,
    entry,
    put,
    refusal,
    tar_bytes,
    unpack_safely,
    zip_bytes,
)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    ("name", "got"),
    [
        ("/etc/passwd", "an absolute path"),
        ("//x", "an absolute path"),
        ("../x", "a way up (..)"),
        ("top/../../x", "a way up (..)"),
        ("top/..", "a way up (..)"),
        ("C:/x", "a drive letter"),
        ("./c:x", "a drive letter"),
        ("C:\\x", "a backslash"),
        ("top\\..\\x", "a backslash"),
        ("top/a\nb", "a control character"),
        ("top/\x1b[31mred", "a control character"),
        ("x" * 256, "a name that is too long"),
        ("ä" * 128, "a name that is too long"),
        ("/".join("abcdefgh" * 20) * 4, "a name that is too long"),
    ],
)
@pytest.mark.parametrize("wanted", [None, ["top/a.txt"]])
def test_a_path_that_could_leave_the_folder_is_refused(tmp_path, ending, name, got, wanted):
    archive = put(tmp_path, ending, archive_bytes([*FILES.items(), (name, b"x")], ending))
    shown = name if len(name) <= 80 else f"{name[:77]}..."
    assert refusal(archive, members=wanted) == about(
        archive, shown, "a path inside the archive", got
    )


def test_a_zero_byte_does_not_hide_the_end_of_a_name(tmp_path):
    data = zip_bytes([("safe.txtZ/../../x", b"x")]).replace(b"safe.txtZ", b"safe.txt\0")
    assert refusal(put(tmp_path, "zip", data)) == about(
        tmp_path / "archive.zip",
        "safe.txt\0/../../x",
        "a path inside the archive",
        "a control character",
    )


def test_a_member_without_a_name_is_refused(tmp_path):
    archive = put(tmp_path, "tar", tar_bytes([entry("", b"x")]))
    assert refusal(archive) == about(archive, "", "a path inside the archive", "no name")


def test_names_in_another_encoding_are_refused(tmp_path):
    archive = put(tmp_path, "zip", zip_bytes([("ab.txt", b"")]).replace(b"ab.txt", b"\xe4b.txt"))
    assert refusal(archive) == about(archive, "Σb.txt", "a name in UTF-8", "another encoding")
    marked = zip_bytes([("ü.txt", b"")]).replace("ü".encode(), b"\xfc\xfc")
    archive = put(tmp_path, "zip", marked)
    assert refusal(archive).startswith(f"expected a whole archive in {archive}, got a file that")
    info, data = entry("ä.txt", b"x")
    stream = info.tobuf(tarfile.USTAR_FORMAT, "latin-1", "strict") + data.ljust(512, b"\0")
    archive = put(tmp_path, "tar", stream + bytes(1024))
    assert refusal(archive) == about(
        archive, "\udce4.txt", "a path inside the archive", "a name that is not UTF-8"
    )


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(
    "names", [("a", "a"), ("a", "./a"), ("a/b", "a"), ("a", "a/b"), ("a", "a/b/c"), ("a/b", "a//b")]
)
def test_a_path_that_is_there_twice_is_refused(tmp_path, ending, names):
    archive = put(tmp_path, ending, archive_bytes([(name, b"x") for name in names], ending))
    assert refusal(archive) == about(
        archive, names[1], "each path once", "a path that is taken already"
    )


NAMES = st.one_of(
    st.text(max_size=12),
    st.lists(
        st.sampled_from(["a", "b", "..", ".", "", "C:", "~", "\\", "\0", "ü", "._a", "x" * 99]),
        max_size=6,
    ).map("/".join),
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:Duplicate name")
@settings(deadline=None, max_examples=60)
@given(names=st.lists(NAMES, min_size=1, max_size=4), ending=st.sampled_from(["zip", "tar"]))
def test_whatever_the_names_nothing_leaves_the_folder(names, ending):
    if ending == "tar":
        entries = [
            entry(name.replace("\ud800", "?"), name.encode("utf-8", "replace")) for name in names
        ]
        data = tar_bytes(entries)
    else:
        data = zip_bytes([(name.replace("\ud800", "?"), b"x") for name in names])
    unpack_safely(ending, data)
