"""The proposed zero-shot splits of Xian et al. (TPAMI 2019), as published: two MATLAB files a set.

`att_splits.mat` holds class names, attributes by class, and positions of images from 1;
`res101.mat` the images' file names and labels from 1, which count the rows of the class names.

Traps, each seen in published files: positions are uint8 or uint16, so `- 1` may wrap; `train_loc`
and `val_loc` of AWA1, AWA2 and SUN cover the test_seen images too, so whoever tunes on them as they
are tunes on the test; some files hold no `train_loc` at all.

Shape letters: A attributes, C classes, N images.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.errors import InputError
from datamodules.matlab import read_mat
from datamodules.splits.split import Split, check_disjoint, check_lengths

_LOCATIONS = ("trainval_loc", "test_seen_loc", "test_unseen_loc")
_OPTIONAL = ("original_att", "train_loc", "val_loc")


@dataclass(frozen=True)
class AttSplits:
    """What `att_splits.mat` says; positions count images from 0.

    Attributes:
        classes: names of the C classes.
        attribute_AC: attributes of each class, usually of unit length; float64.
        original_AC: the same as people gave them, -1 where unknown; None where left out.
        parts: positions of "train", "validation", "test_seen" and "test_unseen"; validation is
            empty where the file does not say which classes it takes.
        left_out: how many positions of `train_loc` and `val_loc` were test_seen images.
    """

    classes: tuple[str, ...]
    attribute_AC: NDArray[np.float64]
    original_AC: NDArray[np.float64] | None
    parts: dict[str, tuple[int, ...]]
    left_out: int


def read_att_splits(path: Path) -> AttSplits:
    """Read `att_splits.mat`.

    Train and validation are what `train_loc` and `val_loc` share with `trainval_loc`, so they never
    hold an image of test_seen; without them, train is all of `trainval_loc`.

    Raises:
        InputError: if the file is missing or broken, or its parts share an image.
    """
    content = read_mat(path, ("allclasses_names", "att", *_LOCATIONS), _OPTIONAL)
    classes = _strings(content["allclasses_names"], f"{path}, allclasses_names")
    if twice := [name for name in dict.fromkeys(classes) if classes.count(name) > 1]:
        raise InputError(
            f"{path}, allclasses_names: expected every class once, got {twice[0]!r} twice. "
            "Correct the file."
        )
    found = {
        name: _positions(content[name], f"{path}, {name}")
        for name in (*_LOCATIONS, "train_loc", "val_loc")
        if name in content
    }
    parts, left_out = _parts(found, path)
    original = content.get("original_att")
    return AttSplits(
        classes,
        _attributes(content["att"], len(classes), f"{path}, att"),
        None if original is None else _attributes(original, len(classes), f"{path}, original_att"),
        parts,
        left_out,
    )


def read_images(path: Path, *, below: str | None = None) -> tuple[tuple[str, ...], tuple[int, ...]]:
    """Read the file names and labels of `res101.mat`; its features are skipped.

    Args:
        path: the file.
        below: the file holds paths of its authors' machine, such as
            "/home/me/CUB/images/001.Black_footed_Albatross/a.jpg"; what stands after the last
            folder of this name, here "images", is kept. None keeps them as they are.

    Returns:
        The names, N, and the labels, N, from 0.

    Raises:
        InputError: if the file is missing or broken, or a name has no such folder.
    """
    content = read_mat(path, ("image_files", "labels"))
    names = _strings(content["image_files"], f"{path}, image_files")
    labels = _positions(content["labels"], f"{path}, labels")
    check_lengths(f"image_files as labels in {path}", names, labels)
    if below is None:
        return names, labels
    return tuple(_below(name, below, f"{path}, image_files") for name in names), labels


def proposed_split(
    published: AttSplits, images: Sequence[str], labels: Sequence[int], *, source: str
) -> Split:
    """The published split over the names of images.

    Args:
        published: what `read_att_splits` gave.
        images: names of all N images, in the order the positions count.
        labels: their labels, N, from 0, numbers of `published.classes`.
        source: name of the data set.

    Returns:
        Protocol "zero-shot (Xian)", parts "train", "validation", "test_seen", "test_unseen";
        settings "seen" and "unseen" hold the names of their classes.

    Raises:
        InputError: if positions or labels exceed what there is, or a class is seen and unseen.
    """
    check_lengths("images as labels", images, labels)
    largest = max((max(each) for each in published.parts.values() if each), default=-1)
    if largest >= len(images):
        raise InputError(
            f"expected {largest + 1} images or more for these parts, got {len(images)}. "
            "Give the image list of the same data set."
        )
    if labels and not 0 <= min(labels) <= max(labels) < len(published.classes):
        raise InputError(
            f"expected labels from 0 to {len(published.classes) - 1}, got {min(labels)} to "
            f"{max(labels)}. Give the labels of the same data set."
        )
    found = {part: {labels[each] for each in at} for part, at in published.parts.items()}
    seen = found["train"] | found["validation"] | found["test_seen"]
    if both := sorted(seen & found["test_unseen"]):
        raise InputError(
            f"class {published.classes[both[0]]!r} is seen and unseen; expected every class to be "
            "one of them. Check that names and labels are those of this split."
        )
    return Split(
        "zero-shot (Xian)",
        None,
        {part: tuple(images[each] for each in at) for part, at in published.parts.items()},
        source,
        {
            "seen": [published.classes[label] for label in sorted(seen)],
            "unseen": [published.classes[label] for label in sorted(found["test_unseen"])],
            "left_out": published.left_out,
        },
    )


def _parts(found: dict[str, tuple[int, ...]], path: Path) -> tuple[dict[str, tuple[int, ...]], int]:
    """Disjoint parts, and how many images of test_seen were left out of train and validation."""
    official = {name.removesuffix("_loc"): found[name] for name in _LOCATIONS}
    train, validation = found.get("train_loc"), found.get("val_loc")
    if train is None or validation is None:
        train, validation = official["trainval"], ()
    kept = set(official["trainval"])
    parts = {
        "train": tuple(each for each in train if each in kept),
        "validation": tuple(each for each in validation if each in kept),
        "test_seen": official["test_seen"],
        "test_unseen": official["test_unseen"],
    }
    try:
        check_disjoint(official)
        check_disjoint(parts)
    except InputError as error:
        raise InputError(f"{path}, counted from 0: {error}") from None
    used = len(parts["train"]) + len(parts["validation"])
    if used < len(kept):
        raise InputError(
            f"{path}: expected every image of trainval_loc in train_loc or val_loc, got "
            f"{len(kept) - used} in neither. Correct the file, or remove both of them from it."
        )
    return parts, len(train) + len(validation) - used


def _positions(raw: Any, place: str) -> tuple[int, ...]:
    """Numbers from 1, of whatever type, as Python ints from 0."""
    values = np.asarray(raw).ravel()
    good = values.dtype.kind in "iuf" and np.isfinite(values).all() and (values % 1 == 0).all()
    if not good or (values < 1).any():
        raise InputError(f"{place}: expected whole numbers from 1, got others. Correct the file.")
    return tuple(int(each) - 1 for each in values)


def _strings(raw: Any, place: str) -> tuple[str, ...]:
    """A MATLAB cell array of strings, or a character matrix."""
    texts = [np.asarray(cell).ravel() for cell in np.asarray(raw).ravel()]
    if not texts or any(each.size != 1 or each.dtype.kind != "U" for each in texts):
        raise InputError(f"{place}: expected a list of names, got others. Correct the file.")
    return tuple(str(each[0]).strip() for each in texts)


def _attributes(raw: Any, num_classes: int, place: str) -> NDArray[np.float64]:
    values = np.asarray(raw)
    if values.dtype.kind not in "iufb" or values.ndim != 2 or values.shape[1] != num_classes:
        raise InputError(
            f"{place}: expected numbers of shape (attributes, {num_classes} classes), got "
            f"{values.dtype} of shape {values.shape}. Correct the file."
        )
    return values.astype(np.float64)


def _below(name: str, folder: str, place: str) -> str:
    _, found, tail = name.replace("\\", "/").rpartition(f"/{folder}/")
    if not found or not tail:
        raise InputError(
            f"{place}: expected a folder {folder!r} in every path, got {name!r}. Name the folder "
            "that the images lie in."
        )
    return tail.replace("//", "/")
