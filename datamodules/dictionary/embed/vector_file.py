"""Files of word vectors: which of the three formats it is, and the records that are asked for.

    GloVe text      red 0.12 -0.4 ...
    word2vec text   the same after a first line `words dimensions`
    word2vec binary that first line, then `red `, D float32 numbers and mostly a line end

each also packed by gzip. The formats are told apart by content, never by name. A file is read in
one pass that keeps only what is asked for: those of the web hold millions of words.

Shape letters: D features.
"""

from __future__ import annotations

import gzip
import re
import zlib
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import BinaryIO, NamedTuple, cast

from datamodules.errors import InputError

_HEAD = 1 << 20  # the longest first lines that are looked at
_BLOCK = 1 << 24
_BOM = b"\xef\xbb\xbf"
_HEADER = re.compile(rb"(\d{1,12}) (\d{1,6})[ \t]*\r?")
_NUMBER_BYTES = b"0123456789.eE+- "
_CONTROL = re.compile(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]")
_AGAIN = "Copy the file again, or give another."


@dataclass(frozen=True)
class Layout:
    """How a file is laid out.

    Args:
        binary: numbers as bytes, not as text.
        width: D.
        num_words: as its first line says; None for GloVe, which has no such line.
    """

    binary: bool
    width: int
    num_words: int | None


class Record(NamedTuple):
    """A word with its vector as it stands in the file, and its number from 1."""

    number: int
    word: str
    vector: bytes


def place(path: Path, layout: Layout, number: int) -> str:
    """Where a record stands: "file, line 3" in text, "file, word 3" in a binary file."""
    if layout.binary:
        return f"{path}, word {number}"
    return f"{path}, line {number + (layout.num_words is not None)}"


def read_layout(path: Path) -> Layout:
    """Tell the format by the first bytes.

    Raises:
        InputError: if the file is missing or empty, is a pickle or an archive, or is no file of
            word vectors.
    """
    with _opened(path) as stream:
        head = stream.read(_HEAD).removeprefix(_BOM)
    _refuse(path, head)
    first, _, rest = head.partition(b"\n")
    if header := _HEADER.fullmatch(first):
        num_words, width = int(header[1]), int(header[2])
        if not num_words or not width:
            raise InputError(
                f"{path}, line 1: expected the numbers of words and of dimensions, got "
                f"{first.decode().strip()!r}. {_AGAIN}"
            )
        return Layout(_is_binary(rest, width), width, num_words)
    width = len(first.split()) - 1
    if width < 1 or _CONTROL.search(first):
        raise InputError(
            f"{path}, line 1: expected a word and its numbers with single blanks between them, or "
            f"the numbers of words and of dimensions, got {first[:60]!r}. Expected a file of word "
            "vectors: GloVe text, or word2vec text or binary."
        )
    return Layout(False, width, None)


def read_records(path: Path, layout: Layout) -> Iterator[Record]:
    """Yield every word, checked as far as that is cheap: the numbers are not parsed.

    Raises:
        InputError: if a line has another number of dimensions or anything that is no number, a word
            is not UTF-8, or there are more or fewer words than the first line says.
    """
    count = 0
    with _opened(path) as stream:
        if layout.num_words is not None:
            stream.readline()
        pieces = _binary(stream, path, layout) if layout.binary else _text(stream, path, layout)
        for number, raw, vector in pieces:
            count += 1
            try:
                word = raw.decode()
            except UnicodeDecodeError as error:
                got = raw[error.start : error.start + 1]
                raise InputError(
                    f"{place(path, layout, number)}: expected UTF-8 text, got the byte {got!r}. "
                    "Save the file as UTF-8."
                ) from None
            yield Record(number, word, vector)
    if layout.num_words not in (None, count):
        raise InputError(
            f"{path}: expected {layout.num_words} words, as its first line says, got {count}. "
            f"{_AGAIN}"
        )


def _refuse(path: Path, head: bytes) -> None:
    """What is no file of vectors at all, said in its own words."""
    if not head.strip():
        raise InputError(f"expected word vectors in {path}, but it is empty. {_AGAIN}")
    if head.startswith(b"\x80") or path.suffix in (".kv", ".model"):
        raise InputError(
            f"{path} is gensim's own format, a pickle, which could run code: it was not opened. "
            "Where you trust it, convert it: KeyedVectors.load(FILE).save_word2vec_format("
            "'vectors.bin', binary=True), for a model Word2Vec.load(FILE).wv.save_word2vec_format("
            "...); then give vectors.bin."
        )
    if head.startswith(b"PK\x03\x04"):
        raise InputError(f"{path} is a zip archive. Unpack it and give one of the files in it.")


def _is_binary(rest: bytes, width: int) -> bool:
    """Whether the first vector after the first line is bytes: text is printable, floats are not."""
    vector = rest.partition(b" ")[2][: 4 * width]
    if _CONTROL.search(vector):
        return True
    numbers = vector.split(b"\n")[0].strip(b"\r")
    if numbers and not numbers.translate(None, _NUMBER_BYTES):
        return False
    try:
        vector.decode()
    except UnicodeDecodeError as error:
        return error.end < len(vector)  # else a letter that merely was cut
    return False


def _text(stream: BinaryIO, path: Path, layout: Layout) -> Iterator[tuple[int, bytes, bytes]]:
    for number, raw in enumerate(stream, start=1):
        line = raw.rstrip(b"\r\n ")
        if number == 1:
            line = line.removeprefix(_BOM)
        if not line:
            continue
        word, _, vector = line.partition(b" ")
        if vector.count(b" ") != layout.width - 1:
            word, vector = _long_word(line, layout.width)
        if not word or not vector or vector.translate(None, _NUMBER_BYTES):
            raise InputError(
                f"{place(path, layout, number)}: expected a word and {layout.width} finite numbers "
                f"with single blanks between them, got {line[:60].decode(errors='replace')!r}. "
                "Correct or remove the line."
            )
        yield number, word, vector


def _long_word(line: bytes, width: int) -> tuple[bytes, bytes]:
    """A word with blanks in it, which GloVe has; nothing where it ends in one number too many."""
    word, *numbers = line.rsplit(b" ", width)
    last = word.rpartition(b" ")[2]
    if len(numbers) < width or re.fullmatch(rb"[-+.\deE]*\d[-+.\deE]*", last):
        return b"", b""
    return word, b" ".join(numbers)


def _binary(stream: BinaryIO, path: Path, layout: Layout) -> Iterator[tuple[int, bytes, bytes]]:
    size, block, start, number = 4 * layout.width, b"", 0, 1
    while True:
        blank = block.find(b" ", start)
        end = blank + 1 + size
        if blank >= 0 and end <= len(block):
            yield number, block[start:blank].lstrip(b"\n"), block[blank + 1 : end]
            start, number = end, number + 1
            continue
        more = stream.read(_BLOCK)
        block, start = block[start:] + more, 0
        if not more:
            break
    if block.strip(b"\n"):
        raise InputError(
            f"{place(path, layout, number)}: expected a word and {layout.width} float32 numbers, "
            f"but the file ends after {len(block)} bytes of them. {_AGAIN}"
        )


@contextmanager
def _opened(path: Path) -> Iterator[BinaryIO]:
    """The bytes of a file, unpacked if gzip packed them."""
    try:
        with path.open("rb") as stream:
            packed = stream.read(2) == b"\x1f\x8b"
            stream.seek(0)
            yield cast(BinaryIO, gzip.GzipFile(fileobj=stream)) if packed else stream
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"expected word vectors at {path}, found no such file. Check "
            "the path: it is GloVe text, or word2vec text or binary."
        ) from None
    except (gzip.BadGzipFile, EOFError, zlib.error) as error:
        raise InputError(f"{path} is not a whole gzip file ({error}). {_AGAIN}") from None
    except OSError as error:
        raise InputError(f"could not read {path}: {error.strerror or error}.") from None
