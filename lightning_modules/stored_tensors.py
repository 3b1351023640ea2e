"""Tensors that stay in their file: each is read when it is asked for, and nothing is kept.

A safetensors file is the length of its header in 8 bytes, the header in JSON (name -> type, shape,
first and last byte), and the numbers. Reading single ranges, not a map of the file into memory:
pages of a map stay with the process once they were touched.
"""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import BinaryIO, NamedTuple

import torch
from torch import Tensor

from datamodules.errors import InputError

_TYPES = {
    "F64": torch.float64, "F32": torch.float32, "F16": torch.float16, "BF16": torch.bfloat16,
    "I64": torch.int64, "I32": torch.int32, "I16": torch.int16, "I8": torch.int8,
    "U8": torch.uint8, "BOOL": torch.bool,
}  # fmt: skip
_LENGTH = 8  # bytes that hold the header's length


class _Place(NamedTuple):
    """Where a tensor lies among the numbers of a file, and what it is."""

    dtype: torch.dtype
    shape: tuple[int, ...]
    start: int
    stop: int


class StoredTensors(Mapping[str, Tensor]):
    """The tensors of a safetensors file by name, in the precision they are stored in.

    Args:
        path: the file. It must stay as it is for as long as this is used.

    Raises:
        InputError: if the file is missing or damaged; when a tensor is read, if it has changed.
    """

    def __init__(self, path: Path) -> None:
        from safetensors import SafetensorError, safe_open

        if not path.is_file():
            raise InputError(f"expected a weight file at {path}, found none.")
        try:
            with safe_open(path, framework="pt"):  # checks the header
                pass
        except SafetensorError as error:
            raise InputError(
                f"{path} is not a whole safetensors file ({error}). Copy or make it again."
            ) from None
        self.path = path
        with path.open("rb", buffering=0) as file:
            self._stamp = _stamp(file)
            length = int.from_bytes(file.read(_LENGTH), "little")
            self._places = _places(file.read(length))
        self._first = _LENGTH + length

    def __getitem__(self, name: str) -> Tensor:
        place = self._places[name]
        tensor = torch.empty(place.shape, dtype=place.dtype)
        try:
            with self.path.open("rb", buffering=0) as file:
                same = _stamp(file) == self._stamp
                file.seek(self._first + place.start)
                _fill(file, tensor.view(-1).view(torch.uint8).numpy().data)
        except OSError:
            same = False
        if not same:
            raise InputError(
                f"{self.path} was changed or removed while it was in use. Expected the file to "
                "stay as it was when it was opened: run the command again."
            )
        return tensor

    def __iter__(self) -> Iterator[str]:
        return iter(self._places)

    def __len__(self) -> int:
        return len(self._places)


def _stamp(file: BinaryIO) -> tuple[int, int]:
    found = os.fstat(file.fileno())
    return found.st_mtime_ns, found.st_size


def _fill(file: BinaryIO, buffer: memoryview) -> None:
    """Read until the buffer is full: one call of the system reads 2 GB at most."""
    while len(buffer):
        count = file.readinto(buffer)  # type: ignore[attr-defined]
        if not count:
            raise OSError("the file ends early")
        buffer = buffer[count:]


@lru_cache(maxsize=8)
def _places(header: bytes) -> dict[str, _Place]:
    """Of a header; hundreds of deltas of one model have one between them."""
    content = json.loads(header)
    content.pop("__metadata__", None)
    return {
        sys.intern(name): _Place(_TYPES[each["dtype"]], tuple(each["shape"]), *each["data_offsets"])
        for name, each in content.items()
    }
