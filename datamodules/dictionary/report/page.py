"""The page as text: template, style, scripts and data in one file that asks for nothing else."""

from __future__ import annotations

import re
from base64 import b64encode
from collections.abc import Mapping
from hashlib import sha256
from html import escape
from pathlib import Path

from datamodules.dictionary.report.columns import Point
from datamodules.dictionary.report.data import as_script, page_data
from datamodules.dictionary.report.plain import is_counted
from datamodules.dictionary.report.summary import Totals, origin, totals
from datamodules.dictionary.schema import Dictionary
from datamodules.files import write_text

# In the order they are run: each uses only what stands before it.
_SCRIPTS = (
    "words.js", "elements.js", "search.js", "tables.js", "word.js", "plane.js", "names.js",
    "map.js", "hands.js", "legend.js", "attributes.js", "lists.js", "checks.js", "main.js",
)  # fmt: skip
_STYLES = ("page.css", "parts.css")


def write_report(
    dictionary: Dictionary, path: Path, points: Mapping[str, Point] | None = None
) -> None:
    """Write the page atomically; see `render`."""
    write_text(path, render(dictionary, points))


def render(dictionary: Dictionary, points: Mapping[str, Point] | None = None) -> str:
    """The dictionary as one HTML page: equal dictionaries and points give equal text.

    Args:
        dictionary: the dictionary.
        points: place of each word on the map, by value id or by word; None leaves the map out.
    """
    style = "\n".join(_asset(name) for name in _STYLES)
    script = "\n".join(_asset(name) for name in _SCRIPTS)
    parts = {
        "source": escape(dictionary.source),
        "policy": _policy(style, script),
        "style": style,
        "origin": "".join(f"<li>{escape(fact)}</li>" for fact in origin(dictionary)),
        "facts": _facts(totals(dictionary), is_counted(dictionary)),
        "data": as_script({**page_data(dictionary, points or {}), "hashes": _hashes(dictionary)}),
        "script": script,
    }
    # In one pass: a word that looks like a place of the template is left as it is.
    return re.sub(r"\{\{(\w+)\}\}", lambda found: parts[found[1]], _asset("page.html"))


def _policy(style: str, script: str) -> str:
    """Content security policy: this very style and script may be used, and nothing be fetched."""
    return (
        f"default-src 'none'; style-src '{_digest(style)}'; script-src '{_digest(script)}'; "
        "img-src data:; base-uri 'none'; form-action 'none'"
    )


def _digest(text: str) -> str:
    return f"sha256-{b64encode(sha256(text.encode()).digest()).decode()}"


def _asset(name: str) -> str:
    return Path(__file__).with_name(name).read_text(encoding="utf-8")


def _facts(sums: Totals, counted: bool) -> str:
    facts = [
        (sums.attributes, f"attributes, {sums.selected:,} selected"),
        (sums.values, f"values in {sums.groups:,} groups" if sums.groups else "values"),
        *([(sums.mentions, "mentions of these values")] if counted else []),
    ]
    shares = [
        *([(sums.mention_coverage, "of the mentions covered")] if counted else []),
        (sums.word_coverage, "of the words covered"),
    ]
    return "".join(
        [f"<div><dt>{text}</dt><dd>{number:,}</dd></div>" for number, text in facts]
        + [
            f'<div><dt>{text}</dt><dd>{share:.1%}</dd><progress max="1" value="{share:.4f}">'
            "</progress></div>"
            for share, text in shares
        ]
    )


def _hashes(dictionary: Dictionary) -> list[list[str]]:
    return [
        ["dictionary", dictionary.hash],
        ["captions or annotations", dictionary.data_hash],
        ["word vectors", dictionary.embedder_hash],
        ["edits", dictionary.edits_hash],
        ["file format", dictionary.schema],
    ]
