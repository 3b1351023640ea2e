"""`python -m composition fit`: learn how much of each saved delta a target wants, block by block.

LightningCLI with fixed classes: flags are those of `Composer`, `TasksDataModule` and the trainer.
The result is a folder that plain PEFT opens, with its coefficients, a heat map of them, and the
comparison with all that needs no learning.
"""

from __future__ import annotations

import json
import logging
import math
import shlex
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser

from composition.coefficients import Named
from composition.composer import Composer
from composition.evaluation import evaluate, optimality_gap, protocol
from composition.export import CompositionFacts, composition_folder, save_composition
from composition.export.store import COMPOSITION_FOLDER
from composition.heatmap import LogCoefficients, used_coefficients, write_heatmap
from composition.library import made_of
from composition.rounds import Round, Rounds, check_rounds, folded
from datamodules.errors import InputError
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
            "--gap", action="store_true",
            help="also say how far the training loss is from its minimum over the coefficients",
        )  # fmt: skip
        parser.add_argument(
            "--rank", type=int | None, default=None,
            help="truncate the exported adapter to this rank; its error is printed",
        )  # fmt: skip
        parser.add_argument(
            "--merged", action="store_true", help="also write the merged model for plain open_clip"
        )
        parser.add_argument(
            "--rounds", type=int, default=1,
            help="fits, each scaling the composition of the one before; the best one is kept",
        )  # fmt: skip
        super().add_arguments_to_parser(parser)

    def prepare(self) -> None:
        """Open the data, compose the deltas."""
        model, data = self._parts()
        data.prepare_data()
        data.setup()
        model.prepare(data, device=self.trainer.strategy.root_device)

    def before_fit(self) -> None:
        """As for all runs, and see that rounds and the place of the result are possible.

        Raises:
            InputError: if not.
        """
        settings = self.settings
        check_rounds(
            settings["rounds"],
            granularity=settings.model.granularity,
            objective=settings.model.objective,
            resumes=bool(settings["ckpt_path"]),
            world=self.trainer.world_size,
        )
        super().before_fit()
        folder, (model, _) = self._folder(), self._parts()
        if self.trainer.is_global_zero and any(
            folder.resolve() in made_of(each) for each in model.deltas
        ):
            raise InputError(
                f"{folder} is one of the deltas or part of one, so it cannot be written over. Give "
                "the new composition another --name."
            )

    def after_fit(self) -> None:
        """Compare with what needs no learning, save the composition, print the table."""
        model, data = self._parts()
        run = short_path(self.trainer.log_dir)  # asks all processes, so before the others leave
        if not self.is_done:
            return
        self._take_best()
        rounds = self._rounds() if self.settings["rounds"] > 1 else None
        if rounds:
            model.composition.assign(rounds.used.coefficients)
        evaluation = evaluate(model.eval(), data)
        name, folder = self._name, self._folder()
        facts = self._facts(name, evaluation.metrics())
        if rounds:
            facts.protocol["round"] = rounds.title
        card = save_composition(
            folder, model.composition, facts, backbone=model.backbone, deltas=model.deltas,
            rank=self.settings["rank"], merged=self.settings["merged"],
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
        more = evaluation.to_json()
        if self.settings["gap"]:
            gap = optimality_gap(model)
            sys.stdout.write(f"{gap.to_text()}\n\n")
            more["gap"] = gap.to_json()
        if rounds:
            sys.stdout.write(f"{rounds.to_text()}\n\n")
            name += f", round {rounds.title}"
            more["rounds"] = rounds.to_json()
        self.report(evaluation.rows(), name, paths, **more)

    def _take_best(self) -> None:
        """Give the model the coefficients of its best epoch, on the trainer's device."""
        model, _ = self._parts()
        load_best(model, self.trainer.checkpoint_callback)
        model.to(self.trainer.strategy.root_device)
        model.composition.release()

    def _rounds(self) -> Rounds:
        """This round and, as many as were asked for, those that go on from it."""
        model, _ = self._parts()
        found = [self._round(1, model.composition.named_coefficients())]
        last: ComposeCLI = self
        for number in range(2, self.settings["rounds"] + 1):
            folder = last._save_round(number - 1)
            changes = {
                "model.deltas": json.dumps([str(folder)]), "model.leave_own_out": "false",
                "model.budget": "null", "rounds": "1",
            }  # fmt: skip
            if self.settings.model.start != "gauss-newton":  # which begins at the sum, too
                changes |= {"model.start": "sum", "model.ridge": "0"}
            words = [*self.arguments, *(f"--{name}={value}" for name, value in changes.items())]
            last = _LaterRound(
                Composer, TasksDataModule, **run_options("composition", words, callbacks())
            )
            if not last.is_done:
                _log.warning("round %d was not finished: the rounds before it count", number)
                break
            scales = last._parts()[0].composition.named_coefficients()
            found.append(last._round(number, folded(found[-1].coefficients, scales)))
        return Rounds(tuple(found), uses_labels=model.objective.uses_labels)

    def _round(self, number: int, coefficients: Named) -> Round:
        keeper: Any = self.trainer.checkpoint_callback
        score = keeper.best_model_score  # None without validation
        score = -math.inf if score is None else float(score)
        return Round(number, score, coefficients, short_path(self.trainer.log_dir))

    def _save_round(self, number: int) -> Path:
        """Write the composition of a round into its run, for the next one to scale."""
        model, _ = self._parts()
        folder = Path(self.trainer.log_dir or "") / "composition"
        facts = self._facts(f"round {number}", {})
        save_composition(
            folder, model.composition, facts, backbone=model.backbone, deltas=model.deltas
        )
        return folder

    @property
    def _name(self) -> str:
        """Of the composition."""
        return str(self.settings["name"] or self.subject_of(self.settings))

    def _folder(self) -> Path:
        """Of the composition."""
        return composition_folder(self._name, self.settings["out"])

    def _facts(self, name: str, metrics: dict[str, Any]) -> CompositionFacts:
        model, data = self._parts()
        first = next(iter(data.tasks.values()))
        targets = tuple(data.tasks)
        own = {part for task in data.tasks.values() for part in task.attribute.split("+")}
        left_out = {"left_out": model.left_out} if model.left_out else {}
        return CompositionFacts(
            name=name,
            purpose="attributes" if own <= set(model.delta_names) else "target",
            targets=targets,
            protocol={
                **protocol(model, data),
                "splits": {task: each.split_hash for task, each in data.tasks.items()},
                **left_out,
            },
            objective=self.settings.model.objective,
            source=first.source_name,
            dictionary_hash=first.dictionary.hash,
            data_hash=first.source.data_hash,
            seed=int(self.settings["seed_everything"]),
            metrics=metrics,
            command="python -m composition " + shlex.join(map(str, self.arguments)),
            chosen={weight: tuple(names) for weight, names in model.chosen.items()},
        )

    def _parts(self) -> tuple[Composer, TasksDataModule]:
        assert isinstance(self.model, Composer)
        assert isinstance(self.datamodule, TasksDataModule)
        return self.model, self.datamodule


class _LaterRound(ComposeCLI):
    """A round that the first one starts; it neither compares nor saves."""

    def after_fit(self) -> None:
        """Take the best epoch."""
        if self.is_done:
            self._take_best()


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
