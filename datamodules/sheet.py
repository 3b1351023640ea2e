"""`python -m datamodules sheet`: a contact sheet of the drawn world, one column a color."""

from __future__ import annotations

import argparse
import io
import sys
from pathlib import Path
from typing import TYPE_CHECKING

from datamodules.errors import InputError
from datamodules.files import write_bytes

if TYPE_CHECKING:
    from datamodules.images import Pixels

    # argparse names this class only with an underscore.
    Subparsers = argparse._SubParsersAction[argparse.ArgumentParser]

_GAP, _PAPER = 4, 250  # pixels between pictures, and their gray


def add_parser(subparsers: Subparsers) -> None:
    """Add the `sheet` command; its parsed arguments go to `run`."""
    text = "draw glyphs side by side, one column a color: what the default data set looks like"
    parser = subparsers.add_parser("sheet", help=text, description=text, allow_abbrev=False)
    parser.add_argument(
        "--out", type=Path, default=Path("docs/glyphs.png"), help="default: docs/glyphs.png"
    )
    parser.add_argument("--rows", type=int, default=6, help="pictures of each color (default: 6)")
    parser.add_argument("--seed", type=int, default=0, help="seed of the world (default: 0)")


def run(args: argparse.Namespace) -> int:
    """Draw the sheet and write it as PNG; returns the exit code.

    Raises:
        InputError: if a number is out of its range or the file cannot be written.
    """
    from PIL import Image

    if args.rows < 1 or args.seed < 0:
        raise InputError(
            f"expected --rows of 1 or more and --seed of 0 or more, got {args.rows} and "
            f"{args.seed}."
        )
    stream = io.BytesIO()
    Image.fromarray(sheet(args.rows, args.seed)).save(stream, "PNG", optimize=True)
    write_bytes(args.out, stream.getvalue())
    sys.stdout.write(f"sheet  {args.out}\n")
    return 0


def sheet(rows: int, seed: int = 0) -> Pixels:
    """Pictures of the training split in a grid: in each column one color, shapes in turn.

    Args:
        rows: pictures of each color.
        seed: seed of the world.

    Returns:
        uint8, height x width x 3.
    """
    import numpy as np

    from datamodules.sources.glyphs.draw import draw
    from datamodules.sources.glyphs.world import COLORS, IMAGE_SIZE, pairs, sample

    scenes = sample(seed, "train", np.arange(1000 * (1 + rows // 8)))
    seen = pairs(unseen=False)
    cell = IMAGE_SIZE + _GAP
    paper = np.full((rows * cell + _GAP, len(COLORS) * cell + _GAP, 3), _PAPER, dtype=np.uint8)
    for color in range(len(COLORS)):
        shapes = np.roll(seen[seen[:, 0] == color, 1], -color)
        of_shape = [
            np.flatnonzero((scenes.color == color) & (scenes.shape == shape)) for shape in shapes
        ]
        chosen = [of_shape[row % len(shapes)][row // len(shapes)] for row in range(rows)]
        for row, image in enumerate(draw(scenes[np.array(chosen)])):
            top, left = row * cell + _GAP, color * cell + _GAP
            paper[top : top + IMAGE_SIZE, left : left + IMAGE_SIZE] = image
    return paper
