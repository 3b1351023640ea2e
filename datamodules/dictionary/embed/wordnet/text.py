"""WordNet as running text, to train word vectors on: its definitions, examples and relations.

Of each synset: its words with the definition; each example; its words with the first word of every
synset they relate to ("denim dungaree jean fabric"); and of a noun, the chain of what is above it
("denim fabric artifact whole object").
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from datamodules.dictionary.embed.wordnet.database import FILES, Synset, WordNet
from datamodules.normalize import normalize

_RELATED = ("@", "&", "=", "\\", "+", "<")
_ABOVE = 5
_QUOTED = re.compile(r'"([^"]*)"?')


def wordnet_sentences(wordnet: WordNet) -> Iterator[list[str]]:
    """Yield lists of normalized words: about three million words in all of WordNet 3.0.

    Raises:
        InputError: if the database is broken.
    """
    for part in FILES:
        for offset, synset in wordnet.synsets(part):
            words = [word for name in synset.words for word in _split(name)]
            definition = _QUOTED.sub(" ", synset.gloss)
            yield words + normalize(definition).split()
            yield from (normalize(example).split() for example in _QUOTED.findall(synset.gloss))
            related = [word for place in synset.to(*_RELATED) for word in _first(wordnet, place)]
            if related:
                yield words + related
            if part == "n":
                yield _chain(wordnet, synset, offset)


def _chain(wordnet: WordNet, synset: Synset, offset: int) -> list[str]:
    words, place = _first(wordnet, ("n", offset)), synset.to("@", "@i")
    for _ in range(_ABOVE - 1):
        if not place:
            break
        words += _first(wordnet, place[0])
        place = wordnet.synset(*place[0]).to("@", "@i")
    return words


def _first(wordnet: WordNet, place: tuple[str, int]) -> list[str]:
    return _split(wordnet.synset(*place).words[0])


def _split(name: str) -> list[str]:
    return normalize(name.partition("(")[0]).split()
