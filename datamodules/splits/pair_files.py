"""The published lists of pairs: `compositional-split-natural/{train,val,test}_pairs.txt`.

A line is a value and an object, "ancient building"; either may hold "_", "-", "." but no blank. The
validation and test lists hold pairs of train beside unseen ones, since both are scored together.
MIT-States (train 1,262, unseen 300 + 400) and UT-Zappos come from Purushwalkam et al. (ICCV 2019),
C-GQA (5,592, 1,252 + 923) from Naeem et al. (CVPR 2021).
"""

from __future__ import annotations

from collections.abc import Iterable
from pathlib import Path
from typing import NamedTuple

from datamodules.errors import InputError

Pair = tuple[str, str]


class PairLists(NamedTuple):
    """Pairs (value, object) of each part, in file order."""

    train: tuple[Pair, ...]
    validation: tuple[Pair, ...]
    test: tuple[Pair, ...]

    @property
    def unseen_validation(self) -> tuple[Pair, ...]:
        """Validation pairs that train does not hold."""
        return _without(self.validation, self.train)

    @property
    def unseen_test(self) -> tuple[Pair, ...]:
        """Test pairs that train does not hold."""
        return _without(self.test, self.train)

    @property
    def all(self) -> tuple[Pair, ...]:
        """Every pair once, ascending."""
        return tuple(sorted({*self.train, *self.validation, *self.test}))


def read_pair_lists(folder: Path) -> PairLists:
    """Read the three lists of a folder such as `compositional-split-natural`.

    Raises:
        InputError: if a file is missing or broken, a primitive is missing from train, or an unseen
            pair is both validated and tested.
    """
    lists = PairLists(*(read_pairs(folder / f"{part}_pairs.txt") for part in _FILES))
    try:
        check_primitives(lists.train, (*lists.validation, *lists.test))
    except InputError as error:
        raise InputError(f"{folder}: {error}") from None
    if both := sorted({*lists.unseen_validation} & {*lists.unseen_test}):
        raise InputError(
            f"{folder}: the pair {' '.join(both[0])!r} is unseen in validation and in test; "
            "expected every unseen pair in one of them, else what is tested selects. Remove it "
            "from one."
        )
    return lists


def read_pairs(path: Path) -> tuple[Pair, ...]:
    """Read one list, a pair a line; blank lines are skipped.

    Raises:
        InputError: if the file is missing or empty, or a line is not a pair or occurs before; the
            message names file and line.
    """
    try:
        text = path.read_text(encoding="utf-8-sig")
    except UnicodeDecodeError as error:
        raise InputError(f"expected UTF-8 text in {path}, got {error}. Save it as UTF-8.") from None
    except (FileNotFoundError, NotADirectoryError):
        raise InputError(
            f"expected a list of pairs at {path}, found no such file. It has a value and an object "
            "a line."
        ) from None
    except OSError as error:
        raise InputError(f"could not read {path}: {error.strerror or error}.") from None
    line_of: dict[Pair, int] = {}
    for number, line in enumerate(text.split("\n"), start=1):
        words = line.split()
        if not words:
            continue
        if len(words) != 2:
            raise InputError(
                f"{path}, line {number}: expected a value and an object, got {line.strip()[:80]!r}."
                " Correct the line; words inside a name are joined by '_'."
            )
        pair = words[0], words[1]
        if line_of.setdefault(pair, number) != number:
            raise InputError(
                f"{path}, line {number}: expected every pair once, got {' '.join(pair)!r} again "
                f"(line {line_of[pair]}). Remove one of them."
            )
    if not line_of:
        raise InputError(f"expected pairs in {path}, got none. Add a value and an object a line.")
    return tuple(line_of)


def check_primitives(train: Iterable[Pair], others: Iterable[Pair]) -> None:
    """Refuse pairs whose value or object no train pair holds: nothing could teach it.

    Raises:
        InputError: if there is such a pair; the message names up to five primitives and counts.
    """
    seen, others = set(train), set(others)
    for index, kind in enumerate(("value", "object")):
        if missing := sorted({pair[index] for pair in others} - {pair[index] for pair in seen}):
            more = f" and {len(missing) - 5} more" if len(missing) > 5 else ""
            raise InputError(
                f"expected every {kind} in a train pair, {len(missing)} are in none: "
                f"{', '.join(missing[:5])}{more}. Move a pair of each to train, or remove its "
                "pairs."
            )


_FILES = ("train", "val", "test")


def _without(pairs: Iterable[Pair], seen: Iterable[Pair]) -> tuple[Pair, ...]:
    known = set(seen)
    return tuple(pair for pair in pairs if pair not in known)
