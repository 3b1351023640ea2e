"""Names of words that survive rebuilds."""

from __future__ import annotations

import hashlib


def word_id(word: str) -> str:
    """A name that depends on the normalized spelling of a word alone."""
    return "v_" + hashlib.sha256(word.encode(errors="surrogatepass")).hexdigest()[:8]
