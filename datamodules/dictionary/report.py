"""The dictionary as one HTML page: no script, no network, equal bytes for equal dictionaries."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from html import escape
from pathlib import Path

from datamodules.dictionary.schema import Attribute, Dictionary, Value
from datamodules.files import write_text

_STYLE = """
:root { color-scheme: light dark; --line: color-mix(in srgb, currentColor 18%, transparent); --bar:
#7aa2c9; } body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto;
padding: 0 1rem; } h1 { font-size: 1.5rem; margin-bottom: 0; } h2 { font-size: 1.15rem; margin-top:
2rem; } p, small { opacity: .8; } table { border-collapse: collapse; width: 100%; } th, td {
text-align: left; padding: .25rem .6rem .25rem 0; border-bottom: 1px solid var(--line);
vertical-align: top; } td.n, th.n { text-align: right; font-variant-numeric: tabular-nums; } meter {
width: 6rem; height: .7rem; } .tag { border: 1px solid var(--line); border-radius: .6rem; padding: 0
.5rem; } em { font-style: normal; opacity: .65; }
"""


_NUMBER = " class=n"
_COLUMNS = (
    ("value", ""), ("captions", _NUMBER), ("", ""), ("score", _NUMBER), ("margin", _NUMBER),
    ("evidence", ""), ("group", ""), ("example", ""),
)  # fmt: skip


def write_report(dictionary: Dictionary, path: Path) -> None:
    """Write the page atomically."""
    write_text(path, render(dictionary))


def render(dictionary: Dictionary) -> str:
    """The page as text."""
    source = escape(dictionary.source)
    parts = [
        f"<h1>Dictionary of {source}</h1>",
        f"<p>{escape(_summary(dictionary))}</p>",
        *(_attribute(attribute) for attribute in dictionary.attributes),
        "<h2>Not values</h2><p>Frequent words left out, and why. <em>Lift</em>: how many times "
        "more often than by chance the word comes back in another caption of the same image; "
        "words of the caption's frame stay near 1.</p>",
        _table(
            ("word", "captions", "lift", "reason", "nearest", "group"),
            (
                (u.text, u.count, "" if u.lift is None else f"{u.lift:.2f}", u.reason, u.nearest,
                 _group(u.cluster))
                for u in dictionary.unassigned
            ),
        ),
        "<h2>Merges to judge</h2><p>Words that share a lemma by rule. None has been applied.</p>",
        _table(
            ("words", "lemma", "captions", "likeness", "images with both"),
            (
                (" / ".join(p.words), p.lemma, " / ".join(map(str, p.counts)), f"{p.cosine:.2f}",
                 "" if p.shared_images is None else p.shared_images)
                for p in dictionary.proposals
            ),
        ),
        "<h2>How it was built</h2>",
        _table(("kind looked for", "seed words", "of these in the captions"), _kinds(dictionary)),
        _table(("self-check", "value"), _flat(dictionary.scores)),
        _table(("setting", "value"), [*_flat(dictionary.settings), *_flat(dictionary.versions)]),
    ]  # fmt: skip
    return (
        '<!doctype html>\n<html lang="en"><head><meta charset="utf-8">'
        f"<title>Dictionary of {source}</title><style>{_STYLE}</style></head>\n<body>\n"
        + "\n".join(parts)
        + "\n</body></html>\n"
    )


def _summary(dictionary: Dictionary) -> str:
    count = sum(len(attribute.values) for attribute in dictionary.attributes)
    scores = dictionary.scores
    return (
        f"{len(dictionary.attributes)} attributes with {count} values, read from "
        f"{scores.get('num_captions', '?')} captions of {scores.get('num_images', '?')} images. "
        f"Selected: {', '.join(dictionary.names) or 'none'}."
    )


def _attribute(attribute: Attribute) -> str:
    most = max((value.count for value in attribute.values), default=1)
    tags = [
        "one value an image" if attribute.exclusive else "several values an image",
        "selected" if attribute.selected else "not selected",
    ]
    heading = " ".join(f'<small class="tag">{tag}</small>' for tag in tags)
    head = "".join(f"<th{cell}>{name}</th>" for name, cell in _COLUMNS)
    rows = "".join(_value(value, most) for value in attribute.values)
    return f"<h2>{escape(attribute.name)} {heading}</h2>\n<table><tr>{head}</tr>{rows}</table>"


def _value(value: Value, most: int) -> str:
    other = ", ".join(form for form in value.forms if form != value.text)
    cells = (
        f"{escape(value.text)} <em>{escape(other)}</em>" if other else escape(value.text),
        str(value.count),
        f'<meter max="{most}" value="{value.count}"></meter>',
        f"{value.score:.2f}",
        f"{value.margin:.2f}",
        escape(value.evidence),
        _group(value.cluster),
        f"<em>{escape(value.examples[0]) if value.examples else ''}</em>",
    )
    row = "".join(f"<td{cell}>{text}</td>" for (_, cell), text in zip(_COLUMNS, cells, strict=True))
    return f"<tr>{row}</tr>\n"


def _kinds(dictionary: Dictionary) -> Iterable[Sequence[object]]:
    return (
        (kind.name, ", ".join(kind.seeds), ", ".join(kind.found) or "none")
        for kind in dictionary.types
    )


def _flat(tree: object, prefix: str = "") -> list[tuple[str, object]]:
    """Leaves of nested mappings as (path, value) rows, in key order."""
    if not isinstance(tree, dict):
        return [(prefix, tree)]
    return [
        row
        for key in sorted(tree)
        for row in _flat(tree[key], f"{prefix} / {key}" if prefix else str(key))
    ]


def _group(label: int) -> str:
    return "noise" if label < 0 else str(label)


def _table(head: Sequence[str], rows: Iterable[Sequence[object]]) -> str:
    body = "".join(
        f"<tr>{''.join(f'<td>{escape(str(cell))}</td>' for cell in row)}</tr>" for row in rows
    )
    if not body:
        return "<p><em>None.</em></p>"
    return f"<table><tr>{''.join(f'<th>{escape(name)}</th>' for name in head)}</tr>{body}</table>"
