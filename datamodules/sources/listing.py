"""What lies in a folder, in an order that no file system changes."""

from __future__ import annotations

import os
from pathlib import Path

from datamodules.errors import InputError

_IMAGES = (".jpeg", ".jpg", ".png")


def folders_in(folder: Path) -> list[str]:
    """Names of the folders in a folder, ascending; none if it does not exist.

    Raises:
        InputError: if the folder cannot be read, or a name is not UTF-8.
    """
    return [name for name, is_folder in _members(folder) if is_folder]


def images_in(folder: Path) -> list[str]:
    """Names of the JPEG and PNG files in a folder, ascending; none if it does not exist.

    Raises:
        InputError: if the folder cannot be read, or a name is not UTF-8.
    """
    return [
        name
        for name, is_folder in _members(folder)
        if not is_folder and name.lower().endswith(_IMAGES) and not name.startswith(".")
    ]


def _members(folder: Path) -> list[tuple[str, bool]]:
    try:
        with os.scandir(folder) as members:
            found = sorted((member.name, member.is_dir()) for member in members)
    except (FileNotFoundError, NotADirectoryError):
        return []
    except OSError as error:
        raise InputError(f"could not read {folder}: {error.strerror or error}.") from None
    for name, _ in found:
        if any("\ud800" <= letter <= "\udfff" for letter in name):  # how other bytes come
            raise InputError(
                f"expected names of files in UTF-8 in {folder}, got {os.fsencode(name)!r}. Rename "
                "the file."
            )
    return found
