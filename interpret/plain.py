"""Results as JSON takes them."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import fields, is_dataclass
from typing import Any

import numpy as np
from torch import Tensor

from interpret.parts import Part


def plain(value: Any) -> Any:
    """A value as JSON takes it, at any depth.

    Parts become their names, dataclasses objects, tuples, arrays and tensors lists; a number that
    is not finite becomes None.
    """
    if isinstance(value, Part):
        return str(value)
    if isinstance(value, np.ndarray | np.generic | Tensor):
        return plain(value.tolist())
    if is_dataclass(value) and not isinstance(value, type):
        return {field.name: plain(getattr(value, field.name)) for field in fields(value)}
    if isinstance(value, Mapping):
        return {str(key): plain(each) for key, each in value.items()}
    if isinstance(value, list | tuple):
        return [plain(each) for each in value]
    return None if isinstance(value, float) and not math.isfinite(value) else value
