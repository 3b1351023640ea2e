"""Archives unpack whole or not at all, and never outside their folder."""

import gzip
import io
import os
import random
import struct
import tarfile
import tempfile
import zipfile
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from datamodules.errors import InputError
from datamodules.prepare import archive_members, archive_tar, extract

NOTHING = "Nothing was unpacked. Get the archive again from its official address."
FILES = {"top/a.txt": b"first", "top/lists/b.txt": b"", "top/lists/deep/c.bin": bytes(range(256))}
ENDINGS = ("zip", "tar", "tar.gz", "tgz")


def entry(name, data=b"", *, type=tarfile.REGTYPE, **fields):
    info = tarfile.TarInfo(name)
    info.size, info.type = len(data), type
    for field, value in fields.items():
        setattr(info, field, value)
    return info, data


def tar_bytes(entries, *, format=tarfile.PAX_FORMAT, ending="tar"):
    stream = io.BytesIO()
    with tarfile.open(fileobj=stream, mode="w", format=format) as archive:
        for info, data in entries:
            archive.addfile(info, io.BytesIO(data))
    return gzip.compress(stream.getvalue()) if ending.endswith("gz") else stream.getvalue()


def zip_bytes(members, *, method=zipfile.ZIP_DEFLATED):
    """A zip of (name or ZipInfo, data); names are written as they are."""
    stream = io.BytesIO()
    with zipfile.ZipFile(stream, "w", method) as archive:
        for name, data in members:
            info = name if isinstance(name, zipfile.ZipInfo) else zipfile.ZipInfo("x")
            if info is not name:
                info.filename, info.compress_type = name, method
            archive.writestr(info, data)
    return stream.getvalue()


def archive_bytes(files, ending):
    if ending == "zip":
        return zip_bytes(files)
    return tar_bytes([entry(name, data) for name, data in files], ending=ending)


def written(folder):
    return {
        path.relative_to(folder).as_posix(): path.read_bytes()
        for path in folder.rglob("*")
        if path.is_file()
    }


def put(tmp_path, ending, data):
    path = tmp_path / f"archive.{ending}"
    path.write_bytes(data)
    return path


def refusal(archive, **kwargs):
    """The message, once it is sure that nothing came of the archive anywhere."""
    before = sorted(path for path in archive.parent.rglob("*") if path.name != ".lock-out")
    with pytest.raises(InputError) as caught:
        extract(archive, archive.parent / "out", **kwargs)
    after = sorted(path for path in archive.parent.rglob("*") if path.name != ".lock-out")
    assert after == before
    return str(caught.value)


def about(archive, name, expected, got):
    return f"{archive}, member {name!r}: expected {expected}, got {got}. {NOTHING}"


@pytest.mark.parametrize("ending", [*ENDINGS, "ZIP", "TAR.GZ"])
def test_every_kind_of_archive_gives_back_its_files(tmp_path, ending):
    archive = put(tmp_path, ending, archive_bytes(FILES.items(), ending.lower()))
    assert extract(archive, tmp_path / "new/out") == tuple(FILES)
    assert written(tmp_path / "new/out") == FILES
    assert {path.name for path in (tmp_path / "new").iterdir()} == {"out", ".lock-out"}


@pytest.mark.parametrize(
    "format", [tarfile.PAX_FORMAT, tarfile.GNU_FORMAT, tarfile.USTAR_FORMAT]
)  # fmt: skip
def test_long_and_foreign_names_come_back_from_every_kind_of_tar(tmp_path, format):
    names = ["a" * 60 + "/" + "b" * 90, "./top/./a//b"]
    if format != tarfile.USTAR_FORMAT:
        names += ["ü/" + "漢" * 50, "x" * 255]
    entries = [entry(name, name.encode()) for name in names]
    entries.append(entry("folder/", type=tarfile.DIRTYPE))
    archive = put(tmp_path, "tar", tar_bytes(entries, format=format))
    extract(archive, tmp_path / "out")
    expected = {name.replace("./top/./a//b", "top/a/b"): name.encode() for name in names}
    assert written(tmp_path / "out") == expected
    assert (tmp_path / "out/folder").is_dir()


def test_a_common_header_holds_for_all_members_that_follow(tmp_path):
    def with_common(headers):
        stream = io.BytesIO()
        with tarfile.open(
            fileobj=stream, mode="w", format=tarfile.PAX_FORMAT, pax_headers=headers
        ) as archive:
            for info, data in (entry("a", b"1"), entry("b", b"2")):
                archive.addfile(info, io.BytesIO(data))
        return put(tmp_path, "tar", stream.getvalue())

    assert extract(with_common({"comment": "as git archive does"}), tmp_path / "0") == ("a", "b")
    archive = with_common({"path": "one"})
    assert refusal(archive) == about(
        archive, "one", "each path once", "a path that is taken already"
    )


def test_a_name_in_utf8_is_read_whether_the_zip_says_so_or_not(tmp_path):
    said = zip_bytes([("ü.txt", b"1")])
    unsaid = said.replace(b"\x00\x08", b"\x00\x00")  # the flag, in both headers
    assert said != unsaid
    for number, data in enumerate((said, unsaid)):
        archive = put(tmp_path, "zip", data)
        assert extract(archive, tmp_path / f"out{number}") == ("ü.txt",)


def test_a_gz_file_becomes_the_file_it_packs(tmp_path):
    data = random.Random(0).randbytes(3_000_000)
    archive = tmp_path / "table.csv.gz"
    archive.write_bytes(gzip.compress(data[:1_000_000]) + gzip.compress(data[1_000_000:]))
    assert extract(archive, tmp_path / "out") == ("table.csv",)
    assert (tmp_path / "out/table.csv").read_bytes() == data


@pytest.mark.parametrize("ending", ENDINGS)
def test_one_top_folder_is_left_out_on_request(tmp_path, ending):
    archive = put(tmp_path, ending, archive_bytes(FILES.items(), ending))
    extract(archive, tmp_path / "out", strip=True)
    assert written(tmp_path / "out") == {name[4:]: data for name, data in FILES.items()}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("stray", ["beside.txt", "other/x"])
def test_two_tops_cannot_be_left_out(tmp_path, ending, stray):
    archive = put(tmp_path, ending, archive_bytes([*FILES.items(), (stray, b"")], ending))
    assert refusal(archive, strip=True) == about(
        archive, stray, "a path in the one folder top", "another"
    )
    extract(archive, tmp_path / "out", strip=True, members=["top/*"])
    assert set(written(tmp_path / "out")) == {name[4:] for name in FILES}


@pytest.mark.parametrize("ending", ENDINGS)
def test_only_the_members_asked_for_are_unpacked(tmp_path, ending):
    archive = put(tmp_path, ending, archive_bytes(FILES.items(), ending))
    assert extract(archive, tmp_path / "out", members=["top/a.txt", "*.bin"]) == (
        "top/a.txt",
        "top/lists/deep/c.bin",
    )
    assert set(written(tmp_path / "out")) == {"top/a.txt", "top/lists/deep/c.bin"}


def test_folders_come_with_their_files_only_where_members_are_asked_for(tmp_path):
    entries = [entry("top/empty/", type=tarfile.DIRTYPE), entry("top/a", b"x")]
    archive = put(tmp_path, "tar", tar_bytes(entries))
    extract(archive, tmp_path / "all")
    assert (tmp_path / "all/top/empty").is_dir()
    extract(archive, tmp_path / "some", members=["top/*"])
    assert os.listdir(tmp_path / "some/top") == ["a"]


@pytest.mark.parametrize("ending", ENDINGS)
def test_a_pattern_that_fits_nothing_is_named(tmp_path, ending):
    archive = put(tmp_path, ending, archive_bytes(FILES.items(), ending))
    assert refusal(archive, members=["top/a.txt", "none/*", "x"]) == (
        f"expected files that fit none/*, x in {archive}, got none. {NOTHING}"
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_what_macos_adds_is_left_out(tmp_path, ending):
    extra = [("__MACOSX/top/._a.txt", b"m"), ("top/._a.txt", b"m"), ("._top", b"m")]
    archive = put(tmp_path, ending, archive_bytes([*extra, *FILES.items()], ending))
    extract(archive, tmp_path / "out", strip=True)
    assert written(tmp_path / "out") == {name[4:]: data for name, data in FILES.items()}


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


@pytest.mark.filterwarnings("ignore:Duplicate name")
@pytest.mark.parametrize("ending", ENDINGS)
def test_a_folder_may_be_named_twice(tmp_path, ending):
    folder = ("d/", b"")
    members = [folder, ("d/a", b"1"), folder]
    if ending == "zip":
        data = zip_bytes(members)
    else:
        kinds = [tarfile.DIRTYPE, tarfile.REGTYPE, tarfile.DIRTYPE]
        entries = [entry(*each, type=kind) for each, kind in zip(members, kinds, strict=True)]
        data = tar_bytes(entries, ending=ending)
    archive = put(tmp_path, ending, data)
    assert extract(archive, tmp_path / "out") == ("d/a",)


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


def damaged(archive, reason):
    return (
        f"expected a whole archive in {archive}, got a file that is cut short, damaged or of "
        f"another kind ({reason}). {NOTHING}"
    )


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


def test_what_follows_the_end_mark_is_bounded(tmp_path, monkeypatch):
    monkeypatch.setattr(archive_tar, "_LONGEST_PADDING", 100_000)
    data = tar_bytes([entry("a", b"x")])
    archive = put(tmp_path, "tar.gz", gzip.compress(data + bytes(200_000)))
    assert refusal(archive) == damaged(archive, "more follows after its end mark")
    archive = put(tmp_path, "tar.gz", gzip.compress(data + bytes(50_000)))
    assert extract(archive, tmp_path / "out") == ("a",)


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


@pytest.mark.parametrize("ending", ENDINGS)
def test_an_archive_without_files_is_refused(tmp_path, ending):
    archive = put(tmp_path, ending, archive_bytes([], ending))
    assert refusal(archive) == f"expected files in {archive}, got none. {NOTHING}"


def test_missing_archives_and_other_kinds_are_told(tmp_path):
    archive = tmp_path / "none.zip"
    assert refusal(archive) == (
        f"expected an archive at {archive}, found no such file. Download it first, or put it there "
        "by hand."
    )
    archive = put(tmp_path, "rar", b"Rar!")
    assert refusal(archive) == (
        "expected an archive that ends in .zip, .tar, .tar.gz, .tgz, .gz, got "
        f"{archive}. Unpack it by hand."
    )


@pytest.mark.parametrize("is_file", [False, True])
def test_a_folder_that_holds_something_is_not_touched(tmp_path, is_file):
    archive = put(tmp_path, "zip", zip_bytes([("a", b"x")]))
    out = tmp_path / "out"
    if is_file:
        out.write_text("mine")
    else:
        out.mkdir()
        (out / "mine").write_text("mine")
    assert refusal(archive) == (
        f"expected a new or empty folder at {out} to unpack archive.zip into, got one that holds "
        "something. Move that away or name another folder; nothing was changed."
    )


def test_an_empty_folder_and_a_linked_one_are_filled(tmp_path):
    archive = put(tmp_path, "zip", zip_bytes([("a", b"x")]))
    (tmp_path / "disk/out").mkdir(parents=True)
    (tmp_path / "link").symlink_to(tmp_path / "disk/out")
    extract(archive, tmp_path / "link")
    assert (tmp_path / "link").is_symlink()
    assert written(tmp_path / "disk/out") == {"a": b"x"}


def test_rights_are_not_taken_over(tmp_path):
    archive = put(tmp_path, "tar", tar_bytes([entry("a", b"x", mode=0o6777)]))
    extract(archive, tmp_path / "out")
    assert (tmp_path / "out/a").stat().st_mode & 0o7111 == 0


def test_a_full_disk_leaves_nothing(tmp_path, monkeypatch):
    archive = put(tmp_path, "tar", tar_bytes([entry("a", b"x"), entry("b", b"y" * 100)]))

    def take(self, num_bytes):
        if num_bytes == 100:
            raise OSError(28, os.strerror(28))

    monkeypatch.setattr(archive_members.Budget, "take", take)
    assert refusal(archive) == (
        f"could not write {tmp_path / 'out'}: No space left on device. Nothing that was there "
        "before is lost. Free space or choose a folder you may write to, then run the command "
        "again."
    )


NAMES = st.one_of(
    st.text(max_size=12),
    st.lists(
        st.sampled_from(["a", "b", "..", ".", "", "C:", "~", "\\", "\0", "ü", "._a", "x" * 99]),
        max_size=6,
    ).map("/".join),
)  # fmt: skip


def unpack_safely(ending, data):
    """Unpack; only an InputError may come of it, and nothing may lie anywhere but in the folder."""
    with tempfile.TemporaryDirectory() as top:
        inner = Path(top).resolve() / "1/2/3"
        inner.mkdir(parents=True)
        archive = put(inner, ending, data)
        out, error = inner / "out", None
        try:
            paths = extract(archive, out, max_bytes=10_000_000)
        except InputError as caught:
            error = caught
        outside = {
            path.relative_to(inner).as_posix() if path.is_relative_to(inner) else str(path)
            for path in Path(top).resolve().rglob("*")
            if path not in (inner, *inner.parents) and out not in (path, *path.parents)
        }
        assert outside <= {archive.name, ".lock-out"}
        if error:
            assert str(error).isprintable()
            assert not out.exists()
            return None
        assert set(written(out)) == set(paths)
        assert not any(path.is_symlink() for path in out.rglob("*"))
        return written(out)


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
