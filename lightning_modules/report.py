"""The closing lines of a command."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping, Sequence
from typing import Any

from lightning_modules.comparison import Row, render, to_json


def report(
    rows: Sequence[Row],
    title: str,
    paths: Mapping[str, str],
    *,
    as_json: bool,
    more: Mapping[str, Any] | None = None,
) -> None:
    """Print the table, the paths that were written and, if asked, one JSON object as the last line.

    Args:
        rows: lines of the table; without any, only the title is printed.
        title: above the table.
        paths: what was written, by a short name.
        as_json: whether to print the JSON object; it holds `rows`, `paths` and `more`.
        more: further entries of the JSON object.
    """
    sys.stdout.write("\n" + (render(rows, title) if rows else f"{title}\n") + "\n")
    for name, path in paths.items():
        sys.stdout.write(f"{name:<10} {path}\n")
    if as_json:
        content = {"rows": to_json(rows), **paths, **(more or {})}
        sys.stdout.write(json.dumps(content, ensure_ascii=False, allow_nan=False) + "\n")
    sys.stdout.flush()
