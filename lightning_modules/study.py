"""`python -m lightning_modules study`: adapters over several seeds, as one table with deviations.

Each (attribute, seed) is an ordinary `fit` with its own delta; nothing is chosen here. Reported:

    error removed = 1 - (1 - adapted) / (1 - base)        on a split
    worst other   = lowest change of any other attribute on any test split
"""

from __future__ import annotations

import argparse
import statistics
import sys
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from datamodules.errors import InputError
from datamodules.files import read_json, sha256_file, write_json, write_text
from lightning_modules.backbone import load_backbone
from lightning_modules.delta import delta_folder
from lightning_modules.delta.store import CARD_NAME


@dataclass(frozen=True)
class Run:
    """The outcome of one adapter.

    Attributes:
        attribute: its attribute.
        seed: its seed.
        metrics: {split: {base | adapted: {name: value}}}, as in the delta's card.
    """

    attribute: str
    seed: int
    metrics: dict[str, dict[str, dict[str, float]]]

    def base(self, split: str) -> float:
        """Accuracy of the base, in [0, 1]."""
        return self.metrics[split]["base"]["accuracy"]

    def adapted(self, split: str) -> float:
        """Accuracy with the adapter, in [0, 1]."""
        return self.metrics[split]["adapted"]["accuracy"]

    def error_removed(self, split: str) -> float:
        """Share of the base's errors that are gone; negative if there are more."""
        return 1 - (1 - self.adapted(split)) / max(1 - self.base(split), 1e-12)

    def worst_other(self) -> float:
        """Lowest change of any other attribute on any test split."""
        changes = [
            models["adapted"][name] - models["base"][name]
            for split, models in self.metrics.items()
            for name in models["base"]
            if "/" in name and split != "validation"
        ]
        return min(changes, default=0.0)


def add_parser(commands: Any) -> None:
    """Add the `study` command; its parsed arguments go to `run`."""
    text = "train adapters over several seeds and tabulate them"
    parser = commands.add_parser("study", help=text, description=text, allow_abbrev=False)
    parser.add_argument("--attributes", nargs="+", default=["color", "shape", "texture", "size"])
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--source", default="glyphs", help="data set (default: glyphs)")
    parser.add_argument("--root", type=Path, help="folder of the data set")
    parser.add_argument("--backbone", default="glyph-clip", help="default: glyph-clip")
    parser.add_argument("--config", type=Path, default=Path("configs/train.yaml"))
    parser.add_argument(
        "--out", type=Path, default=Path("artifacts/reports/adapters"), help="folder to write"
    )


def run(args: argparse.Namespace) -> int:
    """Train what is missing, then write `metrics.json` and `table.md`; returns the exit code."""
    from lightning_modules.cli import train

    settle(
        args.out / "settings.json",
        {
            "source": args.source,
            "fingerprint": load_backbone(args.backbone).fingerprint,
            "config": sha256_file(args.config),
        },
    )
    runs = []
    for seed in args.seeds:
        deltas = args.out / f"seed-{seed}"
        for attribute in args.attributes:
            folder = delta_folder(args.backbone, args.source, attribute, deltas)
            if not (folder / CARD_NAME).is_file():
                train(_fit_arguments(args, attribute, seed, deltas))
            runs.append(Run(attribute, seed, read_json(folder / CARD_NAME)["metrics"]))
    text = table(runs)
    write_json(args.out / "metrics.json", [vars(each) for each in runs])
    write_text(args.out / "table.md", text)
    sys.stdout.write(f"\n{text}\nreport     {args.out}\n")
    return 0


def settle(path: Path, settings: dict[str, str]) -> None:
    """Write what a study's runs have in common, or check that its earlier ones had it too.

    Raises:
        InputError: if they had not: one table must not mix runs of different settings.
    """
    earlier = read_json(path) if path.is_file() else settings
    if changed := [name for name, value in settings.items() if earlier.get(name) != value]:
        raise InputError(
            f"expected the settings of the runs already in {path.parent}, got another "
            f"{', '.join(changed)}. Remove that folder, or choose another with --out."
        )
    write_json(path, settings)


def _fit_arguments(args: argparse.Namespace, attribute: str, seed: int, deltas: Path) -> list[str]:
    root = [f"--data.root={args.root}"] if args.root else []
    return [
        "fit", f"--config={args.config}", f"--seed_everything={seed}", f"--data.seed={seed}",
        f"--data.attribute={attribute}", f"--data.source={args.source}", *root,
        f"--model.backbone={args.backbone}", f"--deltas={deltas}",
    ]  # fmt: skip


def table(runs: Iterable[Run]) -> str:
    """Markdown: one line an attribute and test split, mean and deviation over seeds."""
    runs = list(runs)
    lines = [
        "| attribute | split | base | adapted | error removed | worst other attribute | seeds |",
        "|---|---|---:|---:|---:|---:|---:|",
    ]
    for attribute in dict.fromkeys(each.attribute for each in runs):
        mine = [each for each in runs if each.attribute == attribute]
        for split in [name for name in mine[0].metrics if name != "validation"]:
            cells = [
                f"{mine[0].base(split):.3f}",
                spread([each.adapted(split) for each in mine], ".3f"),
                spread([100 * each.error_removed(split) for each in mine], ".0f") + " %",
                spread([100 * each.worst_other() for each in mine], "+.1f") + " points",
                str(len(mine)),
            ]
            lines.append(f"| {attribute} | {split} | {' | '.join(cells)} |")
    return "\n".join(lines) + "\n"


def spread(values: Sequence[float], form: str) -> str:
    """Mean and sample standard deviation."""
    deviation = statistics.stdev(values) if len(values) > 1 else 0.0
    return f"{statistics.mean(values):{form}} ± {deviation:{form.lstrip('+')}}"
