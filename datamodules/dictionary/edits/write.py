"""Edits as a YAML file: what `load_edits` reads back."""

from __future__ import annotations

from pathlib import Path

from datamodules.dictionary.edits.record import Edits
from datamodules.errors import InputError
from datamodules.files import write_text


def edits_text(edits: Edits) -> str:
    """The YAML of edits; sections that are empty are left out."""
    import yaml

    content = {name: entries for name, entries in edits.content().items() if entries}
    if not content:
        return ""
    text: str = yaml.safe_dump(
        content, sort_keys=False, allow_unicode=True, default_flow_style=None, width=100
    )
    return text


def write_edits(edits: Edits, path: Path, *, replace: bool = False) -> None:
    """Write edits to a file of their own.

    Args:
        edits: the edits.
        path: the file.
        replace: whether a file that is there may be overwritten. Its comments are lost.

    Raises:
        InputError: if a file is there and `replace` is False, or it cannot be written.
    """
    if path.exists() and not replace:
        raise InputError(
            f"expected a new file for the edits, {path} is there already. Choose another name, or "
            "add --replace; comments in it would be lost."
        )
    write_text(path, edits_text(edits))
