"""`python -m lightning_modules fit | validate | test`: train an adapter, save its delta, score it.

LightningCLI with fixed classes: flags are those of `AttributeAdapter`, `AttributeDataModule` and
the trainer.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from lightning.pytorch.callbacks import Callback
from lightning.pytorch.cli import LightningArgumentParser

from datamodules.attribute import AttributeDataModule
from lightning_modules.adapter import AttributeAdapter
from lightning_modules.callbacks import (
    LogCharts,
    LogDictionary,
    LogPredictions,
    LogValueEmbeddings,
)
from lightning_modules.comparison import Row
from lightning_modules.delta import Delta, DeltaCard, delta_folder, save_delta
from lightning_modules.evaluation import card_metrics, evaluate
from lightning_modules.run_cli import RunCLI, load_best, run_callbacks, run_options, short_path


class AttributeCLI(RunCLI):
    """One attribute, one adapter, one delta."""

    tasks = {"fit": "train", "validate": "validate", "test": "test"}  # noqa: RUF012
    subject = ("attribute", "--data.attribute")

    @classmethod
    def subject_of(cls, settings: Any) -> str:
        """The attribute."""
        name: str = settings.data.attribute
        return name

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Where deltas lie."""
        parser.add_argument(
            "--deltas", type=Path, default=Path("artifacts/deltas"), help="folder of deltas"
        )
        super().add_arguments_to_parser(parser)

    def prepare(self) -> None:
        """Open the data, attach the adapter."""
        assert isinstance(self.model, AttributeAdapter)
        assert isinstance(self.datamodule, AttributeDataModule)
        self.datamodule.prepare_data()
        self.datamodule.setup()
        self.model.prepare(self.datamodule)

    def after_fit(self) -> None:
        """Score base and adapter, save the delta, print the table."""
        trainer, model, data = self.trainer, self.model, self.datamodule
        assert isinstance(model, AttributeAdapter)
        assert isinstance(data, AttributeDataModule)
        run = short_path(trainer.log_dir)  # asks all processes, so before the others leave
        if not self.is_done:
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
        self.report(rows, title, {"delta": str(folder), "run": run})


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
    """What accompanies the training of an adapter."""
    return [
        *run_callbacks(), LogCharts(), LogDictionary(), LogPredictions(), LogValueEmbeddings()
    ]  # fmt: skip


def train(args: Sequence[str] | None = None) -> AttributeCLI:
    """Parse `fit | validate | test ...` and run it; by default this process's command line."""
    return AttributeCLI(
        AttributeAdapter,
        AttributeDataModule,
        **run_options("lightning_modules", args, callbacks()),
    )
