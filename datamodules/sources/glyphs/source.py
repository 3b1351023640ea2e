"""The drawn world as a data set: official splits, annotations, captions, pixels.

Drawn once, to a folder that a person can open: `annotations.csv`, `captions.jsonl`, `images.npy`
and a `manifest.json` with the hash of each. 20 % of the (color, shape) pairs occur in `test_unseen`
only.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from datamodules.annotations import Annotation, Annotations, csv_text, read_csv
from datamodules.errors import InputError
from datamodules.files import (
    locked,
    new_folder,
    read_json,
    sha256_file,
    sha256_json,
    write_json,
    write_text,
)
from datamodules.images import Pixels, chosen, mapped, write_pixels
from datamodules.sources.about import About
from datamodules.sources.glyphs.captions import captions
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.world import ATTRIBUTES, IMAGE_SIZE, Scenes, sample

DEFAULT_ROOT = Path("artifacts/data/glyphs")
SPLITS = {"train": 12000, "validation": 1500, "test_seen": 2000, "test_unseen": 2000}
SEED = 0
_NUMBERED = re.compile(r"glyphs-(\d{1,9})")  # name of a folder: its seed
GENERATOR = 3  # raise it whenever a scene would come out different
_MANIFEST = "manifest.json"
_FILES = ("annotations.csv", "captions.jsonl", "images.npy")
_BLOCK = 512  # images drawn between two writes


ABOUT = About(
    name="glyphs",
    title="Glyphs",
    homepage="",
    licence="drawn here, Apache-2.0",
    citation="",
    get="It is drawn when it is first asked for.",
)


@dataclass(frozen=True)
class Glyphs:
    """A folder of drawn images; the attributes are those of `Source`."""

    root: Path
    annotations: Annotations
    data_hash: str
    name: str = "glyphs"
    states_types: bool = False  # the attributes are to be found in the captions
    templates: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def open(cls, root: Path | None = None) -> Glyphs:
        """Open the folder; draw it first if it is not there or comes from another generator.

        Args:
            root: a new folder named `glyphs-N` is drawn with seed N, any other with seed 0: images
                that nothing was trained on yet.

        Raises:
            InputError: if the folder holds something else, or a file is not what was drawn.
        """
        root = root or DEFAULT_ROOT
        if _manifest(root).get("generator") != GENERATOR:
            with locked(root):
                found = _manifest(root)  # another process may have drawn it meanwhile
                if found.get("generator") != GENERATOR:
                    seed = found.get("seed", _seed_of(root))
                    write(root, found.get("splits", SPLITS), seed=seed)
        manifest = _manifest(root)
        for name in _FILES:
            _check(root / name, manifest["sha256"][name])
        return cls(root, read_csv(root / "annotations.csv"), _data_hash(manifest))

    def captions(self, split: str) -> list[list[str]]:
        """Five captions for each image of the split."""
        with (self.root / "captions.jsonl").open(encoding="utf-8") as stream:
            texts = [json.loads(line)["captions"] for line in stream]
        return [texts[index] for index in self.annotations.members(split)]

    def pixels(
        self, size: int, items: NDArray[np.int64] | None = None, *, crops: int = 1
    ) -> Pixels:
        """The images as they were drawn, uint8 (N, 64, 64, 3): resizing is the model's part."""
        return chosen(mapped(self.root / "images.npy"), items, crops, source=self.name)


open_source = Glyphs.open


def write(root: Path, splits: Mapping[str, int] = SPLITS, *, seed: int = SEED) -> None:
    """Draw the data set into `root`; whole or not at all.

    Args:
        root: folder to make or replace.
        splits: number of images of each split; `test_unseen` alone shows the held-out pairs.
        seed: seed of the world.

    Raises:
        InputError: if `root` holds anything but glyphs, which must not be lost, or cannot be
            written.
    """
    _check_replaceable(root)
    scenes = {
        name: sample(seed, name, np.arange(count), unseen=name == "test_unseen")
        for name, count in splits.items()
    }
    with new_folder(root) as folder:
        shape = (sum(splits.values()), IMAGE_SIZE, IMAGE_SIZE, 3)
        write_pixels(folder / "images.npy", _drawn(scenes), shape, name="drawing glyphs")
        write_text(folder / "annotations.csv", csv_text(_annotations(scenes)))
        write_text(folder / "captions.jsonl", "".join(_caption_lines(scenes, seed)))
        hashes = {name: sha256_file(folder / name) for name in _FILES}
        manifest = {"generator": GENERATOR, "seed": seed, "splits": dict(splits), "sha256": hashes}
        write_json(folder / _MANIFEST, manifest)


def _seed_of(root: Path) -> int:
    match = _NUMBERED.fullmatch(root.name)
    return int(match[1]) if match else SEED


def _drawn(scenes: Mapping[str, Scenes]) -> Iterator[Pixels]:
    for drawn in scenes.values():
        for start in range(0, len(drawn), _BLOCK):
            yield draw(drawn[start : start + _BLOCK])


def _names(split: str, scenes: Scenes) -> list[str]:
    return [f"{split}/{number:05d}" for number in range(len(scenes))]


def _annotations(scenes: Mapping[str, Scenes]) -> list[Annotation]:
    return [
        Annotation(name, split, attribute, values[row[column]])
        for split, drawn in scenes.items()
        for name, row in zip(_names(split, drawn), drawn.labels(), strict=True)
        for column, (attribute, values) in enumerate(ATTRIBUTES.items())
    ]


def _caption_lines(scenes: Mapping[str, Scenes], seed: int) -> Iterator[str]:
    for split, drawn in scenes.items():
        said = captions(drawn, seed=seed, stream=split, index=np.arange(len(drawn)))
        for name, texts in zip(_names(split, drawn), said, strict=True):
            yield json.dumps({"image": name, "captions": texts}) + "\n"


def _manifest(root: Path) -> dict[str, Any]:
    """The manifest of a folder of glyphs; empty if there is none.

    Raises:
        InputError: if it is damaged.
    """
    if not (root / _MANIFEST).exists():
        return {}
    try:
        found = read_json(root / _MANIFEST)
        splits = {str(name): int(count) for name, count in found["splits"].items()}
        files = {name: str(found["sha256"][name]) for name in _FILES}
        return {**found, "splits": splits, "seed": int(found["seed"]), "sha256": files}
    except (InputError, AttributeError, KeyError, TypeError, ValueError) as error:
        raise InputError(
            f"expected the manifest of a folder of glyphs in {root / _MANIFEST}, got something "
            f"else ({error!r}). Choose another ROOT, or remove the folder if it held glyphs once."
        ) from None


def _check_replaceable(root: Path) -> None:
    if not root.exists():
        return
    names = {path.name for path in root.iterdir()} if root.is_dir() else {root.name}
    if other := sorted(names - {_MANIFEST, *_FILES}):
        raise InputError(
            f"expected a new folder or one of glyphs alone, {root} holds {other[0]}. Choose "
            "another folder: ROOT=path/to/folder."
        )


def _data_hash(manifest: Mapping[str, Any]) -> str:
    """A hash that is the same on every machine.

    Processors round differently in the last bit, which moves one pixel in 200,000 by one level. So
    the pictures count by what fixes them, the generator and the seed, and not by their bytes.
    """
    texts = {name: manifest["sha256"][name] for name in _FILES if name != "images.npy"}
    return sha256_json({**manifest, "sha256": texts})


def _check(path: Path, expected: str) -> None:
    got = sha256_file(path) if path.exists() else "no file"
    if got != expected:
        raise InputError(
            f"{path} is corrupt: expected the SHA-256 {expected[:12]}..., got {got[:12]}. Remove "
            f"the folder {path.parent} and run the command again: it is drawn anew in seconds."
        )
