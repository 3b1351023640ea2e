"""MIT-States: photographs of objects in states, "ancient building" and "damp mud".

    ROOT/images/ancient building/*.jpg     the official folders ("ancient_building" in many copies;
                                           also below release_dataset/)

An item is an image; its object is the noun. The adjective is the value of the attribute "state",
the noun that of "object", which is the class. The first of these that is there says which images
there are and their splits:

    ROOT/mitstates_img_split/{train,val,test}_imgs.txt   "damp_mud/1.jpg damp mud" a line
    ROOT/metadata_compositional-split-natural.t7         the natural split of Purushwalkam et al.;
                                                         see `pair_records`
    ROOT/compositional-split-natural/*_pairs.txt         its pairs: images of unseen validation or
                                                         test pairs go there, of the others 10 and
                                                         10 in a hundred, by hash, where the pair is
                                                         in the list
    the folders alone                                    80, 10 and 10 in a hundred, by hash

Where image lists or metadata have no validation images, a tenth of train is validation. Folders
named "adj ..." hold images without a state and are left out.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from pathlib import Path

from datamodules.annotations import Annotations, Builder
from datamodules.errors import InputError
from datamodules.sources.about import About, Download, Files
from datamodules.sources.hashed_parts import hashed_part
from datamodules.sources.held_out import with_validation
from datamodules.sources.lines import read_lines, safe_path, split_fields
from datamodules.sources.listing import folders_in, images_in
from datamodules.sources.pair_records import (
    PairRecord,
    find_records,
    once,
    plain_name,
    read_records,
)
from datamodules.sources.table_source import TableSource
from datamodules.splits.pair_files import read_pair_lists

_SITE = "http://web.mit.edu/phillipi/Public/states_and_transformations/index.html"
ABOUT = About(
    name="mit_states",
    title="MIT-States",
    homepage=_SITE,
    licence="none stated; photographs from the web, for research",
    citation="Isola et al., Discovering States and Transformations in Image Collections, CVPR 2015",
    get=f"Get release_dataset.zip from {_SITE} and compositional_split_natural.tar.gz from "
    "https://www.senthilpurushwalkam.com/publication/compositional/, and unpack both there.",
    files=(
        Files("images/*/*.jpg", 63_440, "images", required=False),
        Files("release_dataset/images/*/*.jpg", 63_440, "images", required=False),
        Files("metadata_compositional-split-natural.t7", 1, "images of the natural split", False),
        Files("compositional-split-natural/*_pairs.txt", 3, "pairs of the natural split", False),
    ),
    downloads=(
        Download(
            "http://wednesday.csail.mit.edu/joseph_result/state_and_transformation/"
            "release_dataset.zip",
            "release_dataset.zip",
        ),
    ),
    class_attribute="object",
)
_LISTS = {"train": "train_imgs.txt", "validation": "val_imgs.txt", "test": "test_imgs.txt"}
_FOLDER, _PAIRS = "mitstates_img_split", "compositional-split-natural"
_NO_STATE = "adj"
_TEMPLATES = {
    "state": ("a {} object", "something {}", "the object is {}", "a picture of something {}"),
    "object": ("a {}", "a picture of a {}", "there is a {}", "a {} in the image"),
}


def open_source(root: Path) -> TableSource:
    """Read the images' pairs and splits.

    Raises:
        InputError: if there are none, or a line or record is broken; the message names it.
    """
    images = _images(root)
    if any((root / _FOLDER / name).is_file() for name in _LISTS.values()):
        records = once(_listed(root / _FOLDER), str(root / _FOLDER))
    elif path := find_records(root):
        records = read_records(path)
    else:
        records = once(_found(images, _split_by_pair(root / _PAIRS)), str(images))
    return TableSource(ABOUT, root, _table(records, images), images, templates=_TEMPLATES)


def _table(records: tuple[PairRecord, ...], images: Path) -> Annotations:
    folders = _folders(images)
    held_out = any(record.split == "validation" for record in records)
    builder = Builder()
    for record in records:
        folder, slash, file = record.image.partition("/")
        image = f"{folders.get(folder.replace(' ', '_'), folder)}{slash}{file}"
        split = record.split if held_out else with_validation(record.image, record.split)
        state, thing = plain_name(record.value), plain_name(record.object)
        item = builder.item(image, split, thing)
        builder.label(item, "state", state)
        builder.label(item, "object", thing)
    return builder.table()


def _images(root: Path) -> Path:
    names = ("images", "release_dataset/images")
    return next((root / name for name in names if (root / name).is_dir()), root / names[0])


def _folders(images: Path) -> dict[str, str]:
    """Folders on disk, by their name with "_" for blanks: lists and releases differ in that."""
    return {name.replace(" ", "_"): name for name in folders_in(images)}


def _listed(folder: Path) -> Iterator[PairRecord]:
    for split, name in _LISTS.items():
        path = folder / name
        for line, text in read_lines(path, "the images") if path.is_file() else ():
            place = f"{path}, line {line}"
            # From the right: names of files may hold blanks.
            fields = text.strip().rsplit(maxsplit=2)
            if len(fields) != 3:
                split_fields(text, path, line, 3, "image, state, object")
            yield PairRecord(safe_path(fields[0], place), fields[1], fields[2], split, "", place)


def _found(images: Path, split_of: Callable[[str, str, str], str]) -> Iterator[PairRecord]:
    """The images on disk, their pair from the name of their folder."""
    if not images.is_dir():
        raise InputError(
            f"expected folders such as 'ancient building' in {images}, found no such folder. "
            f"{ABOUT.get}"
        )
    for folder, name in _folders(images).items():
        state, _, thing = folder.partition("_")
        if not (state and thing) or state == _NO_STATE:
            continue
        for file in images_in(images / name):
            image = f"{folder}/{file}"
            if split := split_of(image, state, thing):
                yield PairRecord(image, state, thing, split, "", str(images / name / file))


def _split_by_pair(folder: Path) -> Callable[[str, str, str], str]:
    """The split of an image and its pair; "" if the published pairs leave the pair out."""
    if not folder.is_dir():
        return lambda image, state, thing: hashed_part(image)
    pairs = read_pair_lists(folder)
    train, lists = set(pairs.train), pairs._asdict()

    def split_of(image: str, state: str, thing: str) -> str:
        pair = state, thing
        if pair not in train:
            return next((split for split, listed in lists.items() if pair in listed), "")
        part = hashed_part(image)
        return part if pair in lists[part] else "train"

    return split_of
