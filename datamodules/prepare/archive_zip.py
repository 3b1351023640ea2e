"""The members of a zip file."""

from __future__ import annotations

import stat
import zipfile
from collections.abc import Generator, Iterator
from pathlib import Path

from datamodules.prepare.archive_members import BLOCK, Budget, Member, bad_member, damage_told
from datamodules.prepare.byte_progress import byte_progress

_IS_UTF8, _IS_ENCRYPTED = 1 << 11, 1 << 0  # bits of a member's flags
# The other methods unpack a whole block at once, however large: a bomb for the memory.
_METHODS = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)


def zip_members(archive: Path, budget: Budget) -> Generator[Member, None, None]:
    """Yield the members of a zip file; all lengths are judged before the first is unpacked.

    Raises:
        InputError: if the file is damaged, or holds a link, a device, an encrypted file or a bomb.
    """
    with damage_told(archive):
        opened = zipfile.ZipFile(archive)
    with opened:
        for info in opened.infolist():
            budget.declare(info.file_size)
        num_bytes = sum(info.file_size for info in opened.infolist())
        with byte_progress(f"unpacking {archive.name}", num_bytes) as advance:
            for info in opened.infolist():
                name = _name(archive, info)
                _check_kind(archive, name, info)
                blocks = _blocks(archive, opened, info)
                yield Member(name, name.endswith("/"), info.file_size, blocks)
                advance(info.file_size)


def _name(archive: Path, info: zipfile.ZipInfo) -> str:
    """The whole name: `filename` ends at a zero byte, and reads names without a flag as cp437."""
    name = info.orig_filename
    if info.flag_bits & _IS_UTF8:
        return name
    try:  # many programs write UTF-8 and do not say so
        return name.encode("cp437").decode()
    except UnicodeError:
        raise bad_member(archive, name, "a name in UTF-8", "another encoding") from None


def _check_kind(archive: Path, name: str, info: zipfile.ZipInfo) -> None:
    kind = stat.S_IFMT(info.external_attr >> 16)  # 0 where it was not packed under Unix
    expected, got = "a file or a folder", ""
    if stat.S_ISLNK(kind):
        got = "a link"
    elif kind not in (0, stat.S_IFREG, stat.S_IFDIR):
        got = "a device"
    elif info.flag_bits & _IS_ENCRYPTED:
        got = "an encrypted file"
    elif info.compress_type not in _METHODS:
        got = f"a file packed by method {info.compress_type} (0 and 8 are read)"
    elif name.endswith("/") and info.file_size:
        got = f"a folder with {info.file_size:,} bytes"
    if got:
        raise bad_member(archive, name, expected, got)


def _blocks(archive: Path, opened: zipfile.ZipFile, info: zipfile.ZipInfo) -> Iterator[bytes]:
    with damage_told(archive), opened.open(info) as stream:
        while block := stream.read(BLOCK):
            yield block
