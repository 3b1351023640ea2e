"""Annotation files of one record a line, as most data sets have them: reading with places.

Every error names file and line. Nothing here knows a data set.
"""

from __future__ import annotations

import gzip
import zlib
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from pathlib import Path, PurePosixPath

from datamodules.errors import InputError

_MAX_NAME, _MAX_PATH = 255, 1024  # bytes of a part, of all of it: what common systems can open
_MAX_DIGITS = 18  # so that numbers fit into 64 bits
_GZIP = b"\x1f\x8b"


def read_lines(path: Path, what: str, *, get: str = "") -> Iterator[tuple[int, str]]:
    """Yield the lines that hold any text, each with its number from 1, without its line end.

    A byte order mark, Windows line ends, blank lines and gzip do no harm. Blanks at the start and
    the end of a line are kept: some formats are separated by tabs.

    Args:
        path: the file, in UTF-8.
        what: what it holds, for the message if it is missing.
        get: a sentence that says how to get it, such as `About.get`.

    Raises:
        InputError: if the file is missing, cut or cannot be read, or a line is not UTF-8.
    """
    try:
        with _opened(path) as stream:
            # Bytes, not text: a text stream could not say which line is broken.
            for number, raw in enumerate(stream, start=1):
                try:
                    text = raw.decode("utf-8-sig" if number == 1 else "utf-8").rstrip("\r\n")
                except UnicodeDecodeError as error:
                    got = raw[error.start : error.start + 1]
                    raise InputError(
                        f"{path}, line {number}: expected UTF-8 text, got the byte {got!r}. Save "
                        "the file as UTF-8."
                    ) from None
                if text and not text.isspace():
                    yield number, text
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(f"expected {what} at {path}, found no such file. {get}".rstrip()) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(
            f"{path} is not a whole gzip file ({error}). Copy or download it again."
        ) from None
    except OSError as error:
        raise InputError(f"could not read {path}: {error.strerror or error}.") from None


@contextmanager
def _opened(path: Path) -> Iterator[Iterable[bytes]]:
    """The bytes of a file, unpacked if it is one of gzip, whatever its name."""
    with path.open("rb") as stream:
        is_packed = stream.read(len(_GZIP)) == _GZIP
        stream.seek(0)
        if is_packed:
            with gzip.open(stream) as unpacked:
                yield unpacked
        else:
            yield stream


def split_fields(
    text: str, path: Path, line: int, count: int, what: str, *, at_most: bool = False
) -> list[str]:
    """The fields of a line, which are separated by blanks.

    Args:
        text: the line.
        path: its file.
        line: its number.
        count: how many fields there are.
        what: what they are, for the message: "image id, image name".
        at_most: split into at most `count` fields, so that the last one keeps its blanks.

    Raises:
        InputError: if there are more or fewer.
    """
    fields = text.strip().split(maxsplit=count - 1 if at_most else -1)
    if len(fields) != count:
        raise InputError(
            f"{path}, line {line}: expected {count} fields ({what}), got {len(fields)}: "
            f"{text.strip()[:80]!r}. Correct or remove the line."
        )
    return fields


def whole_number(text: str, place: str, what: str, *, least: int = 0) -> int:
    """A whole number of plain digits.

    Args:
        text: the field.
        place: where it stands, such as "images.txt, line 3".
        what: what it counts, such as "an image id".
        least: the smallest one that is allowed.

    Raises:
        InputError: if it is not one.
    """
    if not (text.isascii() and text.isdecimal() and len(text) <= _MAX_DIGITS) or int(text) < least:
        raise InputError(
            f"{place}: expected {what} of {least} or more, got {text[:80]!r}. Correct the line."
        )
    return int(text)


def safe_path(name: str, place: str) -> str:
    """A path that stays below the folder it belongs to, in its shortest spelling.

    Args:
        name: with forward slashes, as the annotation has it.
        place: where it stands, such as "images.txt, line 3".

    Raises:
        InputError: if it is empty, absolute, leads upwards or is no name of a file.
    """
    path = PurePosixPath(name)
    sizes = [len(part.encode(errors="surrogatepass")) for part in path.parts]
    long = max(sizes, default=0) > _MAX_NAME or sum(sizes) + len(sizes) > _MAX_PATH
    if (
        not path.parts
        or path.is_absolute()
        or ".." in path.parts
        or "\\" in name
        or "\0" in name
        or long
    ):
        raise InputError(
            f"{place}: expected the path of a file below the image folder, got {name[:80]!r}. "
            "Correct the line."
        )
    return str(path)
