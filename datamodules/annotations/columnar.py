"""Annotations in one binary file, so that a large data set is parsed once.

An .npz of plain arrays: nothing in it can run code. Texts are stored as one JSON list each.
"""

from __future__ import annotations

import io
import json
import zipfile
from pathlib import Path
from typing import Any

import numpy as np

from datamodules.annotations.table import Annotations, Items, Names, Rows
from datamodules.errors import InputError
from datamodules.files import write_bytes

_VERSION = 1


def save_columns(annotations: Annotations, path: Path) -> None:
    """Write the file atomically.

    Raises:
        InputError: if the disk is full or the folder cannot be written.
    """
    parts: dict[str, Any] = {"version": np.int64(_VERSION)}
    for name, texts in annotations.names._asdict().items():
        parts[f"names.{name}"] = np.frombuffer(json.dumps(texts).encode(), np.uint8)
    for group, columns in (("items", annotations.items), ("rows", annotations.columns)):
        parts |= {f"{group}.{name}": column for name, column in columns._asdict().items()}
    stream = io.BytesIO()
    np.savez_compressed(stream, **parts)
    write_bytes(path, stream.getvalue())


def load_columns(path: Path) -> Annotations:
    """Read a file of `save_columns`.

    Raises:
        InputError: if the file is missing, broken, or of another version.
    """
    again = f"Remove it; the annotations are then read anew. It was {path}."
    try:
        with np.load(path, allow_pickle=False) as parts:
            if int(parts["version"]) != _VERSION:
                raise InputError(
                    f"expected an index of version {_VERSION}, got {int(parts['version'])}. {again}"
                )
            names = Names(
                *(tuple(json.loads(bytes(parts[f"names.{name}"]))) for name in Names._fields)
            )
            items = Items(*(parts[f"items.{name}"] for name in Items._fields))
            rows = Rows(*(parts[f"rows.{name}"] for name in Rows._fields))
    except FileNotFoundError:
        raise InputError(f"expected an index of annotations at {path}, found none.") from None
    except InputError:
        raise
    except (OSError, ValueError, KeyError, EOFError, zipfile.BadZipFile) as error:
        raise InputError(f"expected a whole index of annotations, got {error}. {again}") from None
    return Annotations(names, items, rows)
