"""Files that are either whole or absent: atomic writes, hashes, canonical JSON.

A write goes to a temporary name in the same folder, is flushed to the disk, then renamed. A process
killed in between leaves the previous file as it was; temporary names start with ``.partial-`` and
are removed by the next write of the same target. Where two processes may want to make the same
thing at once, `locked` lets one of them wait.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import json
import os
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from datamodules.errors import InputError

_PARTIAL = ".partial-"


def sha256_file(path: Path) -> str:
    """SHA-256 of a file's bytes, as 64 hexadecimal digits."""
    digest = hashlib.sha256()
    with path.open("rb") as stream:
        while block := stream.read(1 << 20):
            digest.update(block)
    return digest.hexdigest()


def file_size(path: Path) -> int:
    """Length of a file in bytes; -1 where there is none."""
    return path.stat().st_size if path.is_file() else -1


def canonical_json(value: Any) -> str:
    """JSON with sorted keys and two-space indent: equal values give equal bytes.

    Raises:
        ValueError: if a number is not finite.
    """
    return json.dumps(value, indent=2, sort_keys=True, ensure_ascii=False, allow_nan=False) + "\n"


_COMPACT = json.JSONEncoder(sort_keys=True, ensure_ascii=False, allow_nan=False)


def json_lines(value: Any, *, depth: int) -> str:
    """JSON with sorted keys, indented down to a depth; what is deeper stands on one line each.

    Args:
        value: what `json.dumps` takes.
        depth: levels of objects and arrays whose entries get lines of their own.

    Raises:
        ValueError: if a number is not finite.
    """
    return "".join(_lines(value, depth, "\n")) + "\n"


def _lines(value: Any, depth: int, newline: str) -> Iterator[str]:
    if not depth or not isinstance(value, dict | list) or not value:
        yield _COMPACT.encode(value)
        return
    inner = newline + "  "
    if isinstance(value, dict):
        entries = [
            (f"{json.dumps(key, ensure_ascii=False)}: ", value[key]) for key in sorted(value)
        ]
    else:
        entries = [("", item) for item in value]
    for number, (before, item) in enumerate(entries):
        yield ("," if number else "{" if isinstance(value, dict) else "[") + inner + before
        yield from _lines(item, depth - 1, inner)
    yield newline + ("}" if isinstance(value, dict) else "]")


def sha256_json(value: Any) -> str:
    """SHA-256 of `canonical_json(value)`."""
    return hashlib.sha256(canonical_json(value).encode()).hexdigest()


def read_json(path: Path) -> Any:
    """Parse a JSON file.

    Raises:
        InputError: if the file is missing or is not JSON; the message names file and line.
    """
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise InputError(f"expected a JSON file at {path}, found none.") from None
    except OSError as error:
        raise InputError(f"could not read {path}: {error.strerror or error}.") from None
    except (json.JSONDecodeError, UnicodeDecodeError, RecursionError) as error:
        line = getattr(error, "lineno", 1)
        raise InputError(f"expected JSON in {path}, line {line} is not ({error}).") from None


def write_bytes(path: Path, data: bytes) -> None:
    """Write `data` to `path` atomically, creating parent folders.

    Raises:
        InputError: if the disk is full or the folder cannot be written; `path` is left as it was.
    """
    partial = _partial(path)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with partial.open("wb") as stream:
            stream.write(data)
            stream.flush()
            os.fsync(stream.fileno())
        os.replace(partial, path)
    except OSError as error:
        with suppress(OSError):  # its folder may be no folder at all
            partial.unlink(missing_ok=True)
        raise cannot_write(path, error) from error


def write_text(path: Path, text: str) -> None:
    """Write UTF-8 text atomically; see `write_bytes`."""
    write_bytes(path, text.encode())


def write_json(path: Path, value: Any) -> None:
    """Write canonical JSON atomically; see `write_bytes`."""
    write_text(path, canonical_json(value))


@contextmanager
def new_folder(path: Path) -> Iterator[Path]:
    """Fill a folder under a temporary name, then put it in the place of `path`.

    Yields the temporary folder. If the block raises, the temporary folder goes and `path` stays.

    Raises:
        InputError: if the disk is full or the folder cannot be written.
    """
    partial, old = _partial(path), path.with_name(f".old-{path.name}")
    if old.exists() and not path.exists():  # killed between the two renames of an earlier write
        os.replace(old, path)
    shutil.rmtree(partial, ignore_errors=True)
    try:
        partial.mkdir(parents=True)
        yield partial
        _sync(partial)
        shutil.rmtree(old, ignore_errors=True)
        if path.exists():
            os.replace(path, old)
        os.replace(partial, path)
        shutil.rmtree(old, ignore_errors=True)
    except OSError as error:
        if old.exists() and not path.exists():
            os.replace(old, path)
        raise cannot_write(path, error) from error
    finally:
        shutil.rmtree(partial, ignore_errors=True)


@contextmanager
def locked(path: Path) -> Iterator[None]:
    """Hold the right to make `path`; another process that asks for it waits until this one is done.

    After the wait, look again whether `path` is still to be made. The lock is the empty file
    ``.lock-<name>`` beside it; the system frees it when its process ends, however it ends.

    Raises:
        InputError: if the lock cannot be written.
    """
    lock = path.with_name(f".lock-{path.name}")
    try:
        lock.parent.mkdir(parents=True, exist_ok=True)
        stream = lock.open("w")
    except OSError as error:
        raise cannot_write(lock, error) from error
    with stream:
        fcntl.flock(stream, fcntl.LOCK_EX)
        yield


def check_place(path: Path) -> None:
    """Check that a file can be written at `path`, before hours go into making it; writes nothing.

    Raises:
        InputError: if there is a folder of that name, or no file can be made in its folder.
    """
    if path.is_dir():
        raise cannot_write(path, IsADirectoryError(errno.EISDIR, os.strerror(errno.EISDIR)))
    nearest = next(parent for parent in path.absolute().parents if parent.exists())
    for number, wrong in (
        (errno.ENOTDIR, not nearest.is_dir()),
        (errno.EACCES, not os.access(nearest, os.W_OK)),
    ):
        if wrong:
            raise cannot_write(path, OSError(number, os.strerror(number)))


def cannot_write(path: Path, error: OSError) -> InputError:
    """The user's message for a failed write: which path, why, what to do."""
    return InputError(
        f"could not write {path}: {error.strerror or error}. Nothing that was there before is "
        "lost. Free space or choose a folder you may write to, then run the command again."
    )


def _partial(path: Path) -> Path:
    return path.with_name(f"{_PARTIAL}{path.name}")


def _sync(folder: Path) -> None:
    """Flush every file to the disk, many at once: one by one, each would wait for its own turn."""

    def flush(file: Path) -> None:
        with file.open("rb") as stream:
            os.fsync(stream.fileno())

    with ThreadPoolExecutor(16) as pool:
        list(pool.map(flush, [file for file in folder.rglob("*") if file.is_file()]))
