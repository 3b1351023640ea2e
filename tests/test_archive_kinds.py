"""Members of an archive that are neither a file nor a folder are refused."""

import tarfile
import zipfile

import pytest

from tests.archive_files import about, entry, put, refusal, tar_bytes, zip_bytes

LINKS = {
    tarfile.SYMTYPE: "a link",
    tarfile.LNKTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a device",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
    b"V": "an entry of type b'V'",
}


@pytest.mark.parametrize("type", LINKS)
@pytest.mark.parametrize("ending", ["tar", "tgz"])
def test_links_and_devices_in_a_tar_are_refused(tmp_path, type, ending):
    link = entry("top/link", type=type, linkname="../../outside")
    after = entry("top/link/x", b"x")
    archive = put(tmp_path, ending, tar_bytes([link, after], ending=ending))
    assert refusal(archive) == about(archive, "top/link", "a file or a folder", LINKS[type])


@pytest.mark.parametrize("target", ["a" * 90, "a" * 300])
def test_a_link_with_a_long_target_is_refused_in_a_gnu_tar(tmp_path, target):
    link = entry("link", type=tarfile.SYMTYPE, linkname=target)
    archive = put(tmp_path, "tar", tar_bytes([link], format=tarfile.GNU_FORMAT))
    assert refusal(archive) == about(archive, "link", "a file or a folder", "a link")


def test_a_sparse_file_of_the_new_kind_is_refused(tmp_path):
    sparse = entry(
        "x", b"x", pax_headers={"GNU.sparse.major": "1", "GNU.sparse.realsize": "9" * 15}
    )
    archive = put(tmp_path, "tar", tar_bytes([sparse]))
    assert refusal(archive) == about(archive, "x", "a file or a folder", "a sparse file")


@pytest.mark.parametrize(
    ("mode", "got"),
    [(0o120777, "a link"), (0o020666, "a device"), (0o060666, "a device"), (0o010666, "a device")],
)
def test_links_and_devices_in_a_zip_are_refused(tmp_path, mode, got):
    info = zipfile.ZipInfo("top/link")
    info.external_attr = mode << 16
    archive = put(tmp_path, "zip", zip_bytes([(info, b"../../outside")]))
    assert refusal(archive) == about(archive, "top/link", "a file or a folder", got)


@pytest.mark.parametrize("method", [zipfile.ZIP_BZIP2, zipfile.ZIP_LZMA])
def test_methods_that_unpack_a_block_of_any_length_at_once_are_refused(tmp_path, method):
    archive = put(tmp_path, "zip", zip_bytes([("x", b"x")], method=method))
    assert refusal(archive) == about(
        archive, "x", "a file or a folder", f"a file packed by method {method} (0 and 8 are read)"
    )


def test_an_encrypted_zip_is_refused(tmp_path):
    data = bytearray(zip_bytes([("x", b"x")]))
    data[data.index(b"PK\x01\x02") + 8] |= 1
    archive = put(tmp_path, "zip", bytes(data))
    assert refusal(archive) == about(archive, "x", "a file or a folder", "an encrypted file")


def test_a_folder_with_contents_is_refused(tmp_path):
    archive = put(tmp_path, "zip", zip_bytes([("x/", b"abc")]))
    assert refusal(archive) == about(archive, "x/", "a file or a folder", "a folder with 3 bytes")
