"""Where a command leaves what it found: a folder of JSON, arrays and pictures, and TensorBoard."""

from __future__ import annotations

import argparse
import io
import json
import re
import sys
from collections.abc import Iterable, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from datamodules.files import check_place, write_bytes, write_json
from datamodules.text_table import text_table
from interpret.plain import plain
from lightning_modules.callbacks.figures import render

if TYPE_CHECKING:
    from matplotlib.figure import Figure

REPORT_FOLDER = Path("artifacts/reports")
RUNS = Path("runs/interpret")
METRICS_NAME = "metrics.json"


class Output:
    """Files of one command, in one folder, each written as soon as it is known.

    Args:
        folder: where they go; files of the same name are replaced.
        command: its name.
        protocol: what was looked at; part of `metrics.json`.
        as_json: whether the last line printed is one JSON object.

    Raises:
        InputError: if nothing can be written there.
    """

    def __init__(
        self, folder: Path, command: str, protocol: Mapping[str, Any], *, as_json: bool
    ) -> None:
        check_place(folder / METRICS_NAME)
        self.folder, self.command, self.as_json = folder, command, as_json
        self.protocol = dict(protocol)
        self.paths: list[Path] = []
        self._lines: list[str] = []
        self._pictures: dict[str, NDArray[np.uint8]] = {}

    def table(self, title: str, head: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
        """A table for the terminal."""
        self._lines += ["", title, "", *(f"  {line}" for line in text_table(head, rows))]

    def say(self, line: str) -> None:
        """A line for the terminal."""
        self._lines.append(line)

    def json(self, name: str, value: Any) -> None:
        """A JSON file; what is not finite becomes null."""
        self._wrote(name)
        write_json(self.folder / name, plain(value))

    def arrays(self, name: str, **arrays: NDArray[Any]) -> None:
        """An npz file."""
        stream = io.BytesIO()
        np.savez(stream, **arrays)  # type: ignore[arg-type]
        self._wrote(name)
        write_bytes(self.folder / name, stream.getvalue())

    def figure(self, name: str, figure: Figure) -> None:
        """A PNG file, and a picture in TensorBoard."""
        stream = io.BytesIO()
        figure.savefig(stream, format="png", dpi=120)
        self._wrote(name)
        write_bytes(self.folder / name, stream.getvalue())
        self._pictures[name.removesuffix(".png")] = render(figure)

    def close(self, metrics: Mapping[str, Any]) -> None:
        """Write `metrics.json`, show the pictures in TensorBoard, print tables and paths."""
        self.json(METRICS_NAME, {"command": self.command, "protocol": self.protocol, **metrics})
        if self._pictures:
            self._show()
        lines = [*self._lines, "", *(f"{'wrote':<8} {path}" for path in self.paths)]
        if self.as_json:
            paths = [str(path) for path in self.paths]
            found = {"command": self.command, "protocol": self.protocol, **metrics, "paths": paths}
            lines.append(json.dumps(plain(found), ensure_ascii=False, allow_nan=False))
        sys.stdout.write("\n".join(lines) + "\n")
        sys.stdout.flush()

    def _show(self) -> None:
        from torch.utils.tensorboard.writer import SummaryWriter

        folder = RUNS / self.command / self.folder.name
        with SummaryWriter(str(folder)) as writer:
            for name, picture in self._pictures.items():
                writer.add_image(f"{self.command}/{name}", picture, dataformats="HWC")
        self.paths.append(folder)

    def _wrote(self, name: str) -> None:
        self.paths.append(self.folder / name)


def add_output(command: argparse.ArgumentParser) -> None:
    """The flags that say where results go."""
    command.add_argument(
        "--out", type=Path, help=f"folder of the results (default: in {REPORT_FOLDER})"
    )
    command.add_argument(
        "--json", action="store_true", help="print one JSON object as the last line"
    )


def default_folder(args: argparse.Namespace, *more: str) -> Path:
    """`--out`, or a folder named by what is looked at."""
    if args.out is not None:
        out: Path = args.out
        return out
    names = [args.backbone, getattr(args, "delta", ""), args.source, args.command, *more]
    words = [re.sub(r"[^\w.-]+", "-", Path(name).name) for name in names if name]
    return REPORT_FOLDER / "-".join(words)
