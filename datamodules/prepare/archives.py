"""Unpacking an archive from elsewhere: the whole of it lands in the folder, or nothing does.

Refused: paths that are absolute or lead up, drive letters, backslashes, links, devices, one path
twice, names not in UTF-8, encrypted files, more bytes or files than allowed, a missing end.
"""

from __future__ import annotations

from collections.abc import Callable, Generator, Iterable, Iterator, Sequence
from contextlib import closing
from fnmatch import fnmatchcase
from pathlib import Path

from datamodules.errors import InputError
from datamodules.files import locked, new_folder
from datamodules.prepare.archive_members import (
    NOTHING,
    Budget,
    Member,
    bad_member,
    broken,
    safe_parts,
)

_Reader = Callable[[Path, Budget], Generator[Member, None, None]]
ENDINGS = (".zip", ".tar", ".tar.gz", ".tgz", ".gz")


def extract(
    archive: Path,
    folder: Path,
    *,
    members: Sequence[str] | None = None,
    strip: bool = False,
    max_bytes: int = 64 << 30,
    max_files: int = 2_000_000,
    max_ratio: float = 100,
) -> tuple[str, ...]:
    """Unpack a .zip, .tar, .tar.gz, .tgz or .gz archive into a new folder.

    Rights, owners and times of the members are not taken over, nor are the extra files that macOS
    adds ("__MACOSX/..." and "._name"): they look like images and are none.

    Args:
        archive: the file; its ending tells its kind.
        folder: where the members go; it must be new or empty, its parents are made.
        members: unpack only files whose path in the archive fits one of these patterns, such as
            "lists/*"; "*" also stands for "/". By default all.
        strip: leave out the one top folder that all unpacked members share.
        max_bytes: most bytes of all members together, as declared and as they come.
        max_files: most members, folders included.
        max_ratio: most bytes that come out for each byte of the archive, beyond the first MiB.

    Returns:
        The paths of the unpacked files below the folder, in the order of the archive.

    Raises:
        InputError: if the folder holds something, the archive is missing, damaged or unsafe, a
            pattern fits no member, or the disk is full. The folder is left as it was.
    """
    folder = folder.resolve()  # a folder elsewhere that is linked here is filled there
    reader = _reader(archive)
    budget = Budget(archive, max_bytes, max_files, max_ratio)
    with locked(folder):
        _check_new(archive, folder)
        with new_folder(folder) as partial, closing(reader(archive, budget)) as found:
            placed = _placed(archive, found, members, strip)
            written = [_write(partial, *place, budget) for place in placed]
            if not any(written):
                raise InputError(f"expected files in {archive}, got none. {NOTHING}")
    return tuple(path for path in written if path)


def _reader(archive: Path) -> _Reader:
    from datamodules.prepare.archive_tar import gz_members, tar_members
    from datamodules.prepare.archive_zip import zip_members

    name = archive.name.lower()
    if not name.endswith(ENDINGS):
        raise InputError(
            f"expected an archive that ends in {', '.join(ENDINGS)}, got {archive}. Unpack it by "
            "hand."
        )
    if not archive.is_file():
        raise InputError(
            f"expected an archive at {archive}, found no such file. Download it first, or put it "
            "there by hand."
        )
    if name.endswith(".zip"):
        return zip_members
    return tar_members if name.endswith((".tar", ".tar.gz", ".tgz")) else gz_members


def _check_new(archive: Path, folder: Path) -> None:
    if not folder.exists() or (folder.is_dir() and not any(folder.iterdir())):
        return
    raise InputError(
        f"expected a new or empty folder at {folder} to unpack {archive.name} into, got one that "
        "holds something. Move that away or name another folder; nothing was changed."
    )


def _placed(
    archive: Path, found: Iterable[Member], patterns: Sequence[str] | None, strip: bool
) -> Iterator[tuple[tuple[str, ...], Member]]:
    """Each member to unpack with the parts of its path below the folder."""
    fitted: set[str] = set()
    top = ""
    for member in found:
        parts = safe_parts(archive, member.name)
        if not parts or _is_from_finder(parts):
            continue
        if patterns is not None:
            fits = [each for each in patterns if fnmatchcase("/".join(parts), each)]
            if member.is_folder or not fits:
                continue
            fitted.update(fits)
        if strip:
            top = top or parts[0]
            if parts[0] != top or not (parts[1:] or member.is_folder):
                raise bad_member(archive, member.name, f"a path in the one folder {top}", "another")
            parts = parts[1:]
        yield parts, member
    if missing := [pattern for pattern in patterns or () if pattern not in fitted]:
        raise InputError(
            f"expected files that fit {', '.join(missing)} in {archive}, got none. {NOTHING}"
        )


def _is_from_finder(parts: tuple[str, ...]) -> bool:
    return parts[0] == "__MACOSX" or parts[-1].startswith("._")


def _write(into: Path, parts: tuple[str, ...], member: Member, budget: Budget) -> str:
    """Write one member; its path below the folder, empty for a folder."""
    target = into.joinpath(*parts)
    try:
        if member.is_folder:
            target.mkdir(parents=True, exist_ok=True)
            return ""
        target.parent.mkdir(parents=True, exist_ok=True)
        stream = target.open("xb")
    except (FileExistsError, NotADirectoryError):  # also where the disk does not tell A from a
        raise bad_member(
            budget.archive, member.name, "each path once", "a path that is taken already"
        ) from None
    num_bytes = 0
    with stream:
        for block in member.blocks:
            num_bytes += len(block)
            budget.take(len(block))
            stream.write(block)
    if member.size is not None and num_bytes != member.size:
        raise broken(budget.archive, f"{num_bytes:,} of {member.size:,} bytes of {member.name!r}")
    return "/".join(parts)
