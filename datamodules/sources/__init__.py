"""One module a data set; each yields the same table of annotations, captions and pixels."""

from __future__ import annotations

from importlib import import_module
from pathlib import Path
from typing import cast

from datamodules.errors import InputError
from datamodules.sources.about import About
from datamodules.sources.index import open_indexed
from datamodules.sources.source import Source

__all__ = ["SOURCES", "About", "Source", "about_source", "load_source"]

# name -> its module, which has `ABOUT` and `open_source(root)`; read when it is asked for.
SOURCES = {
    "caltech101": "datamodules.sources.caltech101",
    "cars": "datamodules.sources.cars",
    "cgqa": "datamodules.sources.cgqa",
    "cub": "datamodules.sources.cub",
    "folder": "datamodules.sources.folder",
    "glyphs": "datamodules.sources.glyphs.source",
    "imagenet": "datamodules.sources.imagenet",
    "imagenet_segmentation": "datamodules.sources.imagenet_segmentation",
    "lfw": "datamodules.sources.lfw",
    "mit_states": "datamodules.sources.mit_states",
    "nlvr": "datamodules.sources.nlvr",
    "ut_zappos": "datamodules.sources.ut_zappos",
    "visual_genome": "datamodules.sources.visual_genome",
    "waterbirds": "datamodules.sources.waterbirds",
}


def load_source(name: str, root: Path | None = None) -> Source:
    """Open a data set.

    Args:
        name: one of `SOURCES`.
        root: its folder; glyphs are drawn to `artifacts/data/glyphs` when they are not there yet.

    Raises:
        InputError: if the name is unknown, or the files are missing or broken.
    """
    about = about_source(name)
    if root is None and name != "glyphs":
        raise InputError(
            f"DATA={name} needs the folder of {about.title}, got none. Add ROOT=path/to/folder (or "
            f"--data.root, --root). {about.get}"
        )
    module = import_module(SOURCES[name])
    if root is None:
        return cast("Source", module.open_source(None))
    return open_indexed(module, root.expanduser())


def about_source(name: str) -> About:
    """What is known of a data set before it is opened.

    Raises:
        InputError: if the name is unknown.
    """
    if name not in SOURCES:
        raise InputError(
            f"expected a data set among {', '.join(SOURCES)}, got {name!r}. Set DATA=... (or "
            "--data.source, --source) to one of them."
        )
    return cast("About", import_module(SOURCES[name]).ABOUT)
