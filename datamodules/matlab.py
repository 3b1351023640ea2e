"""MATLAB files of version 5 to 7, read with every length checked.

SciPy's reader ends the whole process on some damaged files (a segmentation fault), and by default
gives numbers in the type they were squeezed into: positions that are doubles to MATLAB come as
uint8, and wrap. This one gives them as MATLAB would, and a damaged file ends in an error.

The format: a header of 128 bytes, then elements, each a type, a length and its bytes, padded to 8.
A matrix holds, as elements of its own, flags, dimensions, name and content; it may be compressed.
"""

from __future__ import annotations

import math
import struct
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import Any, BinaryIO, NamedTuple

import numpy as np

from datamodules.errors import InputError

MAX_BYTES = 1 << 26  # of one variable: more than any list of a data set takes
_PEEK = 4096  # enough for a matrix's flags, dimensions and name
_MAX_DEPTH = 20

_INT8, _INT32, _UINT32, _MATRIX, _COMPRESSED = 1, 5, 6, 14, 15
_STORED = {
    1: "i1", 2: "u1", 3: "i2", 4: "u2", 5: "i4", 6: "u4", 7: "f4", 9: "f8", 12: "i8", 13: "u8",
}  # fmt: skip
_TEXT = {1: "latin-1", 2: "latin-1", 16: "utf-8"}
_CELL, _STRUCT, _CHAR, _OPAQUE = 1, 2, 4, 17
_NUMBERS = {
    6: "f8", 7: "f4", 8: "i1", 9: "u1", 10: "i2", 11: "u2", 12: "i4", 13: "u4", 14: "i8", 15: "u8",
}  # fmt: skip
_COMPLEX, _LOGICAL = 0x800, 0x200


class _Header(NamedTuple):
    """What a matrix says of itself, and where its content begins."""

    kind: int
    flags: int
    shape: tuple[int, ...]
    name: str
    content: int


class _DamagedError(ValueError):
    """What is wrong with a file; becomes an InputError that names it."""


def read_mat(path: Path, required: Sequence[str], optional: Sequence[str] = ()) -> dict[str, Any]:
    """Read some variables of a file; the others are skipped, however large.

    Args:
        path: the file.
        required: names of variables that must be there.
        optional: names of variables that may be there.

    Returns:
        The variables by name. Numbers: an array of MATLAB's own type (bool where logical). Text: an
        array of strings, without the last dimension. Cells: an object array. A struct: a dictionary
        of object arrays, one a field, each of the struct's shape.

    Raises:
        InputError: if the file is missing, damaged, of another version or without a variable.
    """
    try:
        with path.open("rb") as stream:
            found = _variables(stream, {*required, *optional})
    except FileNotFoundError:
        raise InputError(
            f"expected a MATLAB file at {path}, found no such file. It holds {', '.join(required)}."
        ) from None
    except OSError as error:
        raise InputError(f"could not read {path}: {error.strerror or error}.") from None
    except (ValueError, zlib.error) as error:  # NumPy's own refusals are among them
        raise InputError(
            f"expected a MATLAB file of version 5 to 7 in {path}, could not read it: {error}. "
            "Get it again, or save it with MATLAB's option -v7."
        ) from None
    if missing := [name for name in required if name not in found]:
        raise InputError(
            f"expected {', '.join(required)} in {path}, missing: {', '.join(missing)}. Take the "
            "file that the data set comes with."
        )
    return found


def _variables(stream: BinaryIO, wanted: set[str]) -> dict[str, Any]:
    head = stream.read(128)
    order = {b"IM": "<", b"MI": ">"}.get(head[126:])
    if order is None:
        raise _DamagedError("it has no header of such a file")
    version = int(struct.unpack(f"{order}H", head[124:126])[0])
    if version != 0x100:
        raise _DamagedError(
            "it is of version 7.3 (HDF5)" if version == 0x200 else "unknown version"
        )
    found: dict[str, Any] = {}
    while len(tag := stream.read(8)) == 8:
        kind, size = struct.unpack(f"{order}II", tag)
        after = stream.tell() + size + (-size % 8 if kind != _COMPRESSED else 0)
        if kind in (_MATRIX, _COMPRESSED):
            start = stream.read(min(size, _PEEK))
            plain = start if kind == _MATRIX else _inflated(start, _PEEK)
            name = _header(memoryview(plain), order).name
            if name in wanted:
                data = start + stream.read(min(size, MAX_BYTES) - len(start))
                found[name] = _whole(data, kind, size, order)
        stream.seek(after)
    if tag:
        raise _DamagedError("it ends in the middle of an element")
    return found


def _whole(data: bytes, kind: int, size: int, order: str) -> Any:
    """The value of a variable from all its bytes."""
    if len(data) < size:
        raise _DamagedError("it ends early, or holds a variable too large to be one of its lists")
    return _matrix(memoryview(data if kind == _MATRIX else _unpacked(data, order)), order, 0)


def _inflated(data: bytes, size: int) -> bytes:
    """Up to `size` bytes of a compressed matrix, without its type and length."""
    return zlib.decompressobj().decompress(data, size)[8:]


def _unpacked(data: bytes, order: str) -> bytes:
    """All bytes of a compressed matrix, without its type and length; its checksum is verified."""
    stream = zlib.decompressobj()
    tag = stream.decompress(data, 8)
    kind, size = struct.unpack(f"{order}II", tag) if len(tag) == 8 else (0, 0)
    if kind != _MATRIX or size > MAX_BYTES:
        raise _DamagedError(f"a variable unpacks to {size} bytes of type {kind}")
    plain = stream.decompress(stream.unconsumed_tail, size) if size else b""
    extra = stream.decompress(stream.unconsumed_tail, 1)
    if len(plain) < size or extra or not stream.eof:
        raise _DamagedError("a variable unpacks to another number of bytes than it says")
    return plain


def _element(data: memoryview, at: int, order: str) -> tuple[int, memoryview, int]:
    """Type and bytes of the element at `at`, and where the next one begins."""
    if at + 8 > len(data):
        raise _DamagedError("a variable ends in the middle of an element")
    kind, size = struct.unpack_from(f"{order}II", data, at)
    if kind >> 16:  # up to four bytes are stored in the place of the length
        kind, size, start, after = kind & 0xFFFF, kind >> 16, at + 4, at + 8
        if size > 4:
            raise _DamagedError(f"an element of 4 bytes says it has {size}")
    else:
        start = at + 8
        after = start + size + -size % 8
    if start + size > len(data):
        raise _DamagedError("an element is longer than its variable")
    return kind, data[start : start + size], after


def _array(data: memoryview, at: int, order: str) -> tuple[np.ndarray[Any, Any], int]:
    kind, raw, after = _element(data, at, order)
    if kind not in _STORED:
        raise _DamagedError(f"numbers are stored as unknown type {kind}")
    dtype = np.dtype(f"{order}{_STORED[kind]}")
    if len(raw) % dtype.itemsize:
        raise _DamagedError(f"{len(raw)} bytes are no whole number of {dtype.name}")
    return np.frombuffer(raw, dtype), after


def _header(data: memoryview, order: str) -> _Header:
    flags, at = _array(data, 0, order)
    if flags.size and int(flags[0]) & 0xFF == _OPAQUE:  # has no dimensions; never wanted
        return _Header(_OPAQUE, 0, (), "", at)
    shape, at = _array(data, at, order)
    _, name, at = _element(data, at, order)
    if flags.dtype.kind != "u" or flags.size != 2 or shape.dtype.kind != "i" or shape.size < 2:
        raise _DamagedError("a variable has no flags or no dimensions")
    if shape.min() < 0 or shape.size > 32:
        raise _DamagedError(f"a variable has the dimensions {shape.tolist()[:5]}")
    kind, bits = int(flags[0]) & 0xFF, int(flags[0])
    return _Header(kind, bits, tuple(shape.tolist()), bytes(name).decode("latin-1"), at)


def _matrix(data: memoryview, order: str, depth: int) -> Any:
    if not data:  # an empty cell
        return np.zeros((0, 0))
    if depth > _MAX_DEPTH:
        raise _DamagedError(f"cells are nested more than {_MAX_DEPTH} deep")
    header = _header(data, order)
    if header.kind in _NUMBERS:
        return _numbers(data, header, order)
    if header.kind == _CHAR:
        return _strings(data, header, order)
    if header.kind == _CELL:
        return _cells(data, header.content, 1, header.shape, order, depth)[0]
    if header.kind == _STRUCT:
        return _fields(data, header, order, depth)
    raise _DamagedError(
        f"a variable is of class {header.kind}; only numbers, text, cells, structs are"
    )


def _numbers(data: memoryview, header: _Header, order: str) -> np.ndarray[Any, Any]:
    if header.flags & _COMPLEX:
        raise _DamagedError("a variable holds complex numbers")
    values, _ = _array(data, header.content, order)
    dtype = "?" if header.flags & _LOGICAL else _NUMBERS[header.kind]
    with np.errstate(invalid="ignore"):  # not a number, stored as if it were an integer
        return _shaped(values, header.shape).astype(dtype)


def _strings(data: memoryview, header: _Header, order: str) -> np.ndarray[Any, Any]:
    kind, raw, _ = _element(data, header.content, order)
    if kind in _TEXT:
        text = bytes(raw).decode(_TEXT[kind], errors="replace")
    else:
        codes, _ = _array(data, header.content, order)
        if codes.dtype.kind != "u" or (codes.size and int(codes.max()) > 0x10FFFF):
            raise _DamagedError("text is stored as numbers that are no letters")
        # Halves of a pair are no letters, and could not be written as UTF-8 later.
        text = "".join(chr(0xFFFD if code >> 11 == 0x1B else code) for code in codes.tolist())
    letters = _shaped(np.array(list(text), dtype="<U1"), header.shape)
    if not letters.size:
        return np.zeros(0, dtype="<U1")
    rows = ["".join(row) for row in letters.reshape(-1, header.shape[-1])]
    return np.array(rows).reshape(header.shape[:-1])


def _cells(
    data: memoryview, at: int, num_fields: int, shape: tuple[int, ...], order: str, depth: int
) -> list[np.ndarray[Any, Any]]:
    """An object array for each field; elements follow each other, each with all its fields."""
    count = math.prod(shape) * num_fields
    if count > len(data) // 8:
        raise _DamagedError(f"a variable says it has {count} cells, more than its bytes")
    flat = np.empty(count, dtype=object)
    for number in range(count):
        kind, inner, at = _element(data, at, order)
        if kind != _MATRIX:
            raise _DamagedError(f"a cell is of type {kind}")
        flat[number] = _matrix(inner, order, depth + 1)
    return [_shaped(flat[field::num_fields], shape) for field in range(num_fields)]


def _fields(data: memoryview, header: _Header, order: str, depth: int) -> dict[str, Any]:
    length, at = _array(data, header.content, order)
    _, raw, at = _element(data, at, order)
    if length.size != 1 or length.dtype.kind != "i" or length[0] < 1 or len(raw) % int(length[0]):
        raise _DamagedError("a struct has no field names")
    step = int(length[0])
    names = [
        bytes(raw[start : start + step]).split(b"\0")[0].decode("latin-1")
        for start in range(0, len(raw), step)
    ]
    if not names:
        return {}
    return dict(zip(names, _cells(data, at, len(names), header.shape, order, depth), strict=True))


def _shaped(values: np.ndarray[Any, Any], shape: tuple[int, ...]) -> np.ndarray[Any, Any]:
    if values.size != math.prod(shape):
        raise _DamagedError(f"a variable of shape {shape} has {values.size} values")
    return values.reshape(shape, order="F")
