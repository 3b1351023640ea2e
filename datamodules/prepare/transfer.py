"""Bytes from a server into a partial file, over broken connections and several runs.

What came before a broken connection is continued with an HTTP range. A file that changed in between
is not glued to the old beginning: ``.resume-<name>`` keeps the mark that the server gave the first
part (a strong ETag, else the date), and any other mark begins from zero, as does a server that
knows no ranges or gives no mark.
"""

from __future__ import annotations

import http
import logging
import os
import shutil
import time
import urllib.request
from contextlib import closing
from pathlib import Path
from typing import Any, NamedTuple, NoReturn

from datamodules.errors import InputError
from datamodules.files import cannot_write, read_json, write_json
from datamodules.prepare.answers import (
    PassingError,
    RefusedError,
    answered,
    ask,
    blocks_of,
    length_of,
    mark_of,
    range_of,
)
from datamodules.prepare.byte_progress import byte_progress

_log = logging.getLogger(__name__)
_ENOUGH = 1 << 20  # an attempt that brought this many bytes was none in vain
_LONGEST_WAIT_SECONDS = 60.0


class _Held(NamedTuple):
    """What an earlier attempt left: bytes, the server's mark and the whole length if known."""

    num_bytes: int = 0
    mark: str = ""
    total: int | None = None


class _Answer(NamedTuple):
    """What a server gives: a stream of bytes from `begin` of `total` on (None: it does not say)."""

    stream: Any
    begin: int
    total: int | None


class Transfer:
    """A file on its way from an address to a partial file beside its target.

    Args:
        url: an http or https address.
        target: where the file is to go in the end.
        size: its expected length in bytes, if known.
        timeout_seconds: longest silence of the server.
        opener: opens addresses.
    """

    def __init__(
        self,
        url: str,
        target: Path,
        *,
        size: int | None,
        timeout_seconds: float,
        opener: urllib.request.OpenerDirector,
    ) -> None:
        self.partial = target.with_name(f".partial-{target.name}")
        self._resume = target.with_name(f".resume-{target.name}")
        self._url, self._target, self._size = url, target, size
        self._timeout_seconds, self._opener = timeout_seconds, opener

    def complete(self, *, attempts: int, wait_seconds: float) -> None:
        """Fill the partial file to its end.

        Args:
            attempts: failures in a row that end it; one that brought a MiB begins a new row.
            wait_seconds: pause before the second attempt, doubled before each further one.

        Raises:
            InputError: if the server does not give the file, or the disk is full.
        """
        failures, most = 0, self._held().num_bytes
        while error := self._attempt_failed():
            held = self._held()
            failures = failures + 1 if held.num_bytes < most + _ENOUGH else 1
            most = max(most, held.num_bytes)
            if failures >= attempts:
                kept = f"; {held.num_bytes:,} bytes are kept for the next run"
                self.fail(f"{error} (attempt {failures} of {attempts}){kept * bool(held.mark)}")
            pause = max(wait_seconds * 2 ** (failures - 1), error.wait_seconds)
            pause = min(pause, _LONGEST_WAIT_SECONDS)
            _log.warning("%s: %s; trying again in %g s", self._url, error, pause)
            time.sleep(pause)

    def put_in_place(self) -> None:
        """Give the partial file the target's name, once its bytes are on the disk.

        Raises:
            InputError: if the disk is full.
        """
        try:
            with self.partial.open("rb") as stream:
                os.fsync(stream.fileno())
            os.replace(self.partial, self._target)
        except OSError as error:
            raise cannot_write(self._target, error) from error
        self.discard()

    def discard(self) -> None:
        """Remove what came so far."""
        try:
            self.partial.unlink(missing_ok=True)
            self._resume.unlink(missing_ok=True)
        except OSError as error:
            raise cannot_write(self.partial, error) from error

    def fail(self, reason: str) -> NoReturn:
        """End it with the user's message.

        Raises:
            InputError: always.
        """
        raise InputError(
            f"could not download {self._url}: {reason}. Run the command again later, or fetch the "
            f"file another way and put it by hand at {self._target}."
        )

    def _held(self) -> _Held:
        """What can be continued; anything else counts as nothing."""
        try:
            kept = read_json(self._resume)
            held = _Held(self.partial.stat().st_size, kept["mark"], kept["total"])
            same = kept["url"] == self._url and isinstance(held.mark, str) and held.mark
        except (InputError, OSError, KeyError, TypeError):
            return _Held()
        fits = held.total is None or (isinstance(held.total, int) and held.num_bytes <= held.total)
        return held if same and fits else _Held()

    def _attempt_failed(self) -> PassingError | None:
        """Fetch what is missing; None if all of it came."""
        try:
            held = self._held()
            if held.num_bytes and held.num_bytes == held.total:
                return None  # an earlier run was killed after the last byte
            answer = self._continued(held) if held.num_bytes else self._whole_file(self._ask())
            with closing(answer.stream):
                self._check_space(answer)
                self._receive(answer)
        except PassingError as error:
            return error
        except RefusedError as error:
            self.fail(str(error))
        return None

    def _ask(self, **headers: str) -> Any:
        return ask(self._opener, self._url, headers, timeout_seconds=self._timeout_seconds)

    def _continued(self, held: _Held) -> _Answer:
        """The rest of what is held, or the whole file if that is not what the server has."""
        headers = {"Range": f"bytes={held.num_bytes}-", "If-Range": held.mark}
        try:
            stream = self._ask(**headers)
        except RefusedError as error:
            if error.code == http.HTTPStatus.REQUESTED_RANGE_NOT_SATISFIABLE:
                return self._whole_file(self._ask())
            raise
        if stream.status == http.HTTPStatus.OK:  # another file by now, or a server without ranges
            return self._whole_file(stream)
        begin, total = range_of(stream.headers)
        same_length = held.total is None or total in (None, held.total)
        if begin == held.num_bytes and same_length and mark_of(stream.headers) == held.mark:
            return _Answer(stream, held.num_bytes, total or held.total)
        stream.close()
        return self._whole_file(self._ask())

    def _whole_file(self, stream: Any) -> _Answer:
        """An answer that begins at zero; what came before is removed."""
        self.discard()
        total = length_of(stream.headers)
        fault = ""
        if stream.status != http.HTTPStatus.OK:
            fault = answered(stream.status)
        elif self._size is not None and total not in (None, self._size):
            fault = f"expected {self._size:,} bytes, the server has {total:,}"
        if fault:
            stream.close()
            raise RefusedError(fault)
        if mark := mark_of(stream.headers):
            write_json(self._resume, {"url": self._url, "mark": mark, "total": total})
        return _Answer(stream, 0, total)

    def _check_space(self, answer: _Answer) -> None:
        whole = self._whole(answer)
        needed = 0 if whole is None else whole - answer.begin
        free = shutil.disk_usage(self._target.parent).free
        if free < needed:
            raise InputError(
                f"expected {needed:,} bytes of free space in {self._target.parent} for "
                f"{self._target.name}, found {free:,}. Free space or choose another folder."
            )

    def _receive(self, answer: _Answer) -> None:
        """Append to the partial file what the server sends."""
        whole, position = self._whole(answer), answer.begin
        name = f"downloading {self._target.name}"
        with byte_progress(name, (whole or position) - position) as advance:
            try:
                with self.partial.open("ab") as file:
                    for block in blocks_of(answer.stream):
                        file.write(block)
                        position += len(block)
                        advance(len(block))
                        if position == answer.total or (whole is not None and position > whole):
                            break
            except OSError as error:
                raise cannot_write(self.partial, error) from error
        if whole is not None and position < whole:
            raise PassingError(f"the connection ended after {position:,} of {whole:,} bytes")
        if whole is not None and position > whole:
            self.discard()
            raise RefusedError(f"expected {whole:,} bytes, the server sends more")

    def _whole(self, answer: _Answer) -> int | None:
        """Length of the whole file in bytes, where the server says it or the caller knows it."""
        return self._size if answer.total is None else answer.total
