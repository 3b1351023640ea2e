"""Are the files of a data set all there, and unchanged?

A table names each file by its path below a folder, with its sum: SHA-256, or the MD5 that many
official sites give. MD5 finds broken files, not forged ones.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datamodules.errors import InputError
from datamodules.prepare.byte_progress import byte_progress

Algorithm = Literal["sha256", "md5"]
SHOWN: dict[Algorithm, str] = {"sha256": "SHA-256", "md5": "MD5"}
_ALGORITHMS: dict[int, Algorithm] = {64: "sha256", 32: "md5"}  # by digits of the sum
_BLOCK = 1 << 20
_FEW = 5  # names in a message


@dataclass(frozen=True)
class Differences:
    """Files that are not as the table says; each tuple is sorted by path.

    Args:
        missing: files that are not there.
        wrong_sum: files of other bytes: "path (expected MD5 ..., got ...)".
    """

    missing: tuple[str, ...] = ()
    wrong_sum: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.wrong_sum)

    def __str__(self) -> str:
        kinds = {"missing": self.missing, "with the wrong sum": self.wrong_sum}
        return "; ".join(
            f"{len(names):,} {kind}: {_first(names)}" for kind, names in kinds.items() if names
        )


def file_digest(
    path: Path, algorithm: Algorithm, *, advance: Callable[[int], None] | None = None
) -> str:
    """The sum of a file's bytes in hexadecimal digits: 64 for sha256, 32 for md5.

    Args:
        path: the file.
        algorithm: which sum.
        advance: called with the number of bytes after each block.

    Raises:
        InputError: if the file cannot be read.
    """
    digest = hashlib.new(algorithm, usedforsecurity=False)
    try:
        with path.open("rb") as stream:
            while block := stream.read(_BLOCK):
                digest.update(block)
                if advance:
                    advance(len(block))
    except OSError as error:
        raise _cannot_read(path, error) from None
    return digest.hexdigest()


def compare(folder: Path, table: Mapping[str, str]) -> Differences:
    """How the files of a folder differ from a table; files it does not name are of no interest.

    Several files are read at a time.

    Args:
        folder: where the table's paths begin.
        table: path below the folder, with "/" between its parts -> SHA-256 or MD5 in hexadecimal
            digits.

    Raises:
        InputError: if a file cannot be read.
    """
    sizes = {path: _size(folder / path) for path in sorted(table)}
    missing = tuple(path for path, size in sizes.items() if size is None)
    there = {path: size for path, size in sizes.items() if size is not None}
    wrong_sum = []
    for path, got in zip(there, _digests(folder, table, there), strict=True):
        if got != table[path].lower():
            name = SHOWN[_ALGORITHMS[len(table[path])]]
            wrong_sum.append(f"{path} (expected {name} {table[path]}, got {got})")
    return Differences(missing, tuple(wrong_sum))


def count_files(folder: Path, pattern: str) -> int:
    """How many files of a folder fit a pattern such as "images/*/*.jpg"; "**" is any depth."""
    return sum(path.is_file() for path in folder.glob(pattern))


def _digests(folder: Path, table: Mapping[str, str], sizes: Mapping[str, int]) -> Iterator[str]:
    """The sums of files in order, read by several threads: hashing needs no interpreter lock."""
    from concurrent.futures import ThreadPoolExecutor

    with byte_progress(f"checking {folder.name}", sum(sizes.values())) as advance:

        def digest(path: str) -> str:
            return file_digest(folder / path, _ALGORITHMS[len(table[path])], advance=advance)

        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            yield from pool.map(digest, sizes)
        finally:  # after a file that cannot be read, do not read the others first
            pool.shutdown(wait=False, cancel_futures=True)


def _size(path: Path) -> int | None:
    """Length in bytes; None where there is no such file."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise _cannot_read(path, error) from None


def _first(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_FEW]) + (", ..." if len(names) > _FEW else "")


def _cannot_read(path: Path, error: OSError) -> InputError:
    return InputError(f"could not read {path}: {error.strerror or error}.")
