"""`python -m lightning_modules fit | validate | test`: train an adapter, save its delta, score it.

LightningCLI with fixed classes: flags are those of `AttributeAdapter`, `AttributeDataModule` and
the trainer. A resumed run (`--ckpt_path FILE`, or `last`) goes on in its own folder.
"""

from __future__ import annotations

import copy
import logging
import shlex
import sys
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import torch
from lightning.pytorch import Trainer
from lightning.pytorch.callbacks import Callback, LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import TensorBoardLogger

from datamodules.attribute import AttributeDataModule
from datamodules.errors import InputError
from datamodules.names import safe_name
from lightning_modules.adapter import AttributeAdapter
from lightning_modules.arguments import LightningLineParser
from lightning_modules.callbacks import (
    EndTogether,
    LogCharts,
    LogDictionary,
    LogHyperparameters,
    LogPredictions,
    LogValueEmbeddings,
    StopOnNaN,
    Throughput,
)
from lightning_modules.checkpoints import ORIGIN, AtomicCheckpointIO, newest, remove_partials
from lightning_modules.comparison import Row
from lightning_modules.delta import Delta, DeltaCard, delta_folder, save_delta
from lightning_modules.evaluation import card_metrics, evaluate
from lightning_modules.progress import TrainingProgress
from lightning_modules.quiet import is_first_process
from lightning_modules.report import report

RUNS = Path("runs")
TASKS = {"fit": "train", "validate": "validate", "test": "test"}  # command -> folder of its runs
_log = logging.getLogger(__name__)


class AttributeCLI(LightningCLI):
    """One attribute, one adapter, one delta."""

    subcommand: str

    @staticmethod
    def subcommands() -> dict[str, set[str]]:
        """The trainer's commands that make sense here."""
        known = LightningCLI.subcommands()
        return {name: known[name] for name in TASKS}

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What is neither the model's, the data's nor the trainer's."""
        parser.add_argument(
            "--deltas", type=Path, default=Path("artifacts/deltas"), help="folder of deltas"
        )
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
            config["ckpt_path"] = str(find_checkpoint(config["ckpt_path"], config.data.attribute))

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
        """A trainer with the defaults that depend on machine, attribute and checkpoint."""
        asked = self.config_init[self.subcommand]["trainer"]
        task = RUNS / TASKS[self.subcommand] / safe_name(self.settings.data.attribute)
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

    def before_fit(self) -> None:
        """Find mistakes in data and settings before a folder is made for the run."""
        assert isinstance(self.model, AttributeAdapter)
        assert isinstance(self.datamodule, AttributeDataModule)
        if is_first_process():
            self.datamodule.prepare_data()
            self.datamodule.setup()
            self.model.prepare(self.datamodule)

    before_validate = before_test = before_fit

    def after_fit(self) -> None:
        """Score base and adapter, save the delta, print the table."""
        trainer, model, data = self.trainer, self.model, self.datamodule
        assert isinstance(model, AttributeAdapter)
        assert isinstance(data, AttributeDataModule)
        run = _short(trainer.log_dir)  # asks all processes, so before the others leave
        if trainer.interrupted or not trainer.is_global_zero:
            return
        if getattr(trainer, "fast_dev_run", False):
            _log.info("--trainer.fast_dev_run: a few steps went through, nothing was saved")
            return
        load_best(model, trainer.checkpoint_callback)
        model.to(trainer.strategy.root_device)
        rows = evaluate(model.clip.eval(), data, text=model.adapted_text())
        card = delta_card(
            model, data, rows, seed=int(self.settings["seed_everything"]), arguments=self.arguments
        )
        folder = delta_folder(
            model.backbone.name, data.source_name, data.attribute, self.settings["deltas"]
        )
        save_delta(folder, Delta.from_adapter(model.clip.model, data.attribute, card))  # type: ignore[arg-type]
        title = f"{data.attribute} on {data.source_name}, {model.backbone.name}"
        self._report(rows, title, {"delta": str(folder), "run": run})

    def after_validate(self) -> None:
        """Name the folder; Lightning has printed the table."""
        self._report_metrics()

    def after_test(self) -> None:
        """Name the folder; Lightning has printed the table."""
        self._report_metrics()

    def _report_metrics(self) -> None:
        run = _short(self.trainer.log_dir)
        if self.trainer.is_global_zero:
            found = {name: float(each) for name, each in self.trainer.callback_metrics.items()}
            title = self.settings["ckpt_path"] or "no --ckpt_path: these are the scores of the base"
            self._report([], title, {"run": run}, metrics=found)

    def _report(self, rows: list[Row], title: str, paths: dict[str, str], **more: Any) -> None:
        report(rows, title, paths, as_json=self.settings["json"], more=more)


def find_checkpoint(asked: str, attribute: str) -> Path:
    """What `--ckpt_path` stands for: a path, or "last" or "best" of the attribute's newest run.

    Raises:
        InputError: if there is none, it is damaged, or it is of another attribute.
    """
    path = Path(asked)
    if asked in {"last", "best"}:
        folder = RUNS / TASKS["fit"] / safe_name(attribute)
        found = newest(folder, asked)
        if found is None:
            raise InputError(
                f"--ckpt_path {asked}: expected {asked}.ckpt of a run in {folder}, found none. "
                "Start anew without --ckpt_path."
            )
        path = found
    trained = AtomicCheckpointIO().load_checkpoint(path).get(ORIGIN, {}).get("attribute")
    if trained != attribute:
        raise InputError(
            f"--ckpt_path: expected a checkpoint of {attribute!r}, {path} is of {trained!r}. "
            "Choose another checkpoint or another --data.attribute."
        )
    return path


def load_best(model: AttributeAdapter, keeper: Any) -> None:
    """Put the trainable tensors of the best checkpoint into the model, if there is one."""
    path = getattr(keeper, "best_model_path", "")
    if path:
        state = AtomicCheckpointIO().load_checkpoint(path)["state_dict"]
        model.load_state_dict(state, strict=False)


def delta_card(
    model: AttributeAdapter,
    data: AttributeDataModule,
    rows: list[Row],
    *,
    seed: int,
    arguments: Any = (),
) -> DeltaCard:
    """Everything about a delta but its numbers.

    Args:
        model: the trained adapter.
        data: what it was trained on.
        rows: its scores.
        seed: of the run.
        arguments: words of the command line that trained it.
    """
    return DeltaCard(
        attribute=data.attribute,
        values=data.values,
        templates=data.templates(data.attribute),
        backbone=model.backbone.name,
        pretrained=model.backbone.pretrained,
        fingerprint=model.backbone.fingerprint,
        quick_gelu=model.backbone.quick_gelu,
        source=data.source_name,
        dictionary_hash=data.dictionary.hash,
        data_hash=data.source.data_hash,
        protocol={
            "selected_on": "validation",
            "reported_on": list(data.test_splits),
            "information": "labelled training split",
            "objective": model.objective,
            "towers": model.lora.towers,
            "split": data.split_hash,
        },
        seed=seed,
        metrics=card_metrics(rows, data.attribute),  # type: ignore[arg-type]
        command="python -m lightning_modules " + shlex.join(map(str, arguments)),
    )


def callbacks() -> list[Callback]:
    """What accompanies every run, beside the user's own `--trainer.callbacks`."""
    # Two keepers: the `save_last` of one would write last.ckpt only when the score has improved.
    keeper = partial(ModelCheckpoint, save_on_train_epoch_end=True, enable_version_counter=False)
    best = keeper(monitor="score/val", mode="max", filename="best")
    last = keeper(filename="last")
    return [
        best, last, EndTogether(), LearningRateMonitor("step"), StopOnNaN(), Throughput(),
        LogHyperparameters("score/val"), LogCharts(), LogDictionary(), LogPredictions(),
        LogValueEmbeddings(),
    ]  # fmt: skip


def train(args: Sequence[str] | None = None) -> AttributeCLI:
    """Parse `fit | validate | test ...` and run it; by default this process's command line."""
    return AttributeCLI(
        AttributeAdapter,
        AttributeDataModule,
        args=None if args is None else list(args),
        seed_everything_default=0,
        auto_configure_optimizers=False,
        parser_class=LightningLineParser,
        parser_kwargs={"allow_abbrev": False, "prog": "python -m lightning_modules"},
        save_config_kwargs={"overwrite": True},
        trainer_defaults={
            "callbacks": callbacks(),
            "enable_model_summary": False,
            "use_distributed_sampler": False,
        },
    )


def _as_list(value: Any) -> list[Any]:
    if value is None:
        return []
    return list(value) if isinstance(value, list | tuple) else [value]


def _short(path: str | None) -> str:
    """A path as a person would type it from here."""
    absolute = Path(path or ".").absolute()
    here = Path.cwd()
    return str(absolute.relative_to(here) if absolute.is_relative_to(here) else absolute)
