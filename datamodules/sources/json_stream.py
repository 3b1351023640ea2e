"""JSON files too large for memory: the objects of one long list, one at a time.

    [{"image_id": 1, ...}, {"image_id": 2, ...}, ...]

No more of the file is held than one object and the block it was read with.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import IO, Any

from datamodules.errors import InputError

_BLOCK = 1 << 18  # characters read at once
_LONGEST = 1 << 26  # characters of one object: without a limit, a lost brace would fill the memory
_BLANKS = " \t\r\n"
_DECODER = json.JSONDecoder()


def read_objects(path: Path, what: str, *, get: str = "") -> Iterator[tuple[str, dict[str, Any]]]:
    """Yield the objects of a JSON list, each with its place, "file, entry 3".

    Args:
        path: the file, in UTF-8; a byte order mark does no harm.
        what: what it holds, for the message if it is missing.
        get: a sentence that says how to get it, such as `About.get`.

    Raises:
        InputError: if the file is missing, cannot be read, or is not a whole list of objects.
    """
    try:
        with path.open(encoding="utf-8-sig") as stream:
            yield from _objects(path, _Text(stream))
    except UnicodeDecodeError as error:
        raise InputError(
            f"expected UTF-8 text in {path}, got the byte "
            f"{error.object[error.start : error.start + 1]!r}. Get the file again."
        ) from None
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"expected {what} at {path}, found no such file. {get}".rstrip()) from None
    except OSError as error:
        raise InputError(f"could not read {path}: {error.strerror or error}.") from None


def _objects(path: Path, text: _Text) -> Iterator[tuple[str, dict[str, Any]]]:
    sign, number = text.sign(), 0
    if sign != "[":
        raise _unexpected(str(path), "a JSON list that begins with '['", sign)
    text.at += 1
    sign = text.sign()
    while sign != "]" or number:
        number += 1
        place = f"{path}, entry {number}"
        if sign != "{":
            raise _unexpected(place, "an object that begins with '{'", sign)
        yield place, text.take_object(place)
        sign = text.sign()
        if sign == "]":
            break
        if sign != ",":
            raise _unexpected(place, "',' or ']' after it", sign)
        text.at += 1
        sign = text.sign()
    text.at += 1
    if sign := text.sign():
        raise _unexpected(str(path), "nothing after the list", sign)


def _unexpected(place: str, expected: str, sign: str) -> InputError:
    got = repr(sign) if sign else "the end of the file"
    return InputError(f"{place}: expected {expected}, got {got}. Get the file again.")


class _Text:
    """A window on a text stream.

    Attributes:
        at: where in the window the next character stands.
    """

    def __init__(self, stream: IO[str]) -> None:
        self._stream = stream
        self._window = ""
        self._before = 0  # characters of the file before the window
        self.at = 0

    def sign(self) -> str:
        """The next character that is no blank, which stays; "" at the end of the file."""
        while True:
            while self.at < len(self._window):
                if self._window[self.at] not in _BLANKS:
                    return self._window[self.at]
                self.at += 1
            if not self._more(_BLOCK):
                return ""

    def take_object(self, place: str) -> dict[str, Any]:
        """The object that begins here; the window is past it then.

        Raises:
            InputError: if it is broken or cut off.
        """
        found = self._decode(place)
        while isinstance(found, ValueError):
            # Cut off by the window or broken? Only more text can tell; twice as much each time
            # keeps the whole linear.
            length = len(self._window) - self.at
            if length > _LONGEST or not self._more(max(_BLOCK, length)):
                message = getattr(found, "msg", str(found))
                where = self._before + getattr(found, "pos", self.at) + 1
                raise InputError(
                    f"{place}: expected a whole JSON object, got {message!r} at character "
                    f"{where:,} of the file. Get the file again."
                )
            found = self._decode(place)
        return found

    def _decode(self, place: str) -> dict[str, Any] | ValueError:
        """The object that begins here, or why the window does not hold it."""
        try:
            value, self.at = _DECODER.raw_decode(self._window, self.at)
        except RecursionError:
            raise InputError(
                f"{place}: expected an object of a few levels, got one nested too deeply. Get the "
                "file again."
            ) from None
        except ValueError as error:
            return error
        return dict(value)

    def _more(self, count: int) -> bool:
        """Drop what is past and read on; False at the end of the file."""
        read = self._stream.read(count)
        if read:
            self._before += self.at
            self._window, self.at = self._window[self.at :] + read, 0
        return bool(read)
