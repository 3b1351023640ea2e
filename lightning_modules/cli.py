"""`python -m lightning_modules fit`: train an adapter, save its delta, print its table.

LightningCLI with fixed classes: flags are those of `AttributeAdapter`, `AttributeDataModule` and the trainer.
"""

from __future__ import annotations

import copy
import json
import shlex
import sys
from pathlib import Path
from typing import Any

import torch
from jsonargparse import Namespace
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.utilities import rank_zero_warn

from datamodules.attribute import AttributeDataModule
from datamodules.names import safe_name
from lightning_modules.adapter import AttributeAdapter
from lightning_modules.callbacks import (
    LogCharts,
    LogDictionary,
    LogHyperparameters,
    LogPredictions,
    LogValueEmbeddings,
    StopOnNaN,
    Throughput,
)
from lightning_modules.checkpoints import AtomicCheckpointIO
from lightning_modules.comparison import Row, render, to_json
from lightning_modules.delta import Delta, DeltaCard, delta_folder, save_delta
from lightning_modules.evaluation import card_metrics, evaluate

RUNS = Path("runs/train")


class AttributeCLI(LightningCLI):
    """One attribute, one adapter, one delta."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """What is neither the model's, the data's nor the trainer's."""
        parser.add_argument("--deltas", type=Path, default=Path("artifacts/deltas"), help="folder of deltas")
        parser.add_argument("--json", action="store_true", help="print one JSON object as the last line")

    def parse_arguments(self, parser: LightningArgumentParser, args: ArgsType) -> None:
        """Keep what was asked for, before a checkpoint's settings are merged in."""
        super().parse_arguments(parser, args)
        self.asked = copy.deepcopy(self.config)

    def before_instantiate_classes(self) -> None:
        """Fill in the defaults that depend on the machine and the attribute."""
        config = self.config[self.subcommand]
        asked = vars(self.asked[self.subcommand]["model"].as_flat())
        used = vars(config["model"].as_flat())
        for name in asked:
            if used.get(name) != asked[name]:
                rank_zero_warn(f"--model.{name} is {used.get(name)} (from --ckpt_path), not {asked[name]}.")
        trainer = config["trainer"]
        if trainer.precision is None and torch.cuda.is_available() and torch.cuda.is_bf16_supported():
            trainer.precision = "bf16-mixed"
        if trainer.logger in (None, True):
            trainer.logger = Namespace(
                class_path="lightning.pytorch.loggers.TensorBoardLogger",
                init_args=Namespace(
                    save_dir=str(RUNS), name=safe_name(config.data.attribute), default_hp_metric=False
                ),
            )

    def after_fit(self) -> None:
        """Score base and adapter, save the delta, print the table."""
        trainer, model, data = self.trainer, self.model, self.datamodule
        assert isinstance(model, AttributeAdapter)
        assert isinstance(data, AttributeDataModule)
        if trainer.fast_dev_run or trainer.interrupted or not trainer.is_global_zero:
            return
        load_best(model, trainer.checkpoint_callback)
        rows = evaluate(model.clip.eval(), data, text=model.adapted_text())
        config = self.config[self.subcommand]
        card = delta_card(model, data, rows, seed=int(config["seed_everything"]))
        folder = delta_folder(model.backbone.name, data.source_name, data.attribute, config["deltas"])
        save_delta(folder, Delta.from_adapter(model.clip.model, data.attribute, card))  # type: ignore[arg-type]
        paths = {"delta": str(folder), "run": str(trainer.log_dir)}
        report(rows, f"{data.attribute} on {data.source_name}, {model.backbone.name}", paths, as_json=config["json"])


def load_best(model: AttributeAdapter, keeper: Any) -> None:
    """Put the trainable tensors of the best checkpoint into the model, if there is one."""
    path = getattr(keeper, "best_model_path", "")
    if path:
        state = AtomicCheckpointIO().load_checkpoint(path)["state_dict"]
        model.load_state_dict(state, strict=False)


def delta_card(model: AttributeAdapter, data: AttributeDataModule, rows: list[Row], *, seed: int) -> DeltaCard:
    """Everything about a delta but its numbers."""
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
        },
        seed=seed,
        metrics=card_metrics(rows, data.attribute),  # type: ignore[arg-type]
        command="python -m lightning_modules " + shlex.join(sys.argv[1:]),
    )


def report(rows: list[Row], title: str, paths: dict[str, str], *, as_json: bool) -> None:
    """The closing lines of a command: the table, the paths it wrote and, if asked, one JSON object."""
    sys.stdout.write("\n" + render(rows, title) + "\n")
    for name, path in paths.items():
        sys.stdout.write(f"{name:<10} {path}\n")
    if as_json:
        sys.stdout.write(json.dumps({"rows": to_json(rows), **paths}) + "\n")


def train(args: ArgsType = None) -> None:
    """Parse `fit | validate | test ...` and run it."""
    keep = ModelCheckpoint(
        monitor="score/val", mode="max", save_last=True, save_on_train_epoch_end=True,
        filename="best", enable_version_counter=False,
    )  # fmt: skip
    callbacks = [
        keep, LearningRateMonitor("step"), StopOnNaN(), Throughput(), LogHyperparameters("score/val"),
        LogCharts(), LogDictionary(), LogPredictions(), LogValueEmbeddings(),
    ]  # fmt: skip
    AttributeCLI(
        AttributeAdapter,
        AttributeDataModule,
        args=args,
        seed_everything_default=0,
        auto_configure_optimizers=False,
        parser_kwargs={"allow_abbrev": False},
        save_config_kwargs={"overwrite": True},
        trainer_defaults={
            "callbacks": callbacks,
            "plugins": [AtomicCheckpointIO()],
            "use_distributed_sampler": False,
        },
    )
