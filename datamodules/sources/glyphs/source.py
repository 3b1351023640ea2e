"""The drawn world as a data set: official splits, annotations, captions, pixels.

Drawn once, to a folder that a person can open: `annotations.csv`, `captions.jsonl`, `images.npy` and a
`manifest.json` with the hash of each. 20 % of the (color, shape) pairs occur in `test_unseen` only.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from datamodules.annotations import Annotation, Annotations, csv_text, read_csv
from datamodules.errors import InputError
from datamodules.files import new_folder, read_json, sha256_file, sha256_json, write_json, write_text
from datamodules.images import Pixels
from datamodules.sources.glyphs.captions import captions
from datamodules.sources.glyphs.draw import draw
from datamodules.sources.glyphs.world import ATTRIBUTES, Scenes, sample

DEFAULT_ROOT = Path("artifacts/data/glyphs")
SPLITS = {"train": 12000, "validation": 1500, "test_seen": 2000, "test_unseen": 2000}
SEED = 0
GENERATOR = 2  # raise it whenever a scene would come out different
_FILES = ("annotations.csv", "captions.jsonl", "images.npy")


@dataclass(frozen=True)
class Glyphs:
    """See the module; the attributes are those of `Source`."""

    root: Path
    annotations: Annotations
    data_hash: str
    name: str = "glyphs"

    @classmethod
    def open(cls, root: Path | None = None) -> Glyphs:
        """Open the folder; draw it first if it is not there or comes from another generator.

        Raises:
            InputError: if a file of the folder is not what was drawn.
        """
        root = (root or DEFAULT_ROOT).expanduser()
        if not (root / "manifest.json").exists() or read_json(root / "manifest.json").get("generator") != GENERATOR:
            write(root)
        manifest = read_json(root / "manifest.json")
        for name in _FILES:
            _check(root / name, manifest["sha256"][name])
        return cls(root, read_csv(root / "annotations.csv"), sha256_json(manifest))

    def captions(self, split: str) -> list[list[str]]:
        """Five captions for each image of the split."""
        with (self.root / "captions.jsonl").open(encoding="utf-8") as stream:
            texts = [json.loads(line)["captions"] for line in stream]
        return [texts[index] for index in self.annotations.members(split)]

    def pixels(self, size: int) -> Pixels:
        """All images, uint8 (N, 64, 64, 3), memory-mapped; `size` is left to the model's own resizing."""
        return np.asarray(np.load(self.root / "images.npy", mmap_mode="r"))


def write(root: Path, splits: Mapping[str, int] = SPLITS, *, seed: int = SEED) -> None:
    """Draw the data set into `root`; whole or not at all.

    Args:
        root: folder to make or replace.
        splits: number of images of each split; `test_unseen` alone shows the held-out pairs.
        seed: seed of the world.

    Raises:
        InputError: if `root` is a folder of something else, or cannot be written.
    """
    if root.exists() and any(root.iterdir()) and not (root / "manifest.json").exists():
        raise InputError(f"expected an empty or new folder for the glyphs, {root} holds other files. Choose another.")
    with new_folder(root) as folder:
        scenes = {s: sample(seed, s, np.arange(n), unseen=s == "test_unseen") for s, n in splits.items()}
        np.save(folder / "images.npy", np.concatenate([draw(s) for s in scenes.values()]))
        rows, lines = [], []
        for split, drawn in scenes.items():
            names = [f"{split}/{number:05d}" for number in range(len(drawn))]
            rows += _annotations(names, split, drawn)
            said = captions(drawn, seed=seed, stream=split, index=np.arange(len(drawn)))
            lines += [
                json.dumps({"image": name, "captions": texts}) for name, texts in zip(names, said, strict=True)
            ]
        write_text(folder / "annotations.csv", csv_text(rows))
        write_text(folder / "captions.jsonl", "\n".join(lines) + "\n")
        hashes = {name: sha256_file(folder / name) for name in _FILES}
        manifest = {"generator": GENERATOR, "seed": seed, "splits": dict(splits), "sha256": hashes}
        write_json(folder / "manifest.json", manifest)


def _annotations(names: list[str], split: str, scenes: Scenes) -> list[Annotation]:
    labels = scenes.labels()
    return [
        Annotation(name, split, attribute, values[labels[row, column]])
        for row, name in enumerate(names)
        for column, (attribute, values) in enumerate(ATTRIBUTES.items())
    ]


def _check(path: Path, expected: str) -> None:
    got = sha256_file(path) if path.exists() else "no file"
    if got != expected:
        raise InputError(
            f"{path} is corrupt: expected the SHA-256 {expected[:12]}..., got {got[:12]}. "
            f"Remove the folder {path.parent} and run the command again: it is drawn anew in seconds."
        )
