"""Color on photographs: the glyph base, its adapter, and a floor that needs no network at all.

    python -m benchmarks.fashion_color --root FOLDER [--json] [--seeds 0 1 2 3 4]

FOLDER is a copy of the "Fashion Product Images" table with its pictures: `styles.csv` (columns
baseColour, image) and `images/`. Products are divided by hash of their number, anew for each seed.
The adapter is an ordinary `fit` through the `folder` source; its epoch is chosen on validation.
Floor: a histogram of hue, saturation and value (8 x 4 x 4) and two edge numbers, with logistic
regression whose strength is chosen on the same validation images.

Only colors that the captions of glyphs name can be asked for: the base has read no other words.
"""

from __future__ import annotations

import argparse
import contextlib
import csv
import io
import json
import os
import statistics
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray
from PIL import Image

from benchmarks._output import add_output, put_out
from datamodules.annotations import Annotation, csv_text
from datamodules.errors import InputError
from datamodules.files import read_json
from datamodules.sources import load_source
from datamodules.sources.glyphs.world import COLORS
from datamodules.splits import hash_split

BASE = Path(__file__).parents[1] / "artifacts/base/glyph-clip"
SHARES = {"train": 0.6, "validation": 0.15, "test": 0.25}
SETTINGS = (  # chosen on validation, see docs/data.md
    "--model.target_modules=[q_proj,k_proj,v_proj,out_proj,c_fc,c_proj]",
    "--model.lr=3e-3", "--model.r=16", "--model.lora_alpha=32", "--model.keep_weight=0",
    "--model.pair_balanced=false", "--model.augment=true", "--data.batch_size=32",
    "--trainer.max_epochs=80", "--trainer.enable_progress_bar=false",
)  # fmt: skip


def main(argv: list[str] | None = None) -> int:
    """Measure, print a table, and with --json one object as the last line."""
    parser = argparse.ArgumentParser(prog="python -m benchmarks.fashion_color", allow_abbrev=False)
    parser.add_argument("--root", type=Path, help="folder with styles.csv and images/")
    parser.add_argument("--least", type=int, default=10, help="images a color has to have")
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    add_output(parser)
    args = parser.parse_args(argv)
    if args.root is None and "ASPECTRA_DATA" not in os.environ:
        skipped = "no photographs at hand: name their folder with --root"
        print(json.dumps({"skipped": skipped}) if args.json else f"skipped: {skipped}")
        return 0
    root = args.root or Path(os.environ["ASPECTRA_DATA"]) / "fashion_products"
    try:
        products = read_products(root, args.least)
    except InputError as error:
        sys.stderr.write(f"error: {error}\n")
        return 2
    result = measure(root.resolve() / "images", products, args.seeds)
    print(f"{result['images']} images, {len(result['colors'])} colors, {len(args.seeds)} divisions")
    for row in result["forms"]:
        print(f"{row['form']:<34}{row['accuracy']:8.3f} ± {row['deviation']:.3f}")
    put_out(result, args)
    return 0


def read_products(root: Path, least: int) -> dict[str, str]:
    """Picture -> color, of the colors that glyphs know and `least` products have.

    Raises:
        InputError: if the table is missing or has no such color.
    """
    path = root / "styles.csv"
    if not path.is_file():
        raise InputError(
            f"expected styles.csv of the Fashion Product Images in {root}, found none. Name the "
            "folder with --root."
        )
    with path.open(newline="", encoding="utf-8") as stream:
        rows = {row["image"]: row["baseColour"].lower() for row in csv.DictReader(stream)}
    counts = {color: list(rows.values()).count(color) for color in COLORS}
    chosen = {image: color for image, color in rows.items() if counts.get(color, 0) >= least}
    if not chosen:
        raise InputError(f"expected colors of glyphs in {path}, got none of {', '.join(COLORS)}.")
    return chosen


def measure(images: Path, products: dict[str, str], seeds: Sequence[int]) -> dict[str, Any]:
    """Test accuracy of every form, over the divisions of all seeds."""
    scores: dict[str, list[float]] = {}
    for seed in seeds:
        split = hash_split(list(products), SHARES, seed=seed, source="fashion")
        part = {str(name): each for each, names in split.members.items() for name in names}
        for form, score in {
            **floor(images, products, part),
            **adapter(images, products, part, seed),
        }.items():
            scores.setdefault(form, []).append(score)
    rows = [
        {
            "form": form,
            "accuracy": statistics.mean(each),
            "deviation": statistics.stdev(each) if len(each) > 1 else 0.0,
        }
        for form, each in scores.items()
    ]
    colors = sorted(set(products.values()))
    return {"images": len(products), "colors": colors, "seeds": list(seeds), "forms": rows}


def floor(images: Path, products: dict[str, str], part: dict[str, str]) -> dict[str, float]:
    """The commonest color of the training images, and histogram with logistic regression."""
    from sklearn.linear_model import LogisticRegression
    from sklearn.pipeline import make_pipeline
    from sklearn.preprocessing import StandardScaler

    names = {each: [name for name in products if part[name] == each] for each in SHARES}
    x = {each: np.stack([histogram(images / name) for name in names[each]]) for each in SHARES}
    y = {each: np.array([products[name] for name in names[each]]) for each in SHARES}
    fitted = [
        make_pipeline(StandardScaler(), LogisticRegression(C=strength, max_iter=2000)).fit(
            x["train"], y["train"]
        )
        for strength in (0.003, 0.01, 0.03, 0.1, 0.3, 1.0)
    ]
    best = max(fitted, key=lambda each: float(each.score(x["validation"], y["validation"])))
    values, counts = np.unique(y["train"], return_counts=True)
    return {
        "commonest color": float((y["test"] == values[counts.argmax()]).mean()),
        "histogram + logistic regression": float(best.score(x["test"], y["test"])),
    }


def histogram(path: Path) -> NDArray[np.float64]:
    """Shares of 8 x 4 x 4 bins of hue, saturation and value, and two mean edges."""
    with Image.open(path) as picture:
        hsv = np.asarray(picture.convert("RGB").resize((64, 64)).convert("HSV")) / 256
    bins, _ = np.histogramdd(hsv.reshape(-1, 3), bins=(8, 4, 4), range=[(0, 1)] * 3)
    gray = hsv[..., 2]
    edges = [np.abs(np.diff(gray, axis=axis)).mean() for axis in (0, 1)]
    return np.concatenate([bins.ravel() / bins.sum(), edges])


def adapter(
    images: Path, products: dict[str, str], part: dict[str, str], seed: int
) -> dict[str, float]:
    """Test accuracy of the base and of the adapter, by an ordinary run through `folder`."""
    from lightning_modules.__main__ import main as train

    rows = [Annotation(name, part[name], "color", color) for name, color in products.items()]
    before = Path.cwd()
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        for name in products:
            (root / name).symlink_to(images / name)
        (root / "annotations.csv").write_text(csv_text(rows))
        os.chdir(root)
        try:
            load_source("folder", root)
            with contextlib.redirect_stdout(io.StringIO()):
                words = ["fit", "--data.attribute=color", "--data.source=folder", *SETTINGS]
                more = [f"--data.root={root}", f"--data.image_size={64}", f"--data.seed={seed}"]
                code = train(
                    [*words, *more, f"--seed_everything={seed}", f"--model.backbone={BASE}"]
                )
            if code:
                raise SystemExit(code)
            metrics = read_json(root / "artifacts/deltas/glyph-clip/folder/color/delta.json")
        finally:
            os.chdir(before)
    test = metrics["metrics"]["test"]
    return {
        "glyph-clip": test["base"]["accuracy"],
        "glyph-clip with a color adapter": test["adapted"]["accuracy"],
    }


if __name__ == "__main__":
    sys.exit(main())
