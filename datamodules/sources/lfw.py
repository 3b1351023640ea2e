"""Labeled Faces in the Wild: 13,143 photographs of public persons with 73 attributes each.

For research only. The photographs show real, named people, and every label is the guess of a
classifier of 2009 about their looks, gender and origin: fit to study how a model treats such
labels, not to judge anybody. Who a person is, is not read as an attribute.

    ROOT/lfw_attributes.txt   # a comment; then #, person, imagenum and the names, between tabs:
                              Aaron Eckhart   1   1.568   -1.889   ...
    ROOT/peopleDevTrain.txt   the number of persons; then Aaron_Eckhart   1
    ROOT/peopleDevTest.txt    the same; no person is in both
    ROOT/lfw-deepfunneled/Aaron_Eckhart/Aaron_Eckhart_0001.jpg     or lfw_funneled, or lfw

A score above 0 says shown; its distance from 0, up to 1, is the weight.
"""

from __future__ import annotations

import logging
import math
from array import array
from collections.abc import Sequence
from pathlib import Path

from datamodules.annotations import Builder
from datamodules.errors import InputError
from datamodules.sources.about import About, Download, Files
from datamodules.sources.held_out import with_validation
from datamodules.sources.lines import read_lines, safe_path, split_fields, whole_number
from datamodules.sources.table_source import TableSource

ABOUT = About(
    name="lfw",
    title="Labeled Faces in the Wild",
    homepage="http://vis-www.cs.umass.edu/lfw/",
    licence="research only; labels of looks are made by a machine",
    citation=(
        "G. B. Huang, M. Ramesh, T. Berg, E. Learned-Miller. Labeled Faces in the Wild. Technical "
        "Report 07-49, University of Massachusetts, Amherst, 2007. Attributes: N. Kumar, A. C. "
        "Berg, P. N. Belhumeur, S. K. Nayar. Attribute and Simile Classifiers for Face "
        "Verification. ICCV 2009."
    ),
    get=(
        "Put into ROOT: lfw-deepfunneled.tgz, unpacked, peopleDevTrain.txt and peopleDevTest.txt "
        "of the official site, http://vis-www.cs.umass.edu/lfw/, and lfw_attributes.txt of "
        "http://www.cs.columbia.edu/CAVE/databases/pubfig/."
    ),
    files=(
        Files("lfw_attributes.txt", 1, "the attributes"),
        Files(
            "peopleDevTrain.txt",
            1,
            "the persons of the training split",
            sha256="2e58df13ba4cc143189336e001cc2c195f1dfa5b29a6475c02857be353c2a2fa",
        ),
        Files(
            "peopleDevTest.txt",
            1,
            "the persons of the test split",
            sha256="c3ed1f90499473401542101a56c14c1d82396bb8218c67a356d7460601047555",
        ),
        Files("lfw*/*/*_[0-9][0-9][0-9][0-9].jpg", 13_233, "the photographs"),
    ),
    downloads=(
        Download(
            "http://www.cs.columbia.edu/CAVE/databases/pubfig/download/lfw_attributes.txt",
            "lfw_attributes.txt",
        ),
        Download(
            "https://ndownloader.figshare.com/files/5976018",
            "lfw.tgz",
            "055f7d9c632d7370e6fb4afc7468d40f970c34a80d4c6f50ffec63f5a8d536c0",
        ),
    ),
)

# Labels of one kind make one attribute; every other label is an attribute of its own.
GROUPS = {
    "hair color": {"Black Hair": "black", "Blond Hair": "blond", "Brown Hair": "brown",
                   "Gray Hair": "gray"},
    "hair style": {"Curly Hair": "curly", "Straight Hair": "straight", "Wavy Hair": "wavy"},
    "hairline": {"Bald": "bald", "Bangs": "bangs", "Receding Hairline": "receding"},
    "facial hair": {"5 o' Clock Shadow": "5 o'clock shadow", "Goatee": "goatee",
                    "Mustache": "mustache", "No Beard": "no beard", "Sideburns": "sideburns"},
    "glasses": {"Eyeglasses": "eyeglasses", "Sunglasses": "sunglasses", "No Eyewear": "no eyewear"},
    "face shape": {"Oval Face": "oval", "Round Face": "round", "Square Face": "square"},
    "forehead": {"Fully Visible Forehead": "fully visible", "Obstructed Forehead": "obstructed",
                 "Partially Visible Forehead": "partially visible"},
    "eyebrows": {"Arched Eyebrows": "arched", "Bushy Eyebrows": "bushy"},
    "nose": {"Big Nose": "big", "Pointy Nose": "pointy"},
    "mouth": {"Mouth Closed": "closed", "Mouth Slightly Open": "slightly open",
              "Mouth Wide Open": "wide open"},
    "expression": {"Frowning": "frowning", "Smiling": "smiling"},
    "skin": {"Flushed Face": "flushed", "Pale Skin": "pale", "Rosy Cheeks": "rosy cheeks",
             "Shiny Skin": "shiny"},
    "age": {"Baby": "baby", "Child": "child", "Middle Aged": "middle aged", "Senior": "senior",
            "Youth": "youth"},
    "gender": {"Female": "female", "Male": "male"},
    "origin": {"Asian": "asian", "Black": "black", "Indian": "indian", "White": "white"},
    "wearing": {"Heavy Makeup": "heavy makeup", "Wearing Earrings": "earrings",
                "Wearing Hat": "hat", "Wearing Lipstick": "lipstick",
                "Wearing Necklace": "necklace", "Wearing Necktie": "necktie"},
    "lighting": {"Flash": "flash", "Harsh Lighting": "harsh", "Soft Lighting": "soft"},
    "photograph": {"Blurry": "blurry", "Color Photo": "in color", "Posed Photo": "posed"},
}  # fmt: skip
_PHRASES = {
    "hair color": "a person with {} hair", "hair style": "a person with {} hair",
    "face shape": "a person with a {} face", "eyebrows": "a person with {} eyebrows",
    "nose": "a person with a {} nose", "mouth": "a person with the mouth {}",
    "forehead": "a person with a {} forehead", "expression": "a person who is {}",
    "glasses": "a person with {}", "facial hair": "a person with {}",
    "wearing": "a person wearing {}", "lighting": "a person in {} light",
    "gender": "a {} person", "age": "a {} person", "photograph": "a photo that is {}",
}  # fmt: skip
TEMPLATES = {name: (phrase, f"a photo of {phrase}") for name, phrase in _PHRASES.items()}

_PAIR = {label: (name, value) for name, of in GROUPS.items() for label, value in of.items()}
_FOLDERS = ("lfw-deepfunneled", "lfw_funneled", "lfw")

_LOG = logging.getLogger(__name__)


def open_source(root: Path) -> TableSource:
    """Read the attributes; rows whose image is not there are left out, if any image is.

    Raises:
        InputError: if a file is missing or broken; the message names file and line.
    """
    images = next((root / name for name in _FOLDERS if (root / name).is_dir()), root / _FOLDERS[0])
    path = root / "lfw_attributes.txt"
    split_of = _splits(root)
    builder, lines, absent = Builder(), array("l"), list[str]()
    pairs: list[tuple[str, str]] = []
    seen: dict[str, int] = {}
    for line, text in read_lines(path, "the attributes of the faces", get=ABOUT.get):
        if text.startswith("#"):
            pairs = pairs or _header(text)
            continue
        place = f"{path}, line {line}"
        cells = _cells(text, place, pairs)
        person = cells[0].strip().replace(" ", "_")
        image = _image(person, cells[1], place)
        if person not in split_of:
            raise InputError(
                f"{place}: expected a person of peopleDevTrain.txt or peopleDevTest.txt, got "
                f"{cells[0][:80]!r}. Correct the name, or add it to one of them."
            )
        if seen.setdefault(image, line) != line:
            raise InputError(
                f"{place}: expected every image once, got {image!r} again, which is in line "
                f"{seen[image]}. Remove one of the lines."
            )
        scores = [_score(cell, place) for cell in cells[2:]]
        if images.is_dir() and not (images / image).is_file():
            absent.append(image)
            continue
        item = builder.item(image, with_validation(image, split_of[person], group=person), "person")
        for (attribute, value), score in zip(pairs, scores, strict=True):
            builder.label(item, attribute, value, int(score > 0), min(1.0, abs(score)))
            lines.append(line)
    _tell(len(seen), absent, path, images)
    table = builder.table(lambda row: f"{path}, line {lines[row]}: ")
    return TableSource(ABOUT, root, table, images, {}, TEMPLATES)


def _splits(root: Path) -> dict[str, str]:
    """The split of each person: View 1 of the official release."""
    split_of: dict[str, str] = {}
    for split, name in (("train", "peopleDevTrain.txt"), ("test", "peopleDevTest.txt")):
        path, count, expected = root / name, 0, -1
        for line, text in read_lines(path, f"the persons of the {split} split", get=ABOUT.get):
            place = f"{path}, line {line}"
            if expected < 0:
                expected = whole_number(text.strip(), place, "the number of persons")
                continue
            person, number = split_fields(text, path, line, 2, "person, number of images")
            whole_number(number, place, "a number of images", least=1)
            if person in split_of:
                raise InputError(
                    f"{place}: expected every person once, got {person!r} again. Remove one of "
                    "the lines."
                )
            split_of[person] = split
            count += 1
        if count != expected:
            raise InputError(
                f"expected the number of persons, then as many lines in {path}, got the number "
                f"{max(expected, 0):,} and {count:,} lines. {ABOUT.get}"
            )
    return split_of


def _header(text: str) -> list[tuple[str, str]]:
    """Attribute and value of each column after person and imagenum; none if it is a comment."""
    names = [cell.strip() for cell in text.lstrip("#").strip().split("\t")]
    if names[:2] != ["person", "imagenum"]:
        return []
    return [_PAIR.get(name, (name.lower(), name.lower())) for name in names[2:]]


def _cells(text: str, place: str, pairs: Sequence[tuple[str, str]]) -> list[str]:
    if not pairs:
        raise InputError(
            f"{place}: expected the line '# person imagenum ...' with the names of the attributes, "
            f"separated by tabs, before the first face, got {text[:40]!r}. {ABOUT.get}"
        )
    cells = text.rstrip().split("\t")
    if len(cells) != len(pairs) + 2:
        raise InputError(
            f"{place}: expected a person, a number and {len(pairs)} scores, separated by tabs, got "
            f"{len(cells)} cells: {text[:80]!r}. Correct or remove the line."
        )
    return cells


def _image(person: str, number: str, place: str) -> str:
    digits = whole_number(number.strip(), place, "the number of an image", least=1)
    return safe_path(f"{person}/{person}_{digits:04d}.jpg", place)


def _score(cell: str, place: str) -> float:
    try:
        score = float(cell)
    except ValueError:
        score = math.nan
    if not math.isfinite(score):
        raise InputError(f"{place}: expected a number, got {cell[:80]!r}. Correct the line.")
    return score


def _tell(num_rows: int, absent: Sequence[str], path: Path, images: Path) -> None:
    """What was left out: said, where it is a part; refused, where it is all."""
    if len(absent) == num_rows:
        example = f"; {images / absent[0]} is missing" if absent else ""
        raise InputError(
            f"expected faces in {path} whose images are below {images}, got none of {num_rows:,}"
            f"{example}. {ABOUT.get}"
        )
    if absent:
        _LOG.warning("%d of %d faces have no image below %s, such as %s; they are left out.",
                     len(absent), num_rows, images, absent[0])  # fmt: skip
