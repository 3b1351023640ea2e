"""Vectors kept on the disk: a text is embedded once for each source of vectors.

One file a source, named by its content hash: an .npz that numpy.load opens, with

    index   JSON as bytes: content hash, name, texts
    rows    float32 (N, D), one for each text
    known   bool (N,)

A file that is broken or belongs to something else is made again, never trusted. Runs that want the
same source at the same time wait for each other. Nothing is ever removed: delete the folder to free
the space.

Shape letters: W texts asked for, N texts kept, D features.
"""

from __future__ import annotations

import io
import json
import logging
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.dictionary.embed.protocol import Embedder, Mask, Rows
from datamodules.files import locked, write_bytes

DEFAULT_FOLDER = Path("artifacts/cache/embeddings")
_ZIP_ERRORS = (zipfile.BadZipFile, zlib.error)
_BROKEN = (OSError, ValueError, LookupError, TypeError, EOFError, RuntimeError, *_ZIP_ERRORS)
_log = logging.getLogger(__name__)


class _Table(NamedTuple):
    """What a file holds: row of each text, rows, and which of them are known."""

    position: dict[str, int]
    rows_ND: Rows
    known_N: Mask


class CachedVectors:
    """Another source of vectors, of which only new texts are asked.

    Args:
        embedder: the source.
        folder: where its file lies.
    """

    def __init__(self, embedder: Embedder, folder: Path = DEFAULT_FOLDER) -> None:
        self.embedder = embedder
        self.folder = folder
        self._table: _Table | None = None

    @property
    def name(self) -> str:
        """The source's name."""
        return self.embedder.name

    @property
    def content_hash(self) -> str:
        """The source's hash."""
        return self.embedder.content_hash

    @property
    def path(self) -> Path:
        """The file."""
        return self.folder / f"{self.content_hash}.npz"

    def encode(self, texts: Sequence[str]) -> Rows:
        """One row for each text, (W, D); see the source.

        Raises:
            InputError: if the vectors cannot be had, or the file cannot be written.
        """
        table = self._with(texts)
        rows_WD: Rows = table.rows_ND[[table.position[text] for text in texts]]
        return rows_WD

    def known(self, texts: Sequence[str]) -> Mask:
        """Which texts the source knows, (W,).

        Raises:
            InputError: if the vectors cannot be had, or the file cannot be written.
        """
        table = self._with(texts)
        known_W: Mask = table.known_N[[table.position[text] for text in texts]]
        return known_W

    def _with(self, texts: Sequence[str]) -> _Table:
        """A table that holds all texts."""
        table = self._table or self._load()
        if table is None or _missing(table, texts):
            with locked(self.path):
                table = self._load() or self._empty()  # another run may have added them meanwhile
                if missing := _missing(table, texts):
                    table = _Table(
                        {text: row for row, text in enumerate([*table.position, *missing])},
                        np.concatenate([table.rows_ND, self.embedder.encode(missing)]),
                        np.concatenate([table.known_N, self.embedder.known(missing)]),
                    )
                    self._save(table)
        self._table = table
        return table

    def _empty(self) -> _Table:
        return _Table({}, self.embedder.encode([]), np.zeros(0, dtype=bool))

    def _save(self, table: _Table) -> None:
        index = {"hash": self.content_hash, "name": self.name, "texts": list(table.position)}
        stream = io.BytesIO()
        np.savez(
            stream,
            index=np.frombuffer(json.dumps(index).encode(), np.uint8),
            rows=table.rows_ND,
            known=table.known_N,
        )
        write_bytes(self.path, stream.getvalue())

    def _load(self) -> _Table | None:
        """What the file holds; None without a file, or without one that can be trusted."""
        if not self.path.is_file():
            return None
        try:
            with zipfile.ZipFile(self.path) as archive:
                if part := archive.testzip():  # before anything in it is believed
                    raise ValueError(f"{part} is damaged")
            with np.load(self.path, allow_pickle=False) as parts:
                index = json.loads(bytes(parts["index"]))
                rows_ND, known_N = parts["rows"], parts["known"]
            position = {text: row for row, text in enumerate(index["texts"])}
            shapes = (len(position), rows_ND.ndim, rows_ND.dtype, known_N.shape, known_N.dtype)
            expected = (len(rows_ND), 2, np.float32, (len(rows_ND),), np.bool_)
            if index["hash"] != self.content_hash or shapes != expected:
                raise ValueError("it holds something else")
        except _BROKEN as error:
            _log.warning("%s cannot be used (%s): its vectors are made anew.", self.path, error)
            return None
        return _Table(position, rows_ND, known_N)


def _missing(table: _Table, texts: Sequence[str]) -> list[str]:
    return [text for text in dict.fromkeys(texts) if text not in table.position]
