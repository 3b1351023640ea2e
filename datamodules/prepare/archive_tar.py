"""The members of a tar file, plain or compressed, read once from front to back.

The standard library's reader takes a damaged header for the end of the archive, says nothing of a
missing end, and holds extended headers of any length in memory. So it parses only single headers
(`tarfile.TarInfo.frombuf`); this file walks from one to the next:

    header (512 bytes), contents padded to 512 ... header, contents ... a block of zeros, padding
"""

from __future__ import annotations

import gzip
import re
import tarfile
from collections import deque
from collections.abc import Callable, Generator, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import IO, cast

from datamodules.prepare.archive_members import (
    BLOCK,
    Budget,
    Member,
    bad_member,
    broken,
    damage_told,
)
from datamodules.prepare.byte_progress import byte_progress

_HEADER = tarfile.BLOCKSIZE
_LONGEST_EXTENSION = 1 << 20  # bytes of one extended header: a path, times, attributes of macOS
_LONGEST_PADDING = 16 << 20  # bytes after the end mark: tapes had records of up to some MiB
_FILES = (tarfile.REGTYPE, tarfile.AREGTYPE, tarfile.CONTTYPE)
_EXTENSIONS = (
    tarfile.XHDTYPE,
    tarfile.SOLARIS_XHDTYPE,
    tarfile.XGLTYPE,
    tarfile.GNUTYPE_LONGNAME,
    tarfile.GNUTYPE_LONGLINK,
)
_KINDS = {
    tarfile.LNKTYPE: "a link",
    tarfile.SYMTYPE: "a link",
    tarfile.CHRTYPE: "a device",
    tarfile.BLKTYPE: "a device",
    tarfile.FIFOTYPE: "a device",
    tarfile.GNUTYPE_SPARSE: "a sparse file",
}


class _Stream:
    """The unpacked bytes of an archive, with a bar over the packed ones."""

    def __init__(self, archive: Path, raw: IO[bytes], advance: Callable[[int], None]) -> None:
        self.archive = archive
        self._raw, self._advance, self._position = raw, advance, 0
        packed = archive.name.lower().endswith("gz")
        self._stream = cast("IO[bytes]", gzip.GzipFile(fileobj=raw)) if packed else raw

    def read(self, num_bytes: int) -> bytes:
        """At most this many bytes; none at the end."""
        with damage_told(self.archive):
            block = self._stream.read(num_bytes)
            position = self._raw.tell()
        self._advance(position - self._position)
        self._position = position
        return block

    def blocks(self, num_bytes: int) -> Iterator[bytes]:
        """Exactly this many bytes; then the padding is passed over."""
        yield from self._exactly(num_bytes)
        deque(self._exactly(-num_bytes % _HEADER), maxlen=0)

    def _exactly(self, num_bytes: int) -> Iterator[bytes]:
        while num_bytes:
            block = self.read(min(num_bytes, BLOCK))
            if not block:
                raise broken(self.archive, f"it ends {num_bytes:,} bytes too early")
            num_bytes -= len(block)
            yield block

    def rest(self) -> Iterator[bytes]:
        """Whatever is left."""
        while block := self.read(BLOCK):
            yield block


def gz_members(archive: Path, budget: Budget) -> Generator[Member, None, None]:
    """Yield the one file of a .gz archive, which is named like it without the ending.

    Raises:
        InputError: if the archive is damaged.
    """
    budget.declare(0)
    if not archive.stat().st_size:
        raise broken(archive, "it is empty")
    with _opened(archive) as stream:
        yield Member(archive.name[: -len(".gz")], False, None, stream.rest())


def tar_members(archive: Path, budget: Budget) -> Generator[Member, None, None]:
    """Yield the members of a .tar, .tar.gz or .tgz archive.

    Raises:
        InputError: if the archive is damaged or has no end, or holds a link, a device or a bomb.
    """
    with _opened(archive) as stream:
        common: dict[str, str] = {}  # extended headers of all members that follow, and of the next
        own: dict[str, str] = {}
        while header := _header(stream):
            if header.type in _EXTENSIONS:
                extension = _extension(stream, header, budget)
                (common if header.type == tarfile.XGLTYPE else own).update(extension)
                continue
            name, size = _name_and_size(archive, header, {**common, **own})
            own = {}
            budget.declare(size)
            contents = stream.blocks(size)
            yield Member(name, header.isdir(), size, contents)
            deque(contents, maxlen=0)  # what the caller left unread
        _pass_padding(stream)


@contextmanager
def _opened(archive: Path) -> Iterator[_Stream]:
    num_bytes = archive.stat().st_size
    with archive.open("rb") as raw, byte_progress(f"unpacking {archive.name}", num_bytes) as bar:
        yield _Stream(archive, raw, bar)


def _header(stream: _Stream) -> tarfile.TarInfo | None:
    """The next header; None at the end mark."""
    block = b"".join(stream.blocks(_HEADER))
    if not any(block):
        return None
    try:
        header = tarfile.TarInfo.frombuf(block, "utf-8", "surrogateescape")
    except (tarfile.HeaderError, ValueError) as error:
        raise broken(stream.archive, error) from None
    if header.size < 0:
        raise broken(stream.archive, f"a member of {header.size:,} bytes")
    return header


def _extension(stream: _Stream, header: tarfile.TarInfo, budget: Budget) -> dict[str, str]:
    """What an extended header says about the path and the length of the next member."""
    budget.take(_HEADER + header.size)
    if header.size > _LONGEST_EXTENSION:
        raise broken(stream.archive, f"an extended header of {header.size:,} bytes")
    contents = b"".join(stream.blocks(header.size))
    if header.type == tarfile.GNUTYPE_LONGLINK:
        return {}  # the link itself is refused
    if header.type == tarfile.GNUTYPE_LONGNAME:
        return {"path": _decoded(contents.partition(b"\0")[0])}
    return _pax_records(stream.archive, contents)


def _pax_records(archive: Path, contents: bytes) -> dict[str, str]:
    """Records of a POSIX extended header: length of the record, blank, key, "=", value, newline."""
    records, begin = {}, 0
    while begin < len(contents):
        digits = re.compile(rb"[0-9]{1,9} ").match(contents, begin)
        end = begin + int(digits[0]) if digits else 0
        key, equals, value = contents[digits.end() if digits else 0 : end - 1].partition(b"=")
        if not equals or contents[end - 1 : end] != b"\n":
            raise broken(archive, "an extended header that makes no sense")
        records[_decoded(key)] = _decoded(value)
        begin = end
    return records


def _name_and_size(
    archive: Path, header: tarfile.TarInfo, extended: dict[str, str]
) -> tuple[str, int]:
    """The member's path and its length in bytes, which extended headers may override."""
    name = extended.get("path", header.name)
    kind = _KINDS.get(header.type)
    if any(key.startswith("GNU.sparse") for key in extended):
        kind = _KINDS[tarfile.GNUTYPE_SPARSE]
    if not kind and not header.isdir() and header.type not in _FILES:
        kind = f"an entry of type {header.type!r}"
    if kind:
        raise bad_member(archive, name, "a file or a folder", kind)
    size = extended.get("size", str(header.size))
    if not re.fullmatch("[0-9]{1,18}", size):
        raise bad_member(archive, name, "a length in bytes", repr(size[:80]))
    return name, 0 if header.isdir() else int(size)


def _decoded(text: bytes) -> str:
    return text.decode("utf-8", "surrogateescape")  # a wrong letter is found with the path's faults


def _pass_padding(stream: _Stream) -> None:
    """Read to the end, where a compressed archive has its own checksum."""
    left = _LONGEST_PADDING
    for block in stream.rest():
        left -= len(block)
        if left < 0:
            raise broken(stream.archive, "more follows after its end mark")
