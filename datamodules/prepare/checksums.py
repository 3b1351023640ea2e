"""Are the files of a data set all there, whole and unchanged?

A table names each file by its path below a folder, with its length in bytes and its sum: SHA-256,
or the MD5 that many official sites give. MD5 finds broken files, not forged ones.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from datamodules.errors import InputError
from datamodules.prepare.byte_progress import byte_progress

Algorithm = Literal["sha256", "md5"]
Table = Mapping[str, tuple[int, str]]
SHOWN: dict[Algorithm, str] = {"sha256": "SHA-256", "md5": "MD5"}
_ALGORITHMS: dict[int, Algorithm] = {64: "sha256", 32: "md5"}
_BLOCK = 1 << 20
_FEW = 5  # names in a message


@dataclass(frozen=True)
class Differences:
    """Files that are not as the table says; each tuple is sorted by path.

    Args:
        missing: files that are not there.
        wrong_size: files of another length: "path (expected 10 bytes, got 9)".
        wrong_sum: files of the right length and other bytes: "path (expected MD5 ..., got ...)".
    """

    missing: tuple[str, ...] = ()
    wrong_size: tuple[str, ...] = ()
    wrong_sum: tuple[str, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.missing or self.wrong_size or self.wrong_sum)

    def __str__(self) -> str:
        kinds = {
            "missing": self.missing,
            "of the wrong size": self.wrong_size,
            "with the wrong sum": self.wrong_sum,
        }
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


def compare(folder: Path, table: Table, *, workers: int | None = None) -> Differences:
    """How the files of a folder differ from a table; files it does not name are of no interest.

    Lengths are compared first, so only files of the right length are read, several at a time.

    Args:
        folder: where the table's paths begin.
        table: path below the folder, with "/" between its parts -> (bytes, sum).
        workers: files read at once; by default one for each processor.

    Raises:
        InputError: if a sum of the table is neither a SHA-256 nor an MD5, or a file cannot be read.
    """
    for path, (_, digest) in table.items():
        _algorithm(path, digest)  # a slip in the table is told before anything is read
    missing, wrong_size, to_read = [], [], []
    for path in sorted(table):
        expected, got = table[path][0], _size(folder / path)
        if got is None:
            missing.append(path)
        elif got != expected:
            wrong_size.append(f"{path} (expected {expected:,} bytes, got {got:,})")
        else:
            to_read.append(path)
    wrong_sum = []
    for path, digest in zip(to_read, _digests(folder, table, to_read, workers), strict=True):
        expected_digest = table[path][1]
        if digest != expected_digest.lower():
            name = _algorithm(path, expected_digest)
            wrong_sum.append(f"{path} (expected {SHOWN[name]} {expected_digest}, got {digest})")
    return Differences(tuple(missing), tuple(wrong_size), tuple(wrong_sum))


def verify(folder: Path, table: Table, *, remedy: str, workers: int | None = None) -> None:
    """Every file of the table is in the folder, whole and unchanged; see `compare`.

    Args:
        folder: where the table's paths begin.
        table: path below the folder -> (bytes, sum).
        remedy: what the user can do about it: the last sentence of the message.
        workers: files read at once; by default one for each processor.

    Raises:
        InputError: if a file is missing or differs; the message counts them by kind and names the
            first five of each.
    """
    if differences := compare(folder, table, workers=workers):
        raise InputError(
            f"expected {len(table):,} files as published in {folder}, got {differences}. {remedy}"
        )


def verify_counts(folder: Path, counts: Mapping[str, int], *, remedy: str) -> None:
    """The folder holds as many files of each pattern as expected.

    Args:
        folder: where the patterns begin.
        counts: pattern such as "images/*/*.jpg", or "**/*.jpg" for any depth -> number of files.
        remedy: what the user can do about it: the last sentence of the message.

    Raises:
        InputError: if a number differs; the message names every pattern that does.
    """
    found = {pattern: count_files(folder, pattern) for pattern in counts}
    wrong = [
        f"{found[pattern]:,} of {expected:,} matching {pattern}"
        for pattern, expected in counts.items()
        if found[pattern] != expected
    ]
    if wrong:
        raise InputError(
            f"expected all files of the data set in {folder}, got {'; '.join(wrong)}. {remedy}"
        )


def _digests(
    folder: Path, table: Table, paths: Sequence[str], workers: int | None
) -> Iterator[str]:
    """The sums of files in order, read by several threads: hashing needs no interpreter lock."""
    from concurrent.futures import ThreadPoolExecutor

    num_bytes = sum(table[path][0] for path in paths)
    with byte_progress(f"checking {folder.name}", num_bytes) as advance:

        def digest(path: str) -> str:
            return file_digest(folder / path, _algorithm(path, table[path][1]), advance=advance)

        pool = ThreadPoolExecutor(workers or os.cpu_count())
        try:
            yield from pool.map(digest, paths)
        finally:  # after a file that cannot be read, do not read the others first
            pool.shutdown(wait=False, cancel_futures=True)


def _algorithm(path: str, digest: str) -> Algorithm:
    algorithm = _ALGORITHMS.get(len(digest))
    if algorithm is None or not re.fullmatch(r"[0-9a-fA-F]+", digest):
        raise InputError(
            f"expected a SHA-256 (64 hexadecimal digits) or an MD5 (32) for {path}, got {digest!r}."
        )
    return algorithm


def _size(path: Path) -> int | None:
    """Length in bytes; None where there is no such file."""
    try:
        return path.stat().st_size if path.is_file() else None
    except OSError as error:
        raise _cannot_read(path, error) from None


def count_files(folder: Path, pattern: str) -> int:
    """How many files of a folder fit a pattern; see `verify_counts`."""
    return sum(path.is_file() for path in folder.glob(pattern))


def _first(names: tuple[str, ...]) -> str:
    return ", ".join(names[:_FEW]) + (", ..." if len(names) > _FEW else "")


def _cannot_read(path: Path, error: OSError) -> InputError:
    return InputError(f"could not read {path}: {error.strerror or error}.")
