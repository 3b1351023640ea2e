"""`python -m datamodules prepare`: is a data set whole, and what is in it."""

from __future__ import annotations

import argparse
import json
import sys
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.errors import InputError

if TYPE_CHECKING:
    from datamodules.prepare.official import Found
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
        "--sums",
        type=Path,
        metavar="FILE",
        help="compare the files with this list, as sha256sum or md5sum write it; its paths begin "
        "at --root",
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
        InputError: if something the source cannot do without is missing or broken, or a file is
            not as the list of sums has it.
    """
    from datamodules.prepare.official import look
    from datamodules.prepare.sums import check_sums, read_sums
    from datamodules.sources import about_source, load_source
    from datamodules.text_table import text_table

    about, root = about_source(args.source), args.root.expanduser()
    sums = read_sums(args.sums.expanduser()) if args.sums else {}
    if args.download:
        fetch(about, root)
    found = look(about, root)
    sys.stdout.write(f"{about.title}: {about.licence}\n{about.citation}\n\n")
    _say_files(found)
    _check_required(about, root, found)
    if sums:
        check_sums(root, sums)
        sys.stdout.write(f"sums  {len(sums):,} files as in {args.sums}\n\n")
    source = load_source(args.source, root)
    contents = _contents(source)
    sys.stdout.write("\n".join(text_table(("in it", ""), list(contents.items()))) + "\n")
    if not args.no_pixels:
        shape = source.pixels(args.image_size).shape
        sys.stdout.write(f"\npixels  {shape[0]:,} items of {shape[1]} x {shape[2]}\n")
    if args.json:
        more = {
            "source": about.name,
            "root": str(root),
            "data_hash": source.data_hash,
            "files": {each.files.pattern: each.count for each in found},
            "compared": {each.files.pattern: each.compared for each in found if each.compared},
            "differing": [path for each in found for path in each.differing],
            "sums": len(sums),
        }
        sys.stdout.write(json.dumps({**more, **contents}, sort_keys=True) + "\n")
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


def _say_files(found: list[Found]) -> None:
    from datamodules.text_table import text_table

    rows = [
        (each.files.pattern, f"{each.count:,}", f"{each.files.count:,}", each.compared,
         each.files.what)
        for each in found
    ]  # fmt: skip
    head = ("files", "found", "official", "compared", "what")
    sys.stdout.write("\n".join(text_table(head, rows)) + "\n\n")
    if differing := [path for each in found for path in each.differing]:
        sys.stdout.write(
            f"differs from the official release: {', '.join(differing)}. Such a copy can be used, "
            "but figures on it are not comparable with published ones.\n\n"
        )


def _check_required(about: About, root: Path, found: list[Found]) -> None:
    missing = [
        f"{each.files.pattern} ({each.files.what})"
        for each in found
        if each.files.required and not each.count
    ]
    if missing:
        raise InputError(
            f"expected {about.title} in {root}, missing: {'; '.join(missing)}. {about.get}"
        )


def _contents(source: Source) -> dict[str, int]:
    """What the table holds, and what the source's module counts beside it, if it has `facts`."""
    from datamodules.sources import SOURCES

    table, module = source.annotations, import_module(SOURCES[source.name])
    return {
        "images": len(table.names.images),
        "items": len(table),
        "annotations": len(table.columns.item),
        "attributes": len(table.attributes),
        "objects": len([name for name in table.names.objects if name]),
        **{f"items of {split}": len(table.members(split)) for split in table.splits},
        **(module.facts(source.root) if hasattr(module, "facts") else {}),
    }
