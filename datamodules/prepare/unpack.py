"""Unpacking an archive where it lies, as a person would, but all of it or nothing."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from datamodules.errors import InputError
from datamodules.files import cannot_write
from datamodules.prepare.archives import extract

ARCHIVES = (".zip", ".tar", ".tar.gz", ".tgz")


def unpack_here(archive: Path) -> None:
    """Put what an archive holds, and what archives in it hold, into the folder it lies in.

    A mark beside the archive says that it is done, and it is not done again. What was interrupted
    is taken up where it was.

    Raises:
        InputError: if the archive is damaged or unsafe, or would replace something that is there.
    """
    folder = archive.parent
    mark = folder / f".{archive.name}.unpacked"
    if mark.exists():
        return
    staging = folder / f".{archive.name}.unpacking"
    if not staging.exists():  # else it is whole: `extract` leaves nothing half done
        extract(archive, staging)
    for inner in sorted(path for path in staging.rglob("*") if is_archive(path)):
        unpack_here(inner)
    entries = sorted(staging.iterdir())
    if taken := [each.name for each in entries if (folder / each.name).exists()]:
        shutil.rmtree(staging)
        raise InputError(
            f"expected no {taken[0]} in {folder} before {archive.name} is unpacked there, found "
            "one. Nothing was changed. Move it away, or unpack the archive by hand."
        )
    try:
        for each in entries:
            os.replace(each, folder / each.name)
        staging.rmdir()
        mark.touch()
    except OSError as error:
        raise cannot_write(folder, error) from error


def is_archive(path: Path) -> bool:
    """Whether the name says that the file is an archive of several files."""
    return path.name.lower().endswith(ARCHIVES)
