"""Large annotation files are parsed once: the table then lies in a binary file, see `columnar`.

The index belongs to the files as they are: their names, lengths and times, those of the folders,
and the text of the program that reads them. When any of it changes, the annotations are read anew.
"""

from __future__ import annotations

import hashlib
import os
from collections.abc import Iterator
from pathlib import Path
from types import ModuleType

from datamodules.annotations.columnar import load_columns, save_columns
from datamodules.errors import InputError
from datamodules.files import locked, read_json, write_json
from datamodules.sources.source import Source
from datamodules.sources.table_source import CACHE, TableSource

LEAST_ROWS = 200_000  # fewer are parsed in less than two seconds
_PICTURES = frozenset({".jpg", ".jpeg", ".png", ".gif", ".bmp", ".webp"})


def open_indexed(module: ModuleType, root: Path) -> Source:
    """Open a data set, through its index if there is a fitting one; large ones get one.

    Args:
        module: of the source, with `ABOUT` and `open_source`.
        root: its folder.

    Raises:
        InputError: if the files are missing or broken.
    """
    path = CACHE / module.ABOUT.name / f"index-{_stamp(module, root)}.npz"
    found = _load(module, root, path)
    if found is not None:
        return found
    source: Source = module.open_source(root)
    large = len(source.annotations.columns.item) >= LEAST_ROWS
    if large and type(source) is TableSource:  # a subclass may know more than the table
        with locked(path):
            _save(source, path)
    return source


def _save(source: TableSource, path: Path) -> None:
    for former in path.parent.glob("index-*"):
        former.unlink(missing_ok=True)
    write_json(
        path.with_suffix(".json"),
        {
            "root": str(source.root),
            "images": str(source.images),
            "spoken": dict(source.spoken),
            "templates": {name: list(each) for name, each in source.templates.items()},
            "states_types": source.states_types,
        },
    )
    save_columns(source.annotations, path)  # last: it is by this file that an index is known


def _load(module: ModuleType, root: Path, path: Path) -> TableSource | None:
    if not path.is_file():
        return None
    try:
        rest, table = read_json(path.with_suffix(".json")), load_columns(path)
        return TableSource(
            module.ABOUT, Path(rest["root"]), table, Path(rest["images"]), rest["spoken"],
            {name: tuple(each) for name, each in rest["templates"].items()}, rest["states_types"],
        )  # fmt: skip
    except (InputError, KeyError, TypeError, AttributeError):
        return None  # a broken index is no reason to stop: the files themselves are there


def _stamp(module: ModuleType, root: Path) -> str:
    digest = hashlib.sha256(str(root.resolve()).encode())
    for file in _program(module):
        digest.update(file.read_bytes())
    for path in _watched(root):
        status = path.stat()
        size = status.st_size if path.is_file() else -1
        digest.update(f"{path}\0{size}\0{status.st_mtime_ns}\n".encode(errors="surrogatepass"))
    return digest.hexdigest()[:12]


def _program(module: ModuleType) -> list[Path]:
    file = Path(str(module.__file__))
    return sorted(file.parent.glob("*.py")) if file.name == "__init__.py" else [file]


def _watched(root: Path) -> Iterator[Path]:
    """Folders, and files that are no pictures; a release may put some of them beside the root."""
    if root.parent.is_dir():
        yield from sorted(path for path in root.parent.iterdir() if path.suffix == ".txt")
    for folder, folders, files in os.walk(root):
        folders.sort()
        yield Path(folder)
        for name in sorted(files):
            path = Path(folder, name)
            if path.suffix.lower() not in _PICTURES and path.is_file():
                yield path
