"""One module a data set; each yields the same table of annotations, captions and pixels."""

from __future__ import annotations

from pathlib import Path

from datamodules.errors import InputError
from datamodules.sources.source import Source

__all__ = ["SOURCES", "Source", "load_source"]

SOURCES = ("folder", "glyphs")


def load_source(name: str, root: Path | None = None) -> Source:
    """Open a data set.

    Args:
        name: one of `SOURCES`.
        root: its folder; glyphs are drawn to `artifacts/data/glyphs` when they are not there yet.

    Raises:
        InputError: if the name is unknown, or the files are missing or broken.
    """
    if name == "glyphs":
        from datamodules.sources.glyphs.source import Glyphs

        return Glyphs.open(root)
    if name == "folder":
        from datamodules.sources.folder import Folder

        return Folder.open(root)
    raise InputError(
        f"expected a data set among {', '.join(SOURCES)}, got {name!r}. Set DATA=... (or "
        "--data.source) to one of them."
    )
