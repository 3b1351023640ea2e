"""What an archive may hold, and how much of it: the rules shared by all kinds of archive.

An archive comes from elsewhere, so its names and its lengths are claims. A member's path must stay
inside the folder it is unpacked into, and bytes are counted as they are declared and again as they
come, because a bomb lies about one of the two.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path

from datamodules.errors import InputError

NOTHING = "Nothing was unpacked. Get the archive again from its official address."
BLOCK = 1 << 20  # bytes held in memory at once
_SMALL = 1 << 20  # up to here any ratio will do: a few kilobytes of table pack a hundred times
_LONGEST_PART, _LONGEST_PATH = 255, 1024  # bytes that common file systems take


@dataclass(frozen=True)
class Member:
    """One file or folder of an archive.

    Args:
        name: as the archive spells it.
        is_folder: whether it is a folder; it has no contents then.
        size: bytes it claims to hold; None where the archive does not say.
        blocks: its contents, to be read before the next member is asked for.
    """

    name: str
    is_folder: bool
    size: int | None
    blocks: Iterator[bytes]


@dataclass
class Budget:
    """Counts what an archive claims to hold and what comes out of it.

    Args:
        archive: the file, for messages and for its length.
        max_bytes: most bytes of contents in all.
        max_files: most members.
        max_ratio: most bytes of contents for each byte of the archive, beyond the first MiB.
    """

    archive: Path
    max_bytes: int
    max_files: int
    max_ratio: float
    _declared: int = field(default=0, init=False)
    _came: int = field(default=0, init=False)
    _members: int = field(default=0, init=False)

    def __post_init__(self) -> None:
        self._packed = self.archive.stat().st_size

    def declare(self, num_bytes: int) -> None:
        """A member claims this many bytes.

        Raises:
            InputError: if it is one member, or one byte, too many.
        """
        self._members += 1
        if self._members > self.max_files:
            raise InputError(
                f"expected at most {self.max_files:,} members in {self.archive}, got more. "
                f"{NOTHING}"
            )
        self._declared += num_bytes
        self._judge(self._declared)

    def take(self, num_bytes: int) -> None:
        """This many bytes came out of the archive.

        Raises:
            InputError: if that is one too many.
        """
        self._came += num_bytes
        self._judge(self._came)

    def _judge(self, num_bytes: int) -> None:
        if num_bytes > self.max_bytes:
            raise InputError(
                f"expected at most {self.max_bytes:,} bytes out of {self.archive}, got more. "
                f"{NOTHING}"
            )
        if num_bytes > max(self.max_ratio * self._packed, _SMALL):
            raise InputError(
                f"expected at most {self.max_ratio:g} times its own {self._packed:,} bytes out of "
                f"{self.archive}, got more: it may be a bomb, made to fill the disk. {NOTHING}"
            )


def safe_parts(archive: Path, name: str) -> tuple[str, ...]:
    """The parts of a member's path; empty for the archive's own top ("./").

    Raises:
        InputError: if the path could lead anywhere else than into the folder it is unpacked into.
    """
    parts, fault = parts_of(name)
    if fault:
        raise bad_member(archive, name, "a path inside the archive", fault)
    return parts


def parts_of(name: str) -> tuple[tuple[str, ...], str]:
    """The parts of a path from elsewhere, and what is wrong with it; empty if nothing is."""
    parts = tuple(part for part in name.split("/") if part not in ("", "."))
    encoded = [part.encode("utf-8", "surrogateescape") for part in parts]
    faults = {
        "no name": not name,
        "a name that is not UTF-8": any("\udc80" <= letter <= "\udcff" for letter in name),
        "a control character": any(ord(letter) < 32 or ord(letter) == 127 for letter in name),
        "an absolute path": name.startswith("/"),
        "a backslash": "\\" in name,
        "a drive letter": re.match(r"[A-Za-z]:", parts[0] if parts else "") is not None,
        "a way up (..)": ".." in parts,
        "a name that is too long": len(b"/".join(encoded)) > _LONGEST_PATH
        or any(len(part) > _LONGEST_PART for part in encoded),
    }
    return parts, next((fault for fault, is_there in faults.items() if is_there), "")


def bad_member(archive: Path, name: str, expected: str, got: str) -> InputError:
    """The user's message for a member that is refused."""
    shown = name if len(name) <= 80 else f"{name[:77]}..."
    return InputError(f"{archive}, member {shown!r}: expected {expected}, got {got}. {NOTHING}")


def broken(archive: Path, reason: object) -> InputError:
    """The user's message for an archive that cannot be read to its end."""
    return InputError(
        f"expected a whole archive in {archive}, got a file that is cut short, damaged or of "
        f"another kind ({str(reason)[:200]}). {NOTHING}"
    )


@contextmanager
def damage_told(archive: Path) -> Iterator[None]:
    """Turn what the standard library raises over a damaged archive into the user's message."""
    import zipfile
    import zlib

    try:
        yield
    except InputError:
        raise
    except (zipfile.BadZipFile, zlib.error, EOFError, NotImplementedError, ValueError) as error:
        raise broken(archive, error) from None
    except OSError as error:  # gzip's word for damage, or the disk's for itself
        raise broken(archive, error) from None
