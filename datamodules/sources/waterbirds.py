"""Waterbirds: birds of CUB pasted onto places, mostly where they live; made to mislead.

    ROOT/metadata.csv   img_id,img_filename,y,split,place,place_filename
                        1,001.Black_footed_Albatross/a.jpg,1,2,1,/o/ocean/00004600.jpg

`y` is the bird (0 landbird, 1 waterbird), `place` the background (0 land, 1 water), `split` 0
train, 1 validation, 2 test. In training they agree in 95 of 100 images, in the other splits by
chance: the group of an image is the pair of both. The file names tell the species and the scene.
"""

from __future__ import annotations

from pathlib import Path

from datamodules.annotations import Builder
from datamodules.errors import InputError
from datamodules.sources.about import About, Download, Files
from datamodules.sources.lines import safe_path
from datamodules.sources.table_source import TableSource
from datamodules.tables import Row, read_table

ABOUT = About(
    name="waterbirds",
    title="Waterbirds",
    homepage="https://github.com/kohpangwei/group_DRO",
    licence="that of CUB-200-2011 and Places: non-commercial research and education",
    citation=(
        "S. Sagawa, P. W. Koh, T. B. Hashimoto, P. Liang. Distributionally Robust Neural Networks "
        "for Group Shifts. ICLR 2020."
    ),
    get=(
        "Unpack https://nlp.stanford.edu/data/dro/waterbird_complete95_forest2water2.tar.gz and "
        "set ROOT to the folder waterbird_complete95_forest2water2."
    ),
    files=(
        Files(
            "**/metadata.csv",
            1,
            "birds, places and splits of the images",
            sha256="088bce9b08eb7788978942e331b5f82729a432a8976e523fa2c79bde8ebd136e",
        ),
        Files("**/*.*_*/*.jpg", 11_788, "the images"),
    ),
    downloads=(
        Download(
            "https://nlp.stanford.edu/data/dro/waterbird_complete95_forest2water2.tar.gz",
            "waterbird_complete95_forest2water2.tar.gz",
        ),
    ),
    class_attribute="bird type",
)
TEMPLATES = {
    "bird type": ("a {}", "a photo of a {}", "a picture of a {}"),
    "background": ("a bird on {}", "a photo of a bird with {} in the background"),
    "scene": ("a bird in front of a {}", "a photo of a {}"),
    "species": ("a {}", "a photo of a {}, a type of bird"),
}

_COLUMNS = ("img_id", "img_filename", "y", "split", "place", "place_filename")
_CODES = {
    "y": {"0": "landbird", "1": "waterbird"},
    "place": {"0": "land", "1": "water"},
    "split": {"0": "train", "1": "validation", "2": "test"},
}
_SCENES = {"forest/broadleaf": "broadleaf forest", "lake/natural": "natural lake"}


def open_source(root: Path) -> TableSource:
    """Read the metadata.

    Raises:
        InputError: if the file is missing or broken, or another one of this name.
    """
    nested = root / "waterbird_complete95_forest2water2"
    folder = nested if (nested / "metadata.csv").is_file() else root
    path = folder / "metadata.csv"
    if not path.is_file():
        raise InputError(
            f"expected birds, places and splits at {path}, found no such file. {ABOUT.get}"
        )
    builder, seen = Builder(), dict[str, str]()
    for row in read_table(path, "birds, places and splits", _COLUMNS):
        _check_columns(row)
        image = safe_path(row.cells["img_filename"], row.place)
        for key in (f"number {row.cells['img_id']}", f"image {image!r}"):
            if seen.setdefault(key, row.place) != row.place:
                raise InputError(
                    f"{row.place}: expected every image once, got {key} again, which is at "
                    f"{seen[key]}. Remove one of the rows."
                )
        item = builder.item(image, _code(row, "split"), "bird")
        builder.label(item, "bird type", _code(row, "y"))
        builder.label(item, "background", _code(row, "place"))
        builder.label(item, "scene", _scene(row))
        builder.label(item, "species", _species(image, row.place))
    if not len(builder):
        raise InputError(f"expected images in {path}, got a header only. {ABOUT.get}")
    return TableSource(ABOUT, folder, builder.table(), folder, {}, TEMPLATES)


def _check_columns(row: Row) -> None:
    """Another file of this name, of 5,326 images and other birds, has further columns."""
    if set(row.cells) != set(_COLUMNS):
        raise InputError(
            f"{row.place}: expected the columns {', '.join(_COLUMNS)} and no others, got "
            f"{len(row.cells)}: {', '.join(row.cells)}. This is not the metadata of Waterbirds. "
            f"{ABOUT.get}"
        )


def _code(row: Row, column: str) -> str:
    codes = _CODES[column]
    if row.cells[column] not in codes:
        meaning = ", ".join(f"{code} ({name})" for code, name in codes.items())
        raise InputError(
            f"{row.place}: expected {column} to be one of {meaning}, got "
            f"{row.cells[column][:80]!r}. Correct the row."
        )
    return codes[row.cells[column]]


def _scene(row: Row) -> str:
    """The scene of /o/ocean/00004600.jpg, which Places files under its first letter: "ocean"."""
    name = row.cells["place_filename"].lstrip("/")
    scene = "/".join(safe_path(name, row.place).split("/")[1:-1])
    if not scene:
        raise InputError(
            f"{row.place}: expected a file of Places such as /o/ocean/00004600.jpg, got "
            f"{row.cells['place_filename'][:80]!r}. Correct the row."
        )
    return _SCENES.get(scene, scene.replace("/", " ").replace("_", " "))


def _species(image: str, place: str) -> str:
    """The species of 001.Black_footed_Albatross/a.jpg: "Black footed Albatross"."""
    folder, _, _ = image.partition("/")
    _, _, name = folder.partition(".")
    if "/" not in image or not name.strip("_ "):
        raise InputError(
            f"{place}: expected an image such as 001.Black_footed_Albatross/a.jpg, got "
            f"{image[:80]!r}. Correct the row."
        )
    return " ".join(name.replace("_", " ").split())
