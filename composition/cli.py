"""`python -m composition fit`: learn how much of each saved delta a target wants, block by block.

LightningCLI with fixed classes: flags are those of `Composer`, `TasksDataModule` and the trainer.
The result is a folder that plain PEFT opens, with its coefficients, a heat map of them, and the
comparison with all that needs no learning.
"""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser

from composition.composer import Composer
from composition.evaluation import Evaluation, evaluate
from composition.export import CompositionFacts, composition_folder, save_composition
from composition.export.store import COMPOSITION_FOLDER
from composition.heatmap import LogCoefficients, used_coefficients, write_heatmap
from datamodules.files import write_json
from datamodules.tasks import TasksDataModule
from lightning_modules.run_cli import RunCLI, load_best, run_callbacks, run_options, short_path

HEATMAP_NAME, SCORES_NAME = "coefficients.png", "scores.json"
_log = logging.getLogger(__name__)


class ComposeCLI(RunCLI):
    """Some deltas, some tasks, one composition."""

    tasks = {"fit": "compose", "validate": "validate"}  # noqa: RUF012
    subject = ("tasks", "--data.tasks")

    @classmethod
    def subject_of(cls, settings: Any) -> str:
        """The names of the tasks."""
        tasks = settings.data.tasks
        return ", ".join(task.name or f"{task.source}/{task.attribute}" for task in tasks)

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What becomes of the composition."""
        parser.add_argument("--name", default="", help="of the composition (default: its tasks')")
        parser.add_argument(
            "--out", type=Path, default=COMPOSITION_FOLDER, help="folder of compositions"
        )
        parser.add_argument(
            "--rank", type=int | None, default=None,
            help="truncate the exported adapter to this rank; its error is printed",
        )  # fmt: skip
        parser.add_argument(
            "--merged", action="store_true", help="also write the merged model for plain open_clip"
        )
        super().add_arguments_to_parser(parser)

    def prepare(self) -> None:
        """Open the data, compose the deltas."""
        model, data = self._parts()
        data.prepare_data()
        data.setup()
        model.prepare(data)

    def after_fit(self) -> None:
        """Compare with what needs no learning, save the composition, print the table."""
        model, data = self._parts()
        run = short_path(self.trainer.log_dir)  # asks all processes, so before the others leave
        if not self.is_done:
            return
        load_best(model, self.trainer.checkpoint_callback)
        model.to(self.trainer.strategy.root_device)
        model.composition.release()
        evaluation = evaluate(model.eval(), data)
        name = self.settings["name"] or self.subject_of(self.settings)
        folder = composition_folder(name, self.settings["out"])
        card = save_composition(
            folder, model.composition, self._facts(name, evaluation), backbone=model.backbone,
            deltas=model.deltas, rank=self.settings["rank"], merged=self.settings["merged"],
        )  # fmt: skip
        write_json(folder / SCORES_NAME, evaluation.to_json())
        write_heatmap(folder / HEATMAP_NAME, used_coefficients(model.composition), title=name)
        sys.stdout.write(f"\n{evaluation.to_text()}\n")
        if card.adapter.form == "truncated":
            _log.info(
                "adapter of rank %s: relative error %.3g", self.settings["rank"], card.adapter.error
            )
        elif card.adapter.form == "none":
            _log.info("no adapter: %s", card.adapter.note)
        paths = {"composition": str(folder), "heat map": str(folder / HEATMAP_NAME), "run": run}
        self.report(evaluation.rows(), name, paths, **evaluation.to_json())

    def _facts(self, name: str, evaluation: Evaluation) -> CompositionFacts:
        model, data = self._parts()
        first = next(iter(data.tasks.values()))
        targets = tuple(data.tasks)
        own = {part for task in data.tasks.values() for part in task.attribute.split("+")}
        return CompositionFacts(
            name=name,
            purpose="attributes" if own <= set(model.delta_names) else "target",
            targets=targets,
            protocol={
                "selected_on": "validation" if model.objective.uses_labels else "the last epoch",
                "reported_on": sorted(
                    {split for t in data.tasks.values() for split in t.test_splits}
                ),
                "information": model.objective.information,
                "splits": {task: each.split_hash for task, each in data.tasks.items()},
            },
            objective=self.settings.model.objective,
            source=first.source_name,
            dictionary_hash=first.dictionary.hash,
            data_hash=first.source.data_hash,
            seed=int(self.settings["seed_everything"]),
            metrics=evaluation.metrics(),
            command="python -m composition " + shlex.join(map(str, self.arguments)),
        )

    def _parts(self) -> tuple[Composer, TasksDataModule]:
        assert isinstance(self.model, Composer)
        assert isinstance(self.datamodule, TasksDataModule)
        return self.model, self.datamodule


def callbacks() -> list[Callback]:
    """What accompanies a fit of coefficients."""
    return [*run_callbacks(), LogCoefficients()]


def fit(args: Sequence[str] | None = None) -> ComposeCLI:
    """Parse `fit | validate ...` and run it; by default this process's command line."""
    return ComposeCLI(
        Composer,
        TasksDataModule,
        **run_options("composition", args, callbacks()),
    )
