"""Weight files: read without ever running what is in them, written whole or not at all."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from pathlib import Path

import torch
from torch import Tensor

from datamodules.errors import InputError
from datamodules.files import write_bytes


def write_tensors(path: Path, tensors: Mapping[str, Tensor]) -> None:
    """Write a safetensors file atomically; equal tensors give equal bytes.

    Raises:
        InputError: if the disk is full or the folder cannot be written; `path` is left as it was.
    """
    from safetensors.torch import save

    plain = {name: tensors[name].detach().cpu().contiguous() for name in sorted(tensors)}
    write_bytes(path, save(plain, metadata={"format": "pt"}))


def read_tensors(path: Path) -> dict[str, Tensor]:
    """Read a safetensors file into memory.

    Raises:
        InputError: if the file is missing or damaged.
    """
    from safetensors import SafetensorError
    from safetensors.torch import load_file

    if not path.is_file():
        raise InputError(f"expected a weight file at {path}, found none.")
    try:
        return load_file(path)
    except SafetensorError as error:
        raise InputError(
            f"{path} is not a whole safetensors file ({error}). Copy or make it again."
        ) from None


def read_pickled(path: Path) -> object:
    """Read a `.pt`, `.pth` or `.bin` file that holds nothing but tensors, numbers and containers.

    Raises:
        InputError: if the file is missing, damaged, or holds anything that would have to be run.
    """
    if not path.is_file():
        raise InputError(f"expected a weight file at {path}, found none.")
    try:
        content: object = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # torch raises many kinds here
        kind = "a TorchScript program" if "TorchScript" in str(error) else "more than tensors"
        raise InputError(
            f"{path} was not opened: it is damaged or holds {kind}, which could run code. "
            "Expected a file of tensors. Get the .safetensors version of these weights, or convert "
            "the file where you trust it: safetensors.torch.save_file(model.state_dict(), ...)."
        ) from error
    return content


def read_weights(path: Path) -> dict[str, Tensor]:
    """Read a model's state dict from `.safetensors`, or from a pickled file of tensors.

    A surrounding `{"state_dict": ...}` and the prefix `module.` of parallel training are taken off.

    Raises:
        InputError: see `read_tensors` and `read_pickled`.
    """
    content = read_tensors(path) if path.suffix == ".safetensors" else read_pickled(path)
    if isinstance(content, dict) and isinstance(content.get("state_dict"), dict):
        content = content["state_dict"]
    if not isinstance(content, dict) or not content:
        raise InputError(f"{path} holds {type(content).__name__}, expected named tensors.")
    if strange := [name for name, value in content.items() if not isinstance(value, Tensor)]:
        raise InputError(
            f"{path} holds {len(strange)} values that are no tensors, first {strange[0]!r}. "
            "Expected a model's state dict."
        )
    if all(str(name).startswith("module.") for name in content):
        content = {name.removeprefix("module."): value for name, value in content.items()}
    return content


def fingerprint(state: Mapping[str, Tensor]) -> str:
    """SHA-256 over sorted names, shapes and float32 bytes, as 64 hexadecimal digits.

    Example:
        >>> fingerprint({"a": torch.zeros(2)}) == fingerprint({"a": torch.zeros(2).half()})
        True
    """
    digest = hashlib.sha256()
    for name in sorted(state):
        tensor = state[name].detach().to("cpu", torch.float32).contiguous()
        digest.update(f"{name} {list(tensor.shape)}\n".encode())
        digest.update(tensor.view(-1).numpy().data)
    return digest.hexdigest()


def mismatch(expected: Mapping[str, Tensor], got: Mapping[str, Tensor]) -> str:
    """What differs in names and shapes, first five of each kind and a count; "" if nothing does."""
    shapes = [
        f"{name} {list(got[name].shape)} instead of {list(expected[name].shape)}"
        for name in sorted(expected.keys() & got.keys())
        if got[name].shape != expected[name].shape
    ]
    kinds = {
        "missing": sorted(expected.keys() - got.keys()),
        "unexpected": sorted(got.keys() - expected.keys()),
        "of wrong shape": shapes,
    }
    found = {kind: names for kind, names in kinds.items() if names}
    return "; ".join(f"{len(names)} {kind}: {first_five(names)}" for kind, names in found.items())


def first_five(names: list[str]) -> str:
    """The first five names and how many more there are."""
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
