"""coefficients.safetensors: the coefficients under names that can be read by hand.

    <delta>/<block>          one number, such as "color/all"
    <delta>/<weight>.head    one number for each head
    <delta>/<block>.part     one for each part
    <delta>/<weight>.rank    one for each direction; shared directions go by "shared/<weight>.rank"

All float32. Blocks that differ only by a last number, counted from 0, are one tensor.
"""

from __future__ import annotations

import re
from pathlib import Path

import torch

from composition.coefficients import Named
from datamodules.errors import InputError
from lightning_modules.tensors import first_five, read_tensors, write_tensors

_COUNTED = re.compile(r"(.+\.(?:head|rank|part))\.(\d+)")


def write_coefficients(path: Path, named: Named) -> None:
    """Write coefficients by name, as `Composition.named_coefficients` gives them.

    Raises:
        InputError: if the disk is full or the folder cannot be written.
    """
    numbers: dict[str, float] = {}
    groups: dict[str, list[float]] = {}
    for delta, row in named.items():
        for block, value in row.items():
            match = _COUNTED.fullmatch(block)
            group = groups.setdefault(f"{delta}/{match.group(1)}", []) if match else []
            if match and int(match.group(2)) == len(group):
                group.append(value)
            else:
                numbers[f"{delta}/{block}"] = value
    counted = {name: group for name, group in groups.items() if group}
    values: dict[str, float | list[float]] = {**numbers, **counted}
    float32 = torch.float32
    write_tensors(path, {name: torch.tensor(each, dtype=float32) for name, each in values.items()})


def read_coefficients(path: Path) -> Named:
    """Read what `write_coefficients` wrote; whether it fits is for `Composition.assign` to say.

    Raises:
        InputError: if the file is missing, damaged, or holds anything else.
    """
    named: Named = {}
    strange = []
    for name, tensor in read_tensors(path).items():
        delta, slash, block = name.rpartition("/")
        if not slash or tensor.dim() > 1 or not tensor.is_floating_point():
            strange.append(f"{name} {list(tensor.shape)}")
            continue
        row = named.setdefault(delta, {})
        if tensor.dim() == 0:
            row[block] = tensor.item()
        else:
            row |= {f"{block}.{number}": value for number, value in enumerate(tensor.tolist())}
    if strange:
        raise InputError(
            f"{path}: {len(strange)} tensors that are no coefficients: {first_five(strange)}. "
            "Expected numbers and lists of numbers named <delta>/<block>: compose again."
        )
    return named
