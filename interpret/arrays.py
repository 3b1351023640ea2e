"""Files of named arrays, whole or not at all."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.files import write_bytes

# What numpy raises on a file that is missing, cut short, damaged or of another kind.
BROKEN = (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile)


def write_arrays(path: Path, **arrays: NDArray[Any]) -> None:
    """Write an npz file, atomically.

    Raises:
        InputError: if the disk is full or the folder cannot be written.
    """
    stream = io.BytesIO()
    np.savez(stream, **arrays)  # type: ignore[arg-type]
    write_bytes(path, stream.getvalue())
