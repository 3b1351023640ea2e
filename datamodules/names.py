"""Attribute names are data: "type", "a.b" or "../x" must not become paths or module names as they are."""

from __future__ import annotations

import hashlib
import re

# Names that clash with attributes of torch modules, whose containers refuse them as keys.
_RESERVED = frozenset(
    {"type", "train", "eval", "half", "float", "double", "forward", "default", "base", "test"}
)
_SAFE = re.compile(r"[a-z][a-z0-9_]{0,63}")
_CHANGED = re.compile(r".*_[0-9a-f]{4}")  # looks like a name that was changed, so it is changed too


def safe_name(display: str) -> str:
    """A name fit for folders, adapter names and module keys; plain names stay as they are.

    Different display names never share a safe name: whatever had to be changed carries four
    hexadecimal digits of the display name's hash.

    Example:
        >>> safe_name("color"), safe_name("type"), safe_name("../x")
        ('color', 'type_1303', 'x_d6b9')
    """
    if _SAFE.fullmatch(display) and display not in _RESERVED and not _CHANGED.fullmatch(display):
        return display
    slug = re.sub(r"[^a-z0-9]+", "_", display.lower())[:64].strip("_") or "attribute"
    slug = slug if slug[0].isalpha() else f"a_{slug}"
    digest = hashlib.sha256(display.encode(errors="surrogatepass")).hexdigest()
    return f"{slug}_{digest[:4]}"
