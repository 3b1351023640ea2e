"""What a folder holds of the official release: how many files of each kind, and which differ."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from datamodules.prepare.checksums import count_files, file_digest
from datamodules.sources.about import About, Files


@dataclass(frozen=True)
class Found:
    """What there is of one kind of file.

    Attributes:
        files: the kind.
        count: how many there are.
        differing: those, by their paths below the root, that are not as in the official release;
            empty too where its sum is not known.
    """

    files: Files
    count: int
    differing: tuple[str, ...] = ()

    @property
    def compared(self) -> str:
        """Whether they are as in the official release: same, differs, or "" if nobody can say."""
        if not (self.files.sha256 and self.count):
            return ""
        return "differs" if self.differing else "same"


def look(about: About, root: Path) -> list[Found]:
    """What there is of each kind of file, in the order of `About.files`.

    Raises:
        InputError: if a file cannot be read.
    """
    return [_look(each, root) for each in about.files]


def _look(files: Files, root: Path) -> Found:
    if not files.sha256:  # these may be a million
        return Found(files, count_files(root, files.pattern))
    paths = sorted(path for path in root.glob(files.pattern) if path.is_file())
    other = [path for path in paths if not _is_official(path, files.sha256)]
    return Found(files, len(paths), tuple(path.relative_to(root).as_posix() for path in other))


def _is_official(path: Path, sha256: str) -> bool:
    """Whether the file has this sum, as it is or after Windows line ends are made plain again."""
    if file_digest(path, "sha256") == sha256:
        return True
    plain = path.read_bytes().replace(b"\r\n", b"\n")
    return hashlib.sha256(plain).hexdigest() == sha256
