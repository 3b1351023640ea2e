"""Running text of a user's own -> sentences that `word2vec` is trained on.

Plain text in UTF-8, one sentence or paragraph a line, also packed by gzip. A file is read line by
line, and a word is kept in memory once, however often it comes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from pathlib import Path

from datamodules.dictionary.embed.trained import Word2VecSettings
from datamodules.errors import InputError
from datamodules.normalize import normalize
from datamodules.sources.lines import read_lines

# For text that says more than captions do: a wider window and more numbers for its many slots, and
# words that come only twice, since the words to be typed are rare in it. Chosen on words of this
# project's own, as docs/dictionary.md says.
RUNNING_TEXT = Word2VecSettings(size=100, window=3, min_count=2, epochs=6)

_LONGEST = 10_000  # words: gensim ignores what a sentence has beyond them
_GET = "Give a file of running text, one sentence or paragraph a line."


def read_text(path: Path) -> Iterator[list[str]]:
    """Yield the normalized words of every line that holds any.

    Raises:
        InputError: if the file is missing, holds no word or is not UTF-8; the message names the
            line.
    """
    found = False
    for _, line in read_lines(path, "running text", get=_GET):
        words = normalize(line).split()
        for start in range(0, len(words), _LONGEST):
            found = True
            yield words[start : start + _LONGEST]
    if not found:
        raise InputError(f"expected words in {path}, got none. {_GET}")


def shared_words(sentences: Iterable[list[str]]) -> Iterator[list[str]]:
    """Yield the sentences with equal words as one object: text takes a third of the memory."""
    first: dict[str, str] = {}
    for sentence in sentences:
        yield [first.setdefault(word, word) for word in sentence]
