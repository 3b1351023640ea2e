"""`python -m composition study`: compositions over several seeds, as tables with deviations.

Each (target, seed) is an ordinary `fit` over the adapters that `lightning_modules study` trained
with this seed, on images of their own: what adapters were trained on, they answer almost without
an error, which would teach coefficients nothing. Nothing is chosen here. A target is a combination
of attributes, whose seen and unseen combinations of values are told apart, or an attribute to be
forgotten.
"""

from __future__ import annotations

import argparse
import json
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from composition.evaluation.seeds import Run, seeds_table
from composition.export import composition_folder
from datamodules.errors import InputError
from datamodules.files import read_json, sha256_file, write_json, write_text
from datamodules.sources.glyphs.source import DEFAULT_ROOT
from lightning_modules.delta import delta_folder
from lightning_modules.delta.store import CARD_NAME
from lightning_modules.study import settle

# More images than shots: what is to be kept would else be learned by heart. By head and with a
# larger step, as nothing coarser or shorter came near chance (docs/composition.md).
_FORGET = (
    "--model.start=sum", "--model.granularity=head", "--model.lr=0.03", "--data.shots=null",
    "--data.max_images=1200",
)  # fmt: skip


@dataclass(frozen=True)
class Target:
    """What a composition is fitted for.

    Args:
        name: of the composition.
        attributes: whose adapters are composed.
        tasks: attributes, or combinations of some, that it answers for.
        options: further flags of `fit`.
    """

    name: str
    attributes: tuple[str, ...]
    tasks: tuple[str, ...]
    options: tuple[str, ...] = ()


def add_parser(commands: Any) -> None:
    """Add the `study` command; its parsed arguments go to `run`."""
    text = "fit compositions over several seeds and tabulate them"
    parser = commands.add_parser("study", help=text, description=text, allow_abbrev=False)
    parser.add_argument(
        "--combine", nargs="*", default=["color+shape", "color+shape+texture+size"],
        help="attributes whose combined values are to be told apart",
    )  # fmt: skip
    parser.add_argument(
        "--forget", nargs="*", default=["color"], help="attributes to forget, each on its own"
    )
    parser.add_argument(
        "--attributes", nargs="+", default=["color", "shape", "texture", "size"],
        help="of --forget: whose adapters are composed; what is not forgotten is to be kept",
    )  # fmt: skip
    parser.add_argument("--seeds", nargs="+", type=int, default=[0, 1, 2])
    parser.add_argument("--source", default="glyphs", help="data set (default: glyphs)")
    parser.add_argument(
        "--root", type=Path,
        help="folder of the targets' images (default for glyphs: artifacts/data/glyphs-N of a seed "
        "N - 1, which no adapter has seen)",
    )  # fmt: skip
    parser.add_argument("--backbone", default="glyph-clip", help="default: glyph-clip")
    parser.add_argument("--config", type=Path, default=Path("configs/compose.yaml"))
    parser.add_argument(
        "--adapters", type=Path, default=Path("artifacts/reports/adapters"),
        help="what `python -m lightning_modules study` wrote",
    )  # fmt: skip
    parser.add_argument(
        "--out", type=Path, default=Path("artifacts/reports/compositions"), help="folder to write"
    )
    parser.set_defaults(run=run)


def run(args: argparse.Namespace) -> int:
    """Fit what is missing, then write `metrics.json` and `table.md`; returns the exit code.

    Raises:
        InputError: if an adapter is missing, or the folder holds a study of other settings.
    """
    from composition.cli import SCORES_NAME, fit

    targets = list(_targets(args))
    settings = {
        "source": args.source,
        "adapters": sha256_file(_existing(args.adapters / "settings.json")),
        "config": sha256_file(args.config),
    }
    settle(args.out / "settings.json", settings)
    runs = []
    for seed in args.seeds:
        for target in targets:
            folder = composition_folder(target.name, args.out / f"seed-{seed}")
            if not (folder / SCORES_NAME).is_file():
                fit(_fit_arguments(args, target, seed, folder.parent))
            runs.append(Run(target.name, seed, read_json(folder / SCORES_NAME)))
    text = seeds_table(runs)
    write_json(args.out / "metrics.json", [vars(each) for each in runs])
    write_text(args.out / "table.md", text)
    sys.stdout.write(f"\n{text}\nreport     {args.out}\n")
    return 0


def _targets(args: argparse.Namespace) -> Iterator[Target]:
    for name in args.combine:
        yield Target(name, tuple(name.split("+")), (name,))
    for name in args.forget:
        if name not in args.attributes:
            raise InputError(
                f"--forget {name}: expected one of --attributes, {', '.join(args.attributes)}."
            )
        options = (
            "--model.objective=negation",
            f"--model.forget={json.dumps([name])}",
            *_FORGET,
        )
        attributes = tuple(args.attributes)
        yield Target(f"without {name}", attributes, attributes, options)


def _task(name: str) -> dict[str, Any]:
    """Shots are drawn of each pair of the first two attributes, however many are combined."""
    first = name.split("+")[:2]
    return {"attribute": name, "name": name} | ({"shots_of": first} if len(first) > 1 else {})


def _root(args: argparse.Namespace, seed: int) -> dict[str, str]:
    if args.root is None and args.source == "glyphs":
        return {"root": str(DEFAULT_ROOT.with_name(f"glyphs-{seed + 1}"))}
    return {"root": str(args.root)} if args.root else {}


def _fit_arguments(args: argparse.Namespace, target: Target, seed: int, out: Path) -> list[str]:
    shelf = args.adapters / f"seed-{seed}"
    folders = [delta_folder(args.backbone, args.source, name, shelf) for name in target.attributes]
    place = {"source": args.source} | _root(args, seed)
    tasks = json.dumps([_task(name) | place for name in target.tasks])
    deltas = json.dumps([str(_existing(folder / CARD_NAME).parent) for folder in folders])
    return [
        "fit", f"--config={args.config}", f"--seed_everything={seed}", f"--data.seed={seed}",
        f"--data.shots_seed={seed + 1}", f"--data.tasks={tasks}",
        f"--model.backbone={args.backbone}", f"--model.deltas={deltas}",
        *target.options, f"--name={target.name}", f"--out={out}",
    ]  # fmt: skip


def _existing(path: Path) -> Path:
    if not path.is_file():
        raise InputError(
            f"expected {path}, an adapter of the study, found nothing. Train them first: "
            "make experiment"
        )
    return path
