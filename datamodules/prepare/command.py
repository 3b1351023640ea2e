"""`python -m datamodules prepare`: is a data set whole, and what is in it."""

from __future__ import annotations

import argparse
import json
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.errors import InputError

if TYPE_CHECKING:
    from datamodules.sources import About, Source

    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]


def add_parser(subparsers: Subparsers) -> None:
    """Add the `prepare` command; its parsed arguments go to `run`."""
    text = "verify, download, index and cache a data set"
    parser = subparsers.add_parser("prepare", help=text, description=text, allow_abbrev=False)
    parser.add_argument("--source", required=True, help="data set")
    parser.add_argument("--root", type=Path, required=True, help="its folder")
    parser.add_argument(
        "--download", action="store_true", help="fetch what is missing and has a public address"
    )
    parser.add_argument(
        "--image_size", type=int, default=224, help="pixels a side of the cache (default: 224)"
    )
    parser.add_argument(
        "--no_pixels", action="store_true", help="read the annotations, decode no image"
    )
    parser.add_argument(
        "--json", action="store_true", help="print one JSON object as the last line"
    )


def run(args: argparse.Namespace) -> int:
    """Run the parsed command; returns the exit code.

    Raises:
        InputError: if something the source cannot do without is missing or broken.
    """
    from datamodules.dictionary.command import table
    from datamodules.sources import about_source, load_source

    about, root = about_source(args.source), args.root.expanduser()
    if args.download:
        fetch(about, root)
    found = counts(about, root)
    sys.stdout.write(f"{about.title}: {about.licence}\n{about.citation}\n\n")
    rows = [
        (each.pattern, f"{number:,}", f"{each.count:,}", each.what)
        for each, number in zip(about.files, found, strict=True)
    ]
    sys.stdout.write("\n".join(table(("files", "found", "official", "what"), rows)) + "\n\n")
    _check_required(about, root, found)
    source = load_source(args.source, root)
    contents = _contents(source)
    sys.stdout.write("\n".join(table(("in it", ""), list(contents.items()))) + "\n")
    if not args.no_pixels:
        shape = source.pixels(args.image_size).shape
        sys.stdout.write(f"\npixels  {shape[0]:,} items of {shape[1]} x {shape[2]}\n")
    if args.json:
        files = {each.pattern: number for each, number in zip(about.files, found, strict=True)}
        more = {"source": about.name, "root": str(root), "data_hash": source.data_hash}
        sys.stdout.write(json.dumps({**more, "files": files, **contents}, sort_keys=True) + "\n")
    return 0


def fetch(about: About, root: Path) -> None:
    """Download and unpack what is not there yet.

    Raises:
        InputError: if nothing of the data set has a public address, or a download fails.
    """
    from datamodules.prepare import download
    from datamodules.prepare.unpack import is_archive, unpack_here

    if not about.downloads:
        raise InputError(
            f"--download: expected a public address of {about.title}, there is none. {about.get}"
        )
    for each in about.downloads:
        target = root / each.target
        sha256, md5 = (each.sum, None) if len(each.sum) == 64 else (None, each.sum or None)
        download(each.url, target, size=each.size or None, sha256=sha256, md5=md5)
        if is_archive(target):
            unpack_here(target)


def counts(about: About, root: Path) -> list[int]:
    """How many files there are of each kind."""
    from datamodules.prepare.checksums import count_files

    return [count_files(root, each.pattern) for each in about.files]


def _check_required(about: About, root: Path, found: list[int]) -> None:
    missing = [
        f"{each.pattern} ({each.what})"
        for each, number in zip(about.files, found, strict=True)
        if each.required and not number
    ]
    if missing:
        raise InputError(
            f"expected {about.title} in {root}, missing: {'; '.join(missing)}. {about.get}"
        )


def _contents(source: Source) -> dict[str, int | str]:
    table = source.annotations
    return {
        "images": len(table.names.images),
        "items": len(table),
        "annotations": len(table.columns.item),
        "attributes": len(table.attributes),
        "objects": len([name for name in table.names.objects if name]),
        **{f"items of {split}": len(table.members(split)) for split in table.splits},
    }
