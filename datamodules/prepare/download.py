"""One file from an address: whole and checked, or not there at all.

request -> .partial-<name>, which grows -> size and sums -> rename to <name>
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.errors import InputError
from datamodules.files import locked
from datamodules.prepare.byte_progress import byte_progress
from datamodules.prepare.checksums import SHOWN, Algorithm, file_digest

if TYPE_CHECKING:
    from urllib.request import OpenerDirector


def download(
    url: str,
    target: Path,
    *,
    sha256: str | None = None,
    md5: str | None = None,
    size: int | None = None,
    attempts: int = 5,
    wait_seconds: float = 1.0,
    timeout_seconds: float = 30.0,
    opener: OpenerDirector | None = None,
) -> Path:
    """Fetch a file, or check the one that is there already.

    Args:
        url: an http or https address.
        target: where the file goes; folders are made.
        sha256: its SHA-256, if it is published.
        md5: its MD5, if that is all that is published.
        size: its length in bytes.
        attempts: failures in a row that end it; one that brought new bytes does not count.
        wait_seconds: pause before the second attempt, doubled before each further one up to a
            minute; a server may ask for more, up to a minute too.
        timeout_seconds: longest silence of the server.
        opener: opens addresses; by default http and https with verified certificates only.

    Returns:
        The target.

    Raises:
        InputError: if the address is refused or the server does not give the file, the size or a
            sum is wrong, or the disk is full. Nothing is then left under the target's name that was
            not there before.
    """
    from datamodules.prepare.transfer import Transfer
    from datamodules.prepare.web import check_address, default_opener

    check_address(url)
    sums: dict[Algorithm, str | None] = {"sha256": sha256, "md5": md5}
    transfer = Transfer(
        url,
        target,
        size=size,
        timeout_seconds=timeout_seconds,
        opener=opener or default_opener(),
    )
    with locked(target):
        if target.exists():
            if wrong := _wrong(target, size, sums):
                raise InputError(
                    f"{target}: {wrong}. Remove the file to have it downloaded again from {url}, "
                    "or put the right one in its place."
                )
            return target
        transfer.complete(attempts=attempts, wait_seconds=wait_seconds)
        if wrong := _wrong(transfer.partial, size, sums):
            transfer.discard()
            transfer.fail(f"{wrong}; what came was removed")
        transfer.put_in_place()
    return target


def _wrong(path: Path, size: int | None, sums: Mapping[Algorithm, str | None]) -> str:
    """What is wrong with a file; empty if nothing is."""
    if not path.is_file():
        return "expected a file, got something else"
    num_bytes = path.stat().st_size
    if size is not None and num_bytes != size:
        return f"expected {size:,} bytes, got {num_bytes:,}"
    for algorithm, expected in sums.items():
        if expected:
            with byte_progress(f"checking {path.name}", num_bytes) as advance:
                got = file_digest(path, algorithm, advance=advance)
            if got != expected.lower():
                return f"expected {SHOWN[algorithm]} {expected}, got {got}"
    return ""
