"""Archives unpack whole or not at all, into a new folder or an empty one."""

import gzip
import io
import os
import random
import tarfile

import pytest

from datamodules.prepare import archive_members, extract
from tests.archive_files import (
    ENDINGS,
    FILES,
    NOTHING,
    about,
    archive_bytes,
    entry,
    put,
    refusal,
    tar_bytes,
    written,
    zip_bytes,
)


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
