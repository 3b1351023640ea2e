"""What every command line of a run has in common: its folder, its checkpoints, its defaults."""

from __future__ import annotations

import copy
import logging
import sys
from abc import abstractmethod
from collections.abc import Mapping, Sequence
from functools import partial
from pathlib import Path
from typing import Any, ClassVar

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from datamodules.errors import InputError
from datamodules.names import safe_name
from lightning_modules.arguments import LightningLineParser
from lightning_modules.callbacks import EndTogether, LogHyperparameters, StopOnNaN, Throughput
from lightning_modules.checkpoints import ORIGIN, AtomicCheckpointIO, newest, remove_partials
from lightning_modules.comparison import Row
from lightning_modules.progress import TrainingProgress
from lightning_modules.quiet import is_first_process
from lightning_modules.report import report

RUNS = Path("runs")
_log = logging.getLogger(__name__)


class RunCLI(LightningCLI):
    """LightningCLI with fixed classes whose runs lie in `runs/<task>/<subject>/version_N`.

    A resumed run (`--ckpt_path FILE`, or `last`) goes on in its own folder.

    Attributes:
        tasks: the trainer's commands that make sense, and the folder of their runs.
        subject: what a run is about, as its checkpoints call it: (key of `origin()`, flag).
    """

    subcommand: str
    tasks: ClassVar[Mapping[str, str]]
    subject: ClassVar[tuple[str, str]]

    @classmethod
    @abstractmethod
    def subject_of(cls, settings: Any) -> str:
        """The name of what a run with these settings is about."""

    @classmethod
    def subcommands(cls) -> dict[str, set[str]]:
        """The trainer's commands that make sense here."""
        known = LightningCLI.subcommands()
        return {name: known[name] for name in cls.tasks}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What is neither the model's, the data's nor the trainer's."""
        parser.add_argument(
            "--json", action="store_true", help="print one JSON object as the last line"
        )

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Find and check the checkpoint; keep what was asked for before its settings are merged."""
        super().parse_arguments(parser, args)
        self.arguments = sys.argv[1:] if args is None else args
        self.asked = copy.deepcopy(self.config)
        config = self.config[self.config["subcommand"]]
        if config["ckpt_path"]:
            subject = self.subject_of(config)
            config["ckpt_path"] = str(self.find_checkpoint(config["ckpt_path"], subject))

    @property
    def settings(self) -> Any:
        """The settings of the command that is run."""
        return self.config[self.subcommand]

    def before_instantiate_classes(self) -> None:
        """Say which flags the checkpoint overrules."""
        asked = vars(self.asked[self.subcommand]["model"].as_flat())
        used = vars(self.settings["model"].as_flat())
        for name in asked:
            if used.get(name) != asked[name]:
                _log.warning(
                    "--model.%s is %s (from --ckpt_path), not %s", name, used.get(name), asked[name]
                )

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer with the defaults that depend on machine, subject and checkpoint."""
        asked = self.config_init[self.subcommand]["trainer"]
        subject = safe_name(self.subject_of(self.settings))
        task = RUNS / self.tasks[self.subcommand] / subject
        kwargs = {"plugins": [*_as_list(asked.plugins), AtomicCheckpointIO()], **kwargs}
        if asked.precision is None and torch.cuda.is_available():
            kwargs["precision"] = "bf16-mixed" if torch.cuda.is_bf16_supported() else None
        if asked.default_root_dir is None:
            kwargs["default_root_dir"] = str(task)
        if asked.logger in (None, True):
            kwargs["logger"] = self._logger(task)
        if asked.enable_progress_bar in (None, True):
            asked.callbacks = [*_as_list(asked.callbacks), TrainingProgress()]
        return super().instantiate_trainer(**kwargs)

    def _logger(self, task: Path) -> TensorBoardLogger:
        """A folder of its own, or that of the run that goes on."""
        checkpoint = self.settings["ckpt_path"]
        run = Path(checkpoint).absolute().parent.parent if checkpoint else Path()
        if self.subcommand == "fit" and (run / "config.yaml").is_file():
            remove_partials(run / "checkpoints")
            task, version = run.parent, run.name
        else:
            version = None
        # Absolute, since a resumed keeper forgets the best epoch if its folder is spelt otherwise.
        folder = task.parent.resolve()
        return TensorBoardLogger(folder, name=task.name, version=version, default_hp_metric=False)

    @abstractmethod
    def prepare(self) -> None:
        """Open the data and build the model, as far as mistakes can be found before a run."""

    def before_fit(self) -> None:
        """Find mistakes in data and settings before a folder is made for the run."""
        if is_first_process():
            self.prepare()

    before_validate = before_test = before_fit

    @property
    def is_done(self) -> bool:
        """Whether a fit went through and this process is to save what came of it."""
        trainer = self.trainer
        if trainer.interrupted or not trainer.is_global_zero:
            return False
        if getattr(trainer, "fast_dev_run", False):
            _log.info("--trainer.fast_dev_run: a few steps went through, nothing was saved")
            return False
        return True

    def after_validate(self) -> None:
        """Name the folder; Lightning has printed the table."""
        self._report_metrics()

    def after_test(self) -> None:
        """Name the folder; Lightning has printed the table."""
        self._report_metrics()

    def _report_metrics(self) -> None:
        run = short_path(self.trainer.log_dir)
        if self.trainer.is_global_zero:
            found = {name: float(each) for name, each in self.trainer.callback_metrics.items()}
            title = self.settings["ckpt_path"] or "no --ckpt_path: these are the scores of the base"
            self.report([], title, {"run": run}, metrics=found)

    def report(self, rows: list[Row], title: str, paths: dict[str, str], **more: Any) -> None:
        """Print the table and the paths, and with --json one object."""
        report(rows, title, paths, as_json=self.settings["json"], more=more)

    @classmethod
    def find_checkpoint(cls, asked: str, subject: str) -> Path:
        """What `--ckpt_path` stands for: a path, or "last" or "best" of the newest run.

        Args:
            asked: what was typed.
            subject: what the run is about.

        Raises:
            InputError: if there is none, it is damaged, or it is of another subject.
        """
        path = Path(asked)
        if asked in {"last", "best"}:
            folder = RUNS / cls.tasks["fit"] / safe_name(subject)
            found = newest(folder, asked)
            if found is None:
                raise InputError(
                    f"--ckpt_path {asked}: expected {asked}.ckpt of a run in {folder}, found none. "
                    "Start anew without --ckpt_path."
                )
            path = found
        key, flag = cls.subject
        trained = AtomicCheckpointIO().load_checkpoint(path).get(ORIGIN, {}).get(key)
        if trained != subject:
            raise InputError(
                f"--ckpt_path: expected a checkpoint of {subject!r}, {path} is of {trained!r}. "
                f"Choose another checkpoint or another {flag}."
            )
        return path


def run_callbacks() -> list[Callback]:
    """What accompanies every run, beside the user's own `--trainer.callbacks`."""
    # Two keepers: the `save_last` of one would write last.ckpt only when the score has improved.
    keeper = partial(ModelCheckpoint, save_on_train_epoch_end=True, enable_version_counter=False)
    best = keeper(monitor="score/val", mode="max", filename="best")
    last = keeper(filename="last")
    return [
        best, last, EndTogether(), LearningRateMonitor("step"), StopOnNaN(), Throughput(),
        LogHyperparameters("score/val"),
    ]  # fmt: skip


def run_options(room: str, args: Sequence[str] | None, callbacks: list[Callback]) -> dict[str, Any]:
    """What every `RunCLI` is made with, beside its classes.

    Args:
        room: whose front door it is.
        args: words of the command line; None takes this process's.
        callbacks: see `run_callbacks`.
    """
    return {
        "args": None if args is None else list(args),
        "seed_everything_default": 0,
        "auto_configure_optimizers": False,
        "parser_class": LightningLineParser,
        "parser_kwargs": {"allow_abbrev": False, "prog": f"python -m {room}"},
        "save_config_kwargs": {"overwrite": True},
        "trainer_defaults": {
            "callbacks": callbacks,
            "enable_model_summary": False,
            "use_distributed_sampler": False,
        },
    }


def load_best(model: torch.nn.Module, keeper: Any) -> None:
    """Put the trainable tensors of the best checkpoint into the model, if there is one."""
    path = getattr(keeper, "best_model_path", "")
    if path:
        state = AtomicCheckpointIO().load_checkpoint(path)["state_dict"]
        model.load_state_dict(state, strict=False)


def short_path(path: str | None) -> str:
    """A path as a person would type it from here."""
    absolute = Path(path or ".").absolute()
    here = Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]
