"""Stanford Cars: 16,185 photographs of 196 models, named by make, model, body type and year.

    ROOT/devkit/cars_meta.mat              class_names: "Acura RL Sedan 2012"
    ROOT/devkit/cars_train_annos.mat       bbox_x1 .. bbox_y2 from 1, class from 1, fname
    ROOT/cars_test_annos_withlabels.mat    the same of the test images; or in devkit
    ROOT/cars_train/00001.jpg, ROOT/cars_test/00001.jpg

One item an image: the car in its bounding box. Everything known of it stands in its model's name;
where that name has no body type ("Dodge Challenger SRT8 2011"), none is made up.
"""

from __future__ import annotations

import logging
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from datamodules.annotations import Box, Builder
from datamodules.annotations.table import spelling
from datamodules.errors import InputError
from datamodules.matlab import read_mat
from datamodules.sources.about import About, Files
from datamodules.sources.held_out import with_validation
from datamodules.sources.lines import safe_path
from datamodules.sources.table_source import TableSource

ABOUT = About(
    name="cars",
    title="Stanford Cars",
    homepage="https://ai.stanford.edu/~jkrause/cars/car_dataset.html",
    licence="non-commercial research and education; the photographs belong to their owners",
    citation=(
        "J. Krause, M. Stark, J. Deng, L. Fei-Fei. 3D Object Representations for Fine-Grained "
        "Categorization. 3dRR Workshop, ICCV 2013."
    ),
    get=(
        "The official site no longer serves it: find a copy of cars_train.tgz, cars_test.tgz, "
        "car_devkit.tgz and cars_test_annos_withlabels.mat, unpack them into one folder and set "
        "ROOT to it."
    ),
    files=(
        Files(
            "devkit/cars_meta.mat",
            1,
            "names of the models",
            sha256="fe43dfda289448f97c25b09e09fafc0414e22fc4143831537780884a0a5f4a1a",
        ),
        Files(
            "devkit/cars_train_annos.mat",
            1,
            "boxes and models of the training images",
            sha256="1c1973dd828a2964060b0bbc0e423466393fe3001a3f8e303f41fbf22067dfb1",
        ),
        Files("**/cars_test_annos_withlabels.mat", 1, "boxes and models of the test images", False),
        Files("cars_train/*.jpg", 8_144, "the training images"),
        Files("cars_test/*.jpg", 8_041, "the test images", False),
    ),
    class_attribute="car model",
)

# The other makes are the first word of their models' names.
MAKES = ("AM General", "Aston Martin", "Land Rover")
# What a name says of the body, and what that is; the last one in a name counts: "Cargo Van Minivan"
# is a minivan. Cabs are those of pickups.
BODIES = {
    "Convertible": "convertible", "Coupe": "coupe", "Hatchback": "hatchback", "Minivan": "minivan",
    "SUV": "SUV", "Sedan": "sedan", "Van": "van", "Wagon": "wagon",
    "Club Cab": "pickup", "Crew Cab": "pickup", "Extended Cab": "pickup", "Quad Cab": "pickup",
    "Regular Cab": "pickup", "SuperCab": "pickup",
}  # fmt: skip
TEMPLATES = {
    "car model": ("a {}", "a photo of a {}", "a photo of a {}, a type of car"),
    "make": ("a {}", "a photo of a {}", "a car made by {}"),
    "body type": ("a {}", "a photo of a {}", "a {} parked on a street"),
    "cab": ("a {} pickup", "a photo of a {} pickup"),
    "year": ("a car of {}", "a photo of a car made in {}", "a {} model"),
}

_BODY = re.compile(rf"\b({'|'.join(sorted(BODIES, key=len, reverse=True))})\b")
_CORNERS = ("bbox_x1", "bbox_y1", "bbox_x2", "bbox_y2")
_FIELDS = (*_CORNERS, "class", "fname")

_LOG = logging.getLogger(__name__)


class Model(NamedTuple):
    """What the name of a model says; "" where it does not."""

    make: str
    body: str
    cab: str
    year: str


def model(name: str) -> Model | None:
    """Take a name apart; None if it is not a make, a model and a year.

    Example:
        >>> model("Land Rover LR2 SUV 2012")
        Model(make='Land Rover', body='SUV', cab='', year='2012')
    """
    parts = re.fullmatch(r"(?P<make>\S+) (?P<rest>\S.*) (?P<year>(?:19|20)\d\d)", name)
    if parts is None:
        return None
    make = next((make for make in MAKES if name.startswith(f"{make} ")), parts["make"])
    bodies = _BODY.findall(parts["rest"])
    body = BODIES[bodies[-1]] if bodies else ""
    cab = bodies[-1].lower() if body == "pickup" else ""
    return Model(make, body, cab.replace("supercab", "super cab"), parts["year"])


def open_source(root: Path) -> TableSource:
    """Read the annotations.

    Raises:
        InputError: if a file is missing or broken; the message names file, field and entry.
    """
    names = _names(root / "devkit" / "cars_meta.mat")
    builder, places = Builder(), list[str]()
    _add(root / "devkit" / "cars_train_annos.mat", "train", names, builder, places)
    tests = [place / "cars_test_annos_withlabels.mat" for place in (root, root / "devkit")]
    test = next((file for file in tests if file.is_file()), None)
    if test is None:
        _LOG.warning("%s is missing: there is no split 'test'.", tests[0])
    else:
        _add(test, "test", names, builder, places)
    return TableSource(ABOUT, root, builder.table(places.__getitem__), root, {}, TEMPLATES)


def _names(path: Path) -> list[str]:
    """Names of the models, class 1 first."""
    _check_there(path, "the names of the models")
    cells = np.asarray(read_mat(path, ["class_names"])["class_names"]).ravel()
    names: list[str] = []
    for number, cell in enumerate(cells, start=1):
        name, place = _text(cell), f"{path}, class_names, entry {number}"
        if model(name) is None:
            raise InputError(
                f"{place}: expected a make, a model and a year, such as 'Acura RL Sedan 2012', got "
                f"{name[:80]!r}. {ABOUT.get}"
            )
        if spelling(name) in map(spelling, names):
            raise InputError(f"{place}: expected every model once, got {name!r} again. {ABOUT.get}")
        names.append(name)
    return names


def _add(
    path: Path, folder: str, names: Sequence[str], builder: Builder, places: list[str]
) -> None:
    """Add the images of a file of annotations; `places` gets the place of each row."""
    _check_there(path, "boxes and models of images")
    fields = read_mat(path, ["annotations"])["annotations"]
    if not isinstance(fields, dict) or any(name not in fields for name in _FIELDS):
        got = ", ".join(fields) if isinstance(fields, dict) else "no struct"
        raise InputError(
            f"expected annotations with the fields {', '.join(_FIELDS)} in {path}, got {got}. "
            f"{ABOUT.get}"
        )
    known = set()
    for number, entry in enumerate(zip(*(fields[each].ravel() for each in _FIELDS), strict=True)):
        place = f"{path}, annotations, entry {number + 1}"
        cells = dict(zip(_FIELDS, entry, strict=True))
        file = _text(cells["fname"])
        if not file:
            raise InputError(
                f"{place}: expected the name of an image as fname, got {str(cells['fname'])[:40]}. "
                "Correct the entry."
            )
        image = safe_path(f"cars_{folder}/{file}", place)
        if image in known:
            raise InputError(
                f"{place}: expected every image once, got {image!r} again. Correct the entry."
            )
        known.add(image)
        name = names[_whole(cells["class"], place, "class", len(names)) - 1]
        item = builder.item(image, with_validation(image, folder), "car", _box(cells, place))
        for attribute, value in _values(name):
            builder.label(item, attribute, value)
            places.append(f"{place}: ")


def _values(name: str) -> list[tuple[str, str]]:
    parts = model(name) or Model("", "", "", "")
    pairs = {"car model": name, "make": parts.make, "body type": parts.body, "cab": parts.cab,
             "year": parts.year}  # fmt: skip
    return [(attribute, value) for attribute, value in pairs.items() if value]


def _box(cells: dict[str, Any], place: str) -> Box:
    """x, y, width, height; the corners count from 1, and both are part of the box."""
    x1, y1, x2, y2 = (_whole(cells[corner], place, corner) for corner in _CORNERS)
    if x2 < x1 or y2 < y1:
        raise InputError(
            f"{place}: expected a box whose second corner lies right of and below the first, got "
            f"({x1}, {y1}) and ({x2}, {y2}). Correct the entry."
        )
    return float(x1 - 1), float(y1 - 1), float(x2 - x1 + 1), float(y2 - y1 + 1)


def _whole(cell: Any, place: str, field: str, most: int = 1 << 16) -> int:
    """A number from 1, as a Python int: bytes of MATLAB wrap when they are subtracted."""
    values = np.asarray(cell).ravel()
    good = values.size == 1 and values.dtype.kind in "iuf" and float(values[0]).is_integer()
    if not good or not 1 <= int(values[0]) <= most:
        raise InputError(
            f"{place}: expected a whole number from 1 to {most} as {field}, got "
            f"{str(cell)[:40]}. Correct the entry."
        )
    return int(values[0])


def _text(cell: Any) -> str:
    """A text; "" for everything else, which is then no name."""
    values = np.asarray(cell).ravel()
    return str(values[0]).strip() if values.size == 1 and values.dtype.kind == "U" else ""


def _check_there(path: Path, what: str) -> None:
    if not path.is_file():
        raise InputError(f"expected {what} at {path}, found no such file. {ABOUT.get}")
