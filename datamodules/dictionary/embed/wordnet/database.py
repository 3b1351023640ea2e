"""WordNet's own relations as features: what a word is a kind of, and what it is an attribute of.

A word becomes a bag of traits, over its first senses in each part of speech:

    the lexicographer file             noun.substance, verb.motion, ...
    every synset above it              denim -> fabric -> artifact -> ...
    the head of an adjective's cluster crimson -> chromatic, and the noun it is an attribute of
    the noun or verb it is made from   wooden -> wood, worn -> wear, with all of theirs

Traits weigh less in later senses and farther up, and less the more texts have them; 256 singular
vectors keep what matters of them. Read from a user's WordNet database files, `dict/` (wndb(5WN),
wninput(5WN)): <https://wordnet.princeton.edu/documentation/wndb5wn>. Debian: `wordnet-base`.

Shape letters: W texts, D features.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence
from functools import cached_property, lru_cache
from pathlib import Path
from typing import NamedTuple

import numpy as np

from datamodules.dictionary.words.evidence import Array
from datamodules.dictionary.words.vectors import unit_rows
from datamodules.errors import InputError

FILES = {"a": "adj", "n": "noun", "v": "verb", "r": "adv"}
_WEIGHT = {"a": 1.0, "n": 0.7, "v": 0.7, "r": 0.2}  # attributes are adjectives first
_SENSES = 4
_STEP = 0.9  # weight of a synset one step up
_ORIGIN = 0.5  # weight of what an adjective is made from
_SIZE = 256
_ABOVE = ("@", "@i")
_MADE_FROM = ("\\", "<", "+")
_ENDINGS = {
    "n": (("s", ""), ("ses", "s"), ("xes", "x"), ("zes", "z"), ("ches", "ch"), ("shes", "sh"),
          ("men", "man"), ("ies", "y")),
    "v": (("s", ""), ("ies", "y"), ("es", "e"), ("es", ""), ("ed", "e"), ("ed", ""), ("ing", "e"),
          ("ing", "")),
    "a": (("er", ""), ("est", ""), ("er", "e"), ("est", "e")),
    "r": (),
}  # fmt: skip


class Synset(NamedTuple):
    """One line of a data file.

    Attributes:
        words: its words, blanks written as underscores.
        file: number of its lexicographer file.
        satellite: whether it is an adjective of another's cluster.
        pointers: symbol, part of speech and offset of every related synset.
        gloss: its definition and examples.
    """

    words: tuple[str, ...]
    file: int
    satellite: bool
    pointers: tuple[tuple[str, str, int], ...]
    gloss: str

    def to(self, *symbols: str) -> list[tuple[str, int]]:
        """Part of speech and offset of the synsets that one of `symbols` points to."""
        return [(part, offset) for symbol, part, offset in self.pointers if symbol in symbols]


class WordNet:
    """The database files of a folder, read at the first question.

    Args:
        folder: holds index.noun, data.noun and so on, or a folder `dict` that does.

    Attributes:
        folder: the one that holds the files.
        files: the files.

    Raises:
        InputError: if a file is missing.
    """

    def __init__(self, folder: Path) -> None:
        inner = folder / "dict"
        self.folder = inner if inner.is_dir() else folder
        self.files = tuple(
            self.folder / f"{kind}.{name}" for kind in ("index", "data") for name in FILES.values()
        )
        for path in self.files:
            if not path.is_file():
                raise InputError(
                    f"expected WordNet's file {path.name} in {self.folder}, found none. Give "
                    "wordnet:FOLDER with the folder `dict` of WordNet, or leave wordnet out."
                )
        self.synset = lru_cache(maxsize=None)(self._synset)
        self._above = lru_cache(maxsize=None)(self._steps_above)

    def synsets(self, part: str) -> Iterator[tuple[int, Synset]]:
        """Offset and synset of every line of a part of speech: "n", "v", "a" or "r"."""
        offset = 0
        for line in self._data[part].splitlines(keepends=True):
            if not line.startswith(b" "):
                yield offset, self.synset(part, offset)
            offset += len(line)

    def senses(self, word: str, part: str) -> list[list[int]]:
        """Offsets of the senses of each base form of a word, first sense first."""
        index = self._index[part]
        forms = [
            word,
            *(word[: -len(old)] + new for old, new in _ENDINGS[part] if _ends(word, old)),
        ]
        # "wrapped" -> "wrapp" -> "wrap"
        forms += [form[:-1] for form in forms[1:] if len(form) > 2 and form[-1:] == form[-2:-1]]
        return [index[form] for form in dict.fromkeys(forms) if form in index]

    def traits(self, phrase: str) -> dict[str, float]:
        """Weight of each trait of a phrase; of its head where the phrase has no entry.

        The head is the last word, of "walking slowly" the first.
        """
        for spelling in dict.fromkeys(phrase.replace(" ", sign) for sign in ("_", "-", "")):
            found: dict[str, float] = {}
            for part, weight in _WEIGHT.items():
                for offsets in self.senses(spelling, part):
                    for rank, offset in enumerate(offsets[:_SENSES], start=1):
                        self._add(found, part, offset, weight / rank)
            if found:
                return found
        words = phrase.split()
        if len(words) < 2:
            return {}
        return self.traits(words[0] if words[0].endswith("ing") else words[-1])

    def _add(
        self, found: dict[str, float], part: str, offset: int, weight: float, *, origin: bool = True
    ) -> None:
        synset = self.synset(part, offset)
        _plus(found, f"file {synset.file}", weight)
        for above, steps in self._above(part, offset):
            _plus(found, above, weight * _STEP**steps)
        if part != "a":
            return
        for head in synset.to("&") if synset.satellite else [(part, offset)]:
            _plus(found, f"cluster {head[1]}", weight)
            for noun in self.synset(*head).to("="):
                _plus(found, f"attribute {noun[1]}", weight)
                for above, steps in self._above(*noun):
                    _plus(found, above, weight * _STEP**steps)
        if origin:
            for source in synset.to(*_MADE_FROM):
                self._add(found, *source, weight * _ORIGIN, origin=False)

    def _steps_above(self, part: str, offset: int) -> tuple[tuple[str, int], ...]:
        steps = {(part, offset): 0}
        queue = [(part, offset)]
        for place in queue:
            for above in self.synset(*place).to(*_ABOVE):
                if above not in steps:
                    steps[above] = steps[place] + 1
                    queue.append(above)
        return tuple((f"{kind}{at}", count) for (kind, at), count in steps.items())

    def _synset(self, part: str, offset: int) -> Synset:
        data = self._data[part]
        end = data.find(b"\n", offset)
        line = data[offset : end if end >= 0 else None].decode(errors="replace")
        try:
            return _parsed(line, offset)
        except (ValueError, IndexError, KeyError):
            raise InputError(
                f"{self.folder / f'data.{FILES[part]}'}, byte {offset}: expected a synset, got "
                f"{line[:80]!r}. Index and data files must come from one release of WordNet."
            ) from None

    @cached_property
    def _data(self) -> dict[str, bytes]:
        return {part: (self.folder / f"data.{name}").read_bytes() for part, name in FILES.items()}

    @cached_property
    def _index(self) -> dict[str, dict[str, list[int]]]:
        return {part: _read_index(self.folder / f"index.{name}") for part, name in FILES.items()}


def wordnet_features(wordnet: WordNet, texts: Sequence[str]) -> Array:
    """Unit rows, (W, D): texts with common traits have a large product; zeros where it has no word.

    Args:
        wordnet: the database.
        texts: normalized words and phrases, all of the vocabulary: rare traits weigh more.
    """
    from scipy.sparse import csr_array
    from sklearn.utils.extmath import randomized_svd
    from threadpoolctl import threadpool_limits

    bags = [wordnet.traits(text) for text in texts]
    holders = Counter(trait for bag in bags for trait in bag)
    shared = sorted(trait for trait, count in holders.items() if count > 1)
    column = {trait: number for number, trait in enumerate(shared)}
    cells = [
        (row, column[trait], weight * np.log(len(texts) / holders[trait]))
        for row, bag in enumerate(bags)
        for trait, weight in bag.items()
        if trait in column
    ]
    if not cells:
        return np.zeros((len(texts), 1))
    rows, columns, weights = (np.asarray(each) for each in zip(*cells, strict=True))
    table = csr_array((weights, (rows, columns)), shape=(len(texts), len(shared)))
    length_W = np.sqrt(np.asarray(table.multiply(table).sum(axis=1))).ravel()
    table = csr_array(table.multiply(1 / np.maximum(length_W, 1e-12)[:, None]))
    if min(table.shape) <= _SIZE + 1:
        return unit_rows(table.toarray())
    with threadpool_limits(1):  # sums over several threads differ in their last bits
        left_WD, size_D, _ = randomized_svd(table, _SIZE, n_iter=7, random_state=0)
    return unit_rows(left_WD * size_D)


def _read_index(path: Path) -> dict[str, list[int]]:
    index: dict[str, list[int]] = {}
    with path.open(encoding="utf-8", errors="replace") as stream:
        for number, line in enumerate(stream, start=1):
            if line.startswith(" ") or line.isspace():  # the licence
                continue
            fields = line.split()
            try:
                count = int(fields[2])
                index[fields[0]] = [int(offset) for offset in fields[len(fields) - count :]]
                if count < 1 or len(fields) < 6 + count:
                    raise ValueError(line)
            except (ValueError, IndexError):
                raise InputError(
                    f"{path}, line {number}: expected a word with its senses, got "
                    f"{line.strip()[:80]!r}. Use an unchanged release of WordNet."
                ) from None
    return index


def _parsed(line: str, offset: int) -> Synset:
    """The fields of a data line; raises ValueError, IndexError or KeyError if it is none."""
    fields, _, gloss = line.partition("|")
    given, file, kind, size, *rest = fields.split()
    if int(given) != offset:
        raise ValueError(given)
    num_words = int(size, 16)
    words = tuple(rest[: 2 * num_words : 2])
    num_pointers = int(rest[2 * num_words])
    tail = rest[2 * num_words + 1 :]
    pointers = tuple(
        (tail[at], _part(tail[at + 2]), int(tail[at + 1])) for at in range(0, 4 * num_pointers, 4)
    )
    return Synset(words, int(file), kind == "s", pointers, gloss.strip())


def _part(code: str) -> str:
    part = "a" if code == "s" else code
    if part not in FILES:
        raise KeyError(code)
    return part


def _ends(word: str, ending: str) -> bool:
    return word.endswith(ending) and len(word) > len(ending) + 1


def _plus(found: dict[str, float], trait: str, weight: float) -> None:
    found[trait] = found.get(trait, 0.0) + weight
