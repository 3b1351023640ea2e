"""Names for WordNet's numbers, "n01440764" -> "tench", from files that people have with ImageNet.

    classnames.txt             "n01440764 tench": the names that CLIP's prompts use
    LOC_synset_mapping.txt     "n01440764 tench, Tinca tinca": synonyms, of which the first counts
    synset_words.txt           the same
    words.txt                  the same for all of WordNet, after a tab

Two numbers never share a name: "crane" is a bird and a machine. The later of two takes its whole
list of synonyms, and, where that does not tell them apart, its number: "crane (n03126707)".
"""

from __future__ import annotations

import re
from collections.abc import Collection
from pathlib import Path

from datamodules.errors import InputError
from datamodules.sources.lines import read_lines

FILES = ("classnames.txt", "LOC_synset_mapping.txt", "synset_words.txt", "words.txt")
WNID = re.compile(r"n\d{8}")
_WHOLE = ("classnames.txt",)  # a comma belongs to the name


def find_names(*folders: Path) -> Path | None:
    """The first of the files above that lies in one of the folders; None if there is none."""
    return next(
        (folder / name for name in FILES for folder in folders if (folder / name).is_file()), None
    )


def read_names(path: Path, wanted: Collection[str]) -> dict[str, str]:
    """The names of the wanted numbers, as far as the file has them, no two alike.

    Raises:
        InputError: if the file is missing, or a line is broken or repeats a number.
    """
    full: dict[str, str] = {}
    for line, text in read_lines(path, "names of classes"):
        wnid, _, name = text.strip().replace("\t", " ").partition(" ")
        name = " ".join(name.split())
        if not WNID.fullmatch(wnid) or not name:
            raise InputError(
                f"{path}, line {line}: expected a number of WordNet and a name, such as 'n01440764 "
                f"tench', got {text.strip()[:80]!r}. Correct or remove the line."
            )
        if full.setdefault(wnid, name) != name:
            raise InputError(
                f"{path}, line {line}: expected {wnid} once, got it as {full[wnid]!r} and {name!r}."
                " Remove one of the lines."
            )
    wnids = sorted(wnid for wnid in wanted if wnid in full)
    return distinct({wnid: full[wnid] for wnid in wnids}, synonyms=path.name not in _WHOLE)


def distinct(full: dict[str, str], *, synonyms: bool) -> dict[str, str]:
    """Each number's shortest name that no earlier one has.

    Args:
        full: name by number.
        synonyms: whether a name is a list of synonyms, of which the first is enough.
    """
    names: dict[str, str] = {}
    taken: set[str] = set()
    for wnid, name in full.items():
        forms = (name.split(",")[0].strip() if synonyms else name, name, f"{name} ({wnid})")
        names[wnid] = next(form for form in forms if form and form.lower() not in taken)
        taken.add(names[wnid].lower())
    return names
