"""What counts as a word or a name in edits, wherever it is written."""

from __future__ import annotations

import unicodedata

from datamodules.dictionary.lookup import word_key


def tidy(text: str) -> str:
    """A word or name with single blanks.

    Raises:
        ValueError: if nothing is left or it cannot be printed; the message is what came, to follow
            "expected a word, got".
    """
    word = " ".join(text.split())
    if not word_key(word):
        raise ValueError("an empty one")
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in word):
        raise ValueError(f"{word!a}, which cannot be printed")
    return word
