"""`python -m lightning_modules base`: pre-train the small CLIP that ships with the project."""

from __future__ import annotations

import csv
import io
import time
from pathlib import Path
from typing import Any

import yaml
from lightning import Trainer
from lightning.pytorch.callbacks import LearningRateMonitor, ModelCheckpoint
from lightning.pytorch.cli import ArgsType, LightningArgumentParser, LightningCLI
from lightning.pytorch.loggers import CSVLogger, TensorBoardLogger

from datamodules.captions import CaptionDataModule
from datamodules.files import new_folder, sha256_file, write_json, write_text
from lightning_modules.arguments import LightningLineParser
from lightning_modules.backbone import load_backbone, save_local_dir
from lightning_modules.callbacks import EndTogether, StopOnNaN
from lightning_modules.checkpoints import AtomicCheckpointIO
from lightning_modules.contrastive import ContrastivePretraining, zero_shot_metrics
from lightning_modules.delta import current_versions
from lightning_modules.hub import WEIGHTS_NAME
from lightning_modules.report import report
from lightning_modules.weight_source import CONFIG_NAME

RUNS = Path("runs/base")


class BaseCLI(LightningCLI):
    """Pre-training: one model class, one data class, no subcommand."""

    def add_arguments_to_parser(self, parser: LightningArgumentParser) -> None:
        """Where the weights go, and a checkpoint to go on from."""
        parser.add_argument(
            "--out", type=Path, default=Path("artifacts/base/glyph-clip"), help="folder to write"
        )
        parser.add_argument("--ckpt_path", type=str, default=None, help="checkpoint to resume from")

    def instantiate_trainer(self, **kwargs: Any) -> Trainer:
        """A trainer that logs to TensorBoard and a CSV file, unless another logger is asked for."""
        trainer = self.config_init["trainer"]
        if trainer.logger in (None, True):
            kwargs["logger"] = [
                TensorBoardLogger(RUNS, name="glyph-clip"),
                CSVLogger(RUNS, name="glyph-clip-csv"),
            ]
        if trainer.default_root_dir is None:
            kwargs["default_root_dir"] = str(RUNS)
        return super().instantiate_trainer(plugins=[AtomicCheckpointIO()], **kwargs)


def pretrain(args: ArgsType = None) -> None:
    """Train, then write the open_clip `local-dir` folder with its recipe and log."""
    keep = ModelCheckpoint(
        every_n_train_steps=250, save_top_k=-1, filename="{step}", save_last=True
    )
    cli = BaseCLI(
        ContrastivePretraining,
        CaptionDataModule,
        run=False,
        args=args,
        seed_everything_default=0,
        auto_configure_optimizers=False,
        save_config_callback=None,
        parser_class=LightningLineParser,
        parser_kwargs={"allow_abbrev": False, "prog": "python -m lightning_modules base"},
        trainer_defaults={
            "callbacks": [keep, EndTogether(), StopOnNaN(), LearningRateMonitor()],
            "enable_model_summary": False,
        },
    )
    started = time.monotonic()
    cli.trainer.fit(cli.model, cli.datamodule, ckpt_path=cli.config["ckpt_path"])
    minutes = (time.monotonic() - started) / 60
    if cli.trainer.is_global_zero and not cli.trainer.interrupted:
        settings = yaml.safe_load(cli.parser.dump(cli.config, skip_none=True))
        ship(cli.model, cli.trainer, cli.config["out"], settings=settings, minutes=minutes)
        report([], "pre-trained", {"base": str(cli.config["out"])}, as_json=False)


def ship(
    model: ContrastivePretraining,
    trainer: Trainer,
    out: Path,
    *,
    settings: dict[str, Any],
    minutes: float,
) -> None:
    """Write the weights (fp16), `recipe.json` (settings, scores, hash) and `log.csv`.

    Args:
        model: the trained model.
        trainer: its trainer, after `fit`.
        out: folder to write; a former one is replaced.
        settings: everything that was configured.
        minutes: duration of the training.
    """
    model_cfg, preprocess_cfg = (model.architecture[k] for k in ("model_cfg", "preprocess_cfg"))
    with new_folder(out) as folder:
        inner = folder / "model"
        save_local_dir(model.shipped_state(), model_cfg, preprocess_cfg, inner, half=True)
        for file in list(inner.iterdir()):
            file.rename(folder / file.name)
        inner.rmdir()
        write_text(folder / "log.csv", _log(trainer))
        recipe = _recipe(folder, settings, trainer, minutes)
        write_json(folder / "recipe.json", recipe)


def _recipe(
    folder: Path, settings: dict[str, Any], trainer: Trainer, minutes: float
) -> dict[str, Any]:
    """How the weights in `folder` were made, how good they are, and their hashes."""
    return {
        "command": "make base",
        "settings": {name: settings[name] for name in ("seed_everything", "model", "data")}
        | {
            "trainer": {
                name: settings["trainer"].get(name)
                for name in ("max_steps", "precision", "gradient_clip_val")
            }
        },
        "minutes": round(minutes, 1),
        "validation_accuracy": zero_shot_metrics(trainer.callback_metrics),
        "fingerprint": load_backbone(str(folder)).fingerprint,
        "sha256": sha256_file(folder / WEIGHTS_NAME),
        "sha256_config": sha256_file(folder / CONFIG_NAME),
        "versions": current_versions(),
    }


def _log(trainer: Trainer) -> str:
    """Validation accuracies and loss by step, as CSV."""
    logger = next((each for each in trainer.loggers if isinstance(each, CSVLogger)), None)
    path = Path(logger.log_dir) / "metrics.csv" if logger else Path()
    if not path.is_file():
        return ""
    with path.open(newline="") as stream:
        rows = [row for row in csv.DictReader(stream) if row.get("accuracy/val/color")]
    text = io.StringIO()
    columns = [
        "step",
        *sorted(name for name in (rows[0] if rows else {}) if name.startswith("accuracy/val/")),
    ]
    writer = csv.DictWriter(text, columns, extrasaction="ignore", lineterminator="\n")
    writer.writeheader()
    writer.writerows(rows)
    return text.getvalue()
