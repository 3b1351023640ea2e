"""Where the parts of the birds are: one point a part, in the pixels of the official image.

    parts/parts.txt       7 left eye            part, name
    parts/part_locs.txt   4 7 126.0 203.0 1     image, part, x, y, visible
                          5 7 0.0 0.0 0         not visible

Shape letters: N images, P parts (15 in the official release), 2 for x and y.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import numpy.typing as npt

from datamodules.annotations.table import spelling
from datamodules.errors import InputError
from datamodules.sources.cub.about import ABOUT
from datamodules.sources.cub.tables import image_names, numbered, release_folder
from datamodules.sources.lines import read_lines, split_fields

_NAMES, _PLACES = "parts/parts.txt", "parts/part_locs.txt"
_HIDDEN = (math.nan, math.nan)


@dataclass(frozen=True, eq=False)
class Parts:
    """Where the parts of every bird are.

    Attributes:
        names: the P parts, in the order of `parts.txt`: "back", "left eye".
        point_NP2: x and y in pixels of the official image, NaN where the part is not visible. A
            point outside the image or the bird's box is left as it is. Rows are in the order of
            `images.txt`, which is that of the source's items.
        visible_NP: whether the part is visible.
    """

    names: tuple[str, ...]
    point_NP2: npt.NDArray[np.float64]  # noqa: N815 -- shape letters
    visible_NP: npt.NDArray[np.bool_]


def read_parts(root: Path) -> Parts:
    """Read the parts.

    Args:
        root: `CUB_200_2011`, or the folder that it lies in, as `open_source` takes it.

    Raises:
        InputError: if a file is missing, a line is broken, of no image or of no part, or an image
            and a part have no line, or two; the message names file and line.
    """
    folder = release_folder(root)
    images, names, path = image_names(folder), _names(folder / _NAMES), folder / _PLACES
    first = {image: row * len(names) for row, image in enumerate(images)}
    after = {part: column for column, part in enumerate(names)}
    lines, points = [0] * (len(images) * len(names)), [_HIDDEN] * (len(images) * len(names))
    for line, text in read_lines(path, "the places of the parts", get=ABOUT.get):
        image, part, *rest = split_fields(text, path, line, 5, "image, part, x, y, visible")
        if image not in first or part not in after:
            raise InputError(
                f"{path}, line {line}: expected an image of images.txt and a part of parts.txt, "
                f"got image {image[:80]!r} and part {part[:80]!r}. Correct or remove the line."
            )
        cell = first[image] + after[part]
        if lines[cell]:
            raise InputError(
                f"{path}, line {line}: expected every part of an image once, got part {part} of "
                f"image {image} again, which is at line {lines[cell]}. Remove one of the lines."
            )
        lines[cell], points[cell] = line, _point(rest, path, line)
    if missing := lines.count(0):
        row, column = divmod(lines.index(0), len(names))
        raise InputError(
            f"expected a line for each of {len(names):,} parts of {len(images):,} images in {path},"
            f" {missing:,} are missing, such as part {list(names)[column]} of image "
            f"{list(images)[row]}. {ABOUT.get}"
        )
    place = np.array(points, dtype=np.float64).reshape(len(images), len(names), 2)
    return Parts(tuple(names.values()), place, np.isfinite(place[..., 0]))


def facts(root: Path) -> dict[str, int]:
    """What `prepare` counts beside the table: the parts, and the points that are visible.

    Args:
        root: as in `read_parts`.

    Returns:
        The numbers by what they count; empty where the release has no places of parts.

    Raises:
        InputError: if the files are broken; see `read_parts`.
    """
    if not (release_folder(root) / _PLACES).is_file():
        return {}
    parts = read_parts(root)
    return {"parts": len(parts.names), "visible points": int(parts.visible_NP.sum())}


def _names(path: Path) -> dict[str, str]:
    """Names of the parts by their numbers."""
    names: dict[str, str] = {}
    first: dict[str, str] = {}
    for number, entry in numbered(path, "the names of the parts", "part, name", 2).items():
        names[number] = name = entry.fields[0].strip()
        if first.setdefault(spelling(name), number) != number:
            raise InputError(
                f"{entry.place}: {name!r} is part {first[spelling(name)]} already; expected every "
                "part once. Correct one of the names."
            )
    if not names:
        raise InputError(f"expected the names of the parts in {path}, got none. {ABOUT.get}")
    return names


def _point(fields: Sequence[str], path: Path, line: int) -> tuple[float, float]:
    """The point; NaN where the part is not visible."""
    try:
        x, y = float(fields[0]), float(fields[1])
    except ValueError:
        x = y = math.nan
    if not math.isfinite(x + y):
        raise InputError(
            f"{path}, line {line}: expected x and y in pixels, got "
            f"{' '.join(fields[:2])[:80]!r}. Correct the line."
        )
    if fields[2] not in ("0", "1"):
        raise InputError(
            f"{path}, line {line}: expected 1 (visible) or 0 (not visible), got "
            f"{fields[2][:80]!r}. Correct the line."
        )
    return (x, y) if fields[2] == "1" else _HIDDEN
